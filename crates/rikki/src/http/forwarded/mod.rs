//! From whom a request is that has come by way of reverse proxies: what they say in its header fields.
//!
//! All of it is read from the right, where the nearest proxy writes: whatever a client has sent is further to the left,
//! and is not looked at before whoever stands to the right of it is known to be trusted. So a quote that a client opens
//! encloses nothing.

mod element;

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

use crate::net::{Networks, Peer};
use crate::ws::internal::{Authority, Public};

use element::Element;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Which fields are read of those whom a server trusts; the others are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Forwarding {
    /// `X-Forwarded-For`, and beside it `X-Forwarded-Proto` and `X-Forwarded-Host`.
    #[default]
    Separate,
    /// `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)).
    Standard,
}

impl Forwarding {
    /// The one whose addresses are in the field of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("x-forwarded-for") {
            return Some(Self::Separate);
        }
        name.eq_ignore_ascii_case("forwarded").then_some(Self::Standard)
    }

    /// From whom a request is that a trusted peer has sent, and what that client has asked for.
    ///
    /// The client is the first address from the right that is not trusted, or the last that could be read before
    /// something else.
    pub(super) fn read(self, trust: &Networks, fields: &HeaderMap, peer: Peer) -> (Peer, Public) {
        match self {
            Self::Separate => {
                let mut walk = Walk { trust, client: peer, distance: 0 };
                for (distance, text) in from_right(fields, &FOR).enumerate() {
                    walk.distance = distance;
                    if walk.passes(address(text)).is_none() {
                        break;
                    }
                }
                let authority = at(fields, &HOST, walk.distance).and_then(authority);
                (walk.client, Public { authority, is_tls: at(fields, &PROTO, walk.distance).and_then(is_tls) })
            }
            Self::Standard => {
                let mut walk = Walk { trust, client: peer, distance: 0 };
                let mut public = Public::default();
                for element in Element::from_right(fields.get_all(header::FORWARDED).iter()) {
                    // It is from somebody who is trusted, whether or not the address in it can be read.
                    public = Public {
                        authority: element.host.as_deref().and_then(authority),
                        is_tls: element.proto.as_deref().and_then(is_tls),
                    };
                    if walk.passes(element.node.as_deref().and_then(address)).is_none() {
                        break;
                    }
                }
                (walk.client, public)
            }
        }
    }
}

/// How far the proxies are followed.
struct Walk<'t> {
    trust: &'t Networks,
    /// The last address that could be read.
    client: Peer,
    /// From the right.
    distance: usize,
}

impl Walk<'_> {
    /// Goes on to an address, if it can be read; `None` at the end.
    fn passes(&mut self, address: Option<SocketAddr>) -> Option<()> {
        let address = address?;
        self.client = Peer::Ip(address);
        self.trust.has(address.ip()).then_some(())
    }
}

/// The parts of a field between commas, over all of its lines, the last first. What is no text means nothing.
fn from_right<'h>(fields: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let parts = fields.get_all(name).iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    parts.map(|part| str::from_utf8(part.trim_ascii()).unwrap_or_default())
}

/// What whoever has told of the client says beside its address: as far from the right as that is, or the only one where
/// each proxy replaces what the one before it wrote.
fn at<'h>(fields: &'h HeaderMap, name: &HeaderName, distance: usize) -> Option<&'h str> {
    let mut parts = from_right(fields, name);
    let first = parts.next()?;
    match distance.checked_sub(1) {
        None => Some(first),
        Some(more) => match parts.next() {
            None => Some(first),
            Some(second) if more == 0 => Some(second),
            Some(_) => parts.nth(more - 1),
        },
    }
}

/// An address with or without a port, which is 0 where none is told: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`,
/// `[2001:db8::1]`, `[2001:db8::1]:4711`. `None` for `unknown`, for identifiers such as `_proxy`, and for all else.
fn address(node: &str) -> Option<SocketAddr> {
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some((address, 0).into());
    }
    let (host, port) = match node.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) };
            (IpAddr::V6(host.parse().ok()?), port)
        }
        None => {
            let (host, port) = node.split_once(':')?;
            (IpAddr::V4(host.parse().ok()?), Some(port))
        }
    };
    let port = match port {
        None => 0,
        // An identifier in its place: https://www.rfc-editor.org/rfc/rfc7239#section-6.2
        Some(hidden) if is_hidden(hidden) => 0,
        Some(port) if port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok()?,
        Some(_) => return None,
    };
    Some((host, port).into())
}

/// <https://www.rfc-editor.org/rfc/rfc7239#section-6.3>
fn is_hidden(identifier: &str) -> bool {
    let of_it = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    identifier.strip_prefix('_').is_some_and(|rest| !rest.is_empty() && rest.bytes().all(of_it))
}

fn authority(text: &str) -> Option<Authority<'static>> {
    Authority::parse(text).map(Authority::into_owned)
}

fn is_tls(scheme: &str) -> Option<bool> {
    let is = |name| scheme.eq_ignore_ascii_case(name);
    if is("https") || is("wss") {
        return Some(true);
    }
    (is("http") || is("ws")).then_some(false)
}

#[cfg(test)]
mod tests;
