//! Networks, and the peers in them: whom the server believes what they say of others, and whom alone it answers.

use std::net::IpAddr;

use ipnet::{IpNet, PrefixLenError};

use super::Peer;

/// Some of the addresses that there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Networks {
    networks: Vec<IpNet>,
    /// Whoever may connect to a Unix socket.
    unix: bool,
}

impl Networks {
    /// Adds a network, an address, or `unix`; says what would be one if it is none.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), &'static str> {
        if text == "unix" {
            self.unix = true;
            return Ok(());
        }
        let network = match text.parse::<IpAddr>() {
            Ok(address) => Ok(IpNet::from(address)),
            Err(_) => text.parse::<IpNet>(),
        };
        let network = network.map_err(|_| "write a network such as 10.0.0.0/8 or fd00::/8, an address, or unix")?;
        if network.trunc() != network {
            return Err("it has bits of an address behind its prefix: write the first address of the network");
        }
        self.networks.push(unmapped(network).map_err(|_| "write a network of IPv4 as such")?);
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether whoever is at the other end of a connection is one of them.
    pub(crate) fn has_peer(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ip(address) => self.has(address.ip()),
            Peer::Unix => self.unix,
        }
    }

    /// Whether an address is one of theirs.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        // A listener of IPv6 has clients of IPv4 too: https://www.rfc-editor.org/rfc/rfc4291#section-2.5.5.2
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.contains(&address))
    }
}

/// A network of IPv4 that is written as one of IPv6 is the same.
fn unmapped(network: IpNet) -> Result<IpNet, PrefixLenError> {
    match (network.addr().to_canonical(), network.prefix_len()) {
        (IpAddr::V4(address), 96..) if matches!(network, IpNet::V6(_)) => {
            IpNet::new(address.into(), network.prefix_len() - 96)
        }
        _ => Ok(network),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in_a_network() {
        let check = |trusted: &str, address: &str, expected: bool| {
            let mut trust = Networks::default();
            assert!(trust.is_empty());
            trust.add(trusted).unwrap();
            assert!(!trust.is_empty());
            assert_eq!(trust.has(address.parse().unwrap()), expected, "{trusted} {address}");
            let peer = Peer::Ip((address.parse::<IpAddr>().unwrap(), 1).into());
            assert_eq!(trust.has_peer(peer), expected, "{trusted} {peer}");
            assert_eq!(trust.has_peer(Peer::Unix), trusted == "unix");
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("::ffff:10.0.0.0/104", "10.1.2.3", true);
        check("::ffff:10.0.0.0/104", "::ffff:11.1.2.3", false);
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1/32", "192.0.2.1", true);
        check("0.0.0.0/0", "203.0.113.1", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("fd00::/8", "fd12::1", true);
        check("fd00::/8", "fe80::1", false);
        check("::/0", "2001:db8::1", true);
        check("::1", "::1", true);
        check("::1", "127.0.0.1", false);
        check("unix", "127.0.0.1", false);
    }

    #[test]
    fn what_is_no_network() {
        for text in ["", "localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0/8", "fd00::1/8", "10.0.0.0/-1", "Unix", "*"]
        {
            let mut trust = Networks::default();
            assert!(trust.add(text).is_err() && trust.is_empty(), "{text}");
        }
    }
}
