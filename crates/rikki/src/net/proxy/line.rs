//! Version 1: a line of text
//! ([section 2.1](https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt)).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{BadHeader, LONGEST_LINE, Source};

const START: &[u8] = b"PROXY ";

/// The fewest bytes of a line with addresses of IPv4 and its end: `PROXY TCP4 0.0.0.0 0.0.0.0 0 0`.
const SHORTEST_TCP4: usize = 32;

/// How many more bytes there must be in a line that is not whole: its end at least.
pub(super) fn wanted(line: &[u8]) -> usize {
    if line.starts_with(b"PROXY TCP4") && line.len() < SHORTEST_TCP4 {
        return SHORTEST_TCP4 - line.len();
    }
    let end = if line.ends_with(b"\r") { 1 } else { 2 };
    // The last byte that a line may have is looked at alone.
    end.min(LONGEST_LINE.saturating_sub(line.len()))
}

pub(super) fn read(bytes: &[u8]) -> Result<Option<Source>, BadHeader> {
    if !bytes.starts_with(START.get(..bytes.len().min(START.len())).unwrap_or_default()) {
        return Err(BadHeader::Missing);
    }
    let line = match bytes.windows(2).position(|end| end == b"\r\n") {
        None if bytes.len() < LONGEST_LINE => return Ok(None),
        None => return Err(BadHeader::TooLong),
        Some(end) if end + 2 < bytes.len() => return Err(BadHeader::Line),
        Some(end) => bytes.get(..end).unwrap_or_default(),
    };
    let line = line.strip_prefix(START).ok_or(BadHeader::Line)?;
    // "The receiver must ignore anything presented before the CRLF".
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(Some(Source::Unknown));
    }
    let line = str::from_utf8(line).map_err(|_| BadHeader::Line)?;
    addresses(line).map(Some).ok_or(BadHeader::Line)
}

/// Family, both addresses and both ports, a space between any two of them.
fn addresses(line: &str) -> Option<Source> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    let read = match next()? {
        "TCP4" => |text: &str| text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        "TCP6" => |text: &str| text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        _ => return None,
    };
    let (source, _destination) = (read(next()?)?, read(next()?)?);
    let (port, _destination_port) = (port(next()?)?, port(next()?)?);
    if next().is_some() {
        return None;
    }
    Some(Source::Client((source, port).into()))
}

/// Decimal, without leading zeros.
fn port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_number)
}
