//! The networks of this machine, and what it is called in them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use if_addrs::{IfAddr, Interface};

/// Addresses of this machine in networks, those of loopback left out, and its names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Network {
    pub(crate) addresses: Vec<Address>,
    /// The host name and that of multicast DNS, as far as they are names that a certificate can have.
    pub(crate) names: Vec<String>,
}

/// An address, and the network that it is in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Address {
    pub(crate) interface: String,
    pub(crate) ip: IpAddr,
    prefix: u8,
}

/// The most addresses that are told of: there are machines with hundreds, for containers.
const MOST: usize = 256;

impl Network {
    /// As it is now. The address that others are reached from comes first.
    pub(crate) fn now() -> io::Result<Self> {
        let mut addresses: Vec<Address> =
            if_addrs::get_if_addrs()?.into_iter().filter_map(Address::of).take(MOST).collect();
        let default = default_address();
        addresses.sort_by_key(|address| (Some(address.ip) != default, address.ip.is_ipv6()));
        Ok(Self { addresses, names: host_name().map(|name| names(&name)).unwrap_or_default() })
    }

    /// The networks whose peers are answered, this machine itself among them.
    pub(crate) fn peers(&self) -> impl Iterator<Item = String> {
        let own = ["127.0.0.0/8", "::1"].into_iter().map(str::to_owned);
        own.chain(self.addresses.iter().filter_map(Address::network))
    }

    /// What requests may name as their host, apart from loopback.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = String> {
        self.addresses.iter().map(|address| shown(address.ip)).chain(self.names.iter().cloned())
    }

    /// What a certificate is for.
    pub(crate) fn certified(&self) -> impl Iterator<Item = String> {
        self.reachable().map(|address| address.ip.to_string()).chain(self.names.iter().cloned())
    }

    /// The addresses that stand in URLs: those of IPv6 that need the name of an interface beside them do not.
    pub(crate) fn reachable(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(|address| !matches!(address.ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
    }
}

impl Address {
    fn of(interface: Interface) -> Option<Self> {
        let (ip, prefix) = match interface.addr {
            IfAddr::V4(ref v4) => (IpAddr::V4(v4.ip), v4.prefixlen),
            IfAddr::V6(ref v6) => (IpAddr::V6(v6.ip), v6.prefixlen),
        };
        (!ip.is_loopback() && !ip.is_unspecified() && interface.is_oper_up()).then_some(Self {
            interface: interface.name,
            ip,
            prefix,
        })
    }

    /// Its network, unless that is everything, which some tunnels have.
    fn network(&self) -> Option<String> {
        let Self { ip, prefix, .. } = *self;
        let first: IpAddr = match ip {
            IpAddr::V4(ip) => {
                let mask = u32::MAX.checked_shl(32_u32.checked_sub(prefix.into())?)?;
                Ipv4Addr::from_bits(ip.to_bits() & mask).into()
            }
            IpAddr::V6(ip) => {
                let mask = u128::MAX.checked_shl(128_u32.checked_sub(prefix.into())?)?;
                Ipv6Addr::from_bits(ip.to_bits() & mask).into()
            }
        };
        Some(format!("{first}/{prefix}"))
    }
}

/// An address as it stands in a URL.
pub(crate) fn shown(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

/// Where packets would come from that go anywhere. Nothing is sent: 192.0.2.0/24 is for documentation
/// (<https://www.rfc-editor.org/rfc/rfc5737>).
fn default_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    rustix::system::uname().nodename().to_str().ok().map(str::to_owned)
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}

/// A host name, and what multicast DNS makes of it (<https://www.rfc-editor.org/rfc/rfc6762#section-3>).
fn names(host: &str) -> Vec<String> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let host = host.to_ascii_lowercase();
    let first = host.split('.').next().unwrap_or_default();
    // One of digits alone would be read as an address.
    let is_name = host.parse::<IpAddr>().is_err() && host.len() <= 253 && host.split('.').all(is_label);
    if !is_name || first == "localhost" {
        return Vec::new();
    }
    let local = format!("{first}.local");
    if host == local { vec![host] } else { vec![host, local] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_addresses() {
        let check = |ip: &str, prefix: u8, expected: Option<&str>| {
            let address = Address { interface: "a".to_owned(), ip: ip.parse().unwrap(), prefix };
            assert_eq!(address.network().as_deref(), expected, "{ip}/{prefix}");
            if let Some(network) = address.network() {
                assert!(rikki::Server::new().allow_peer(&network).check().is_ok(), "{network}");
            }
        };
        check("192.168.1.77", 24, Some("192.168.1.0/24"));
        check("10.1.2.3", 8, Some("10.0.0.0/8"));
        check("10.1.2.3", 32, Some("10.1.2.3/32"));
        check("172.17.200.1", 20, Some("172.17.192.0/20"));
        check("10.1.2.3", 0, None);
        check("fd12::1:2:3:4", 64, Some("fd12::/64"));
        check("fe80::1", 64, Some("fe80::/64"));
        check("2001:db8::1", 128, Some("2001:db8::1/128"));
        check("2001:db8::1", 0, None);
    }

    #[test]
    fn names_of_a_machine() {
        let check = |host: &str, expected: &[&str]| assert_eq!(names(host), expected, "{host}");
        check("pc", &["pc", "pc.local"]);
        check("Ada-PC", &["ada-pc", "ada-pc.local"]);
        check("pc.example.org", &["pc.example.org", "pc.local"]);
        check("mac.local", &["mac.local"]);
        for none in ["", "localhost", "(none)", "my pc", "-a", "a-", "a..b", "192.168.1.1", "bücher"] {
            check(none, &[]);
        }
    }

    #[test]
    fn what_is_told_of_a_machine() {
        let address = |ip: &str| Address { interface: "eth0".to_owned(), ip: ip.parse().unwrap(), prefix: 24 };
        let network = Network {
            addresses: ["192.168.1.5", "fe80::1", "fd12::5"].map(address).into(),
            names: vec!["pc".to_owned(), "pc.local".to_owned()],
        };
        let all = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(" ");
        assert_eq!(all(&mut network.hosts()), "192.168.1.5 [fe80::1] [fd12::5] pc pc.local");
        assert_eq!(all(&mut network.certified()), "192.168.1.5 fd12::5 pc pc.local");
        assert!(all(&mut network.peers()).starts_with("127.0.0.0/8 ::1 192.168.1.0/24 fe80::/24"));
        let now = Network::now().unwrap();
        assert!(now.addresses.iter().all(|address| !address.ip.is_loopback()), "{now:?}");
    }
}
