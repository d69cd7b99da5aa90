//! Version 2: fields of fixed sizes
//! ([section 2.2](https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{BadHeader, Source};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, version and command, family and transport, and the length of what follows.
const FIXED: usize = SIGNATURE.len() + 4;

/// Two addresses and two ports, in bytes.
const INET: usize = 4 + 4 + 2 + 2;
const INET6: usize = 16 + 16 + 2 + 2;
/// Two paths.
const UNIX: usize = 108 + 108;

/// The most that may be behind the fixed part, in bytes: addresses, and whatever else a proxy tells, such as the name
/// of TLS, an identity, or a certificate's subject. The field has room for 65,535, which nobody needs.
const LONGEST: usize = 4096;

pub(super) fn is_begun(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().zip(SIGNATURE).all(|(byte, expected)| byte == expected)
}

/// How much is to come until the addresses are there.
pub(super) fn wanted(bytes: &[u8]) -> usize {
    let addresses = fixed(bytes).map_or(0, |fixed| fixed.addresses);
    (FIXED + addresses).saturating_sub(bytes.len())
}

/// Of whom it speaks and how much is to be passed over behind `bytes`, once the addresses are there.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Source, usize)>, BadHeader> {
    if let Some(version) = bytes.get(SIGNATURE.len()) {
        judge(*version)?;
    }
    let Some(Fixed { is_local, family, addresses, length }) = fixed(bytes) else { return Ok(None) };
    if length > LONGEST {
        return Err(BadHeader::TooLong);
    }
    // "The receiver must discard the protocol block including the family which is ignored".
    if !is_local {
        let least = match family {
            0x00 => 0,
            0x11 | 0x12 => INET,
            0x21 | 0x22 => INET6,
            0x31 | 0x32 => UNIX,
            // "Must be rejected as invalid by receivers".
            _ => return Err(BadHeader::Family),
        };
        if length < least {
            return Err(BadHeader::TooShort);
        }
    }
    let Some((_, rest)) = bytes.split_at_checked(FIXED) else { return Ok(None) };
    if rest.len() < addresses {
        return Ok(None);
    }
    Ok(Some((source(addresses, rest), length - addresses)))
}

/// The byte of version and command.
fn judge(byte: u8) -> Result<(), BadHeader> {
    match (byte >> 4, byte & 0xf) {
        (2, 0 | 1) => Ok(()),
        (2, _) => Err(BadHeader::Command),
        _ => Err(BadHeader::Version),
    }
}

struct Fixed {
    is_local: bool,
    family: u8,
    /// How long the addresses are that are read, of `length` that there is.
    addresses: usize,
    length: usize,
}

fn fixed(bytes: &[u8]) -> Option<Fixed> {
    let [command, family, high, low] = *bytes.get(SIGNATURE.len()..)?.first_chunk()?;
    let is_local = command & 0xf == 0;
    let addresses = match family {
        0x11 | 0x12 if !is_local => INET,
        0x21 | 0x22 if !is_local => INET6,
        // Paths of sockets say nothing that could be used here.
        _ => 0,
    };
    Some(Fixed { is_local, family, addresses, length: u16::from_be_bytes([high, low]).into() })
}

/// The source comes first, then the destination, then the port of either.
fn source(length: usize, addresses: &[u8]) -> Source {
    let port = |at: usize| addresses.get(at..)?.first_chunk().map(|port| u16::from_be_bytes(*port));
    let client = match length {
        INET => addresses.first_chunk::<4>().map(|source| Ipv4Addr::from(*source).into()).zip(port(8)),
        INET6 => addresses.first_chunk::<16>().map(|source| Ipv6Addr::from(*source).into()).zip(port(32)),
        _ => None,
    };
    client.map_or(Source::Unknown, |(address, port): (IpAddr, u16)| Source::Client((address, port).into()))
}
