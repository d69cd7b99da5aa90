//! The PROXY protocol, versions 1 and 2: what a proxy says before anything else of the connection that it stands for
//! (<https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>).
//!
//! Bytes go in as they come, and never more than are wanted, so that what is behind the header stays where it is.
//! Reading them, deadlines, and who may say such a thing are left to others.

mod binary;
mod line;

use std::fmt;
use std::net::SocketAddr;

/// Of whom a header speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The client at this address.
    Client(SocketAddr),
    /// The proxy itself, or somebody without an IP address: the connection has no other than its own.
    Unknown,
}

/// The longest line of version 1 with its end, in bytes ([section
/// 2.1](https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt)).
const LONGEST_LINE: usize = 107;

/// The fewest bytes of a header: `PROXY UNKNOWN` with the end of the line. Version 2 has one more.
const SHORTEST: usize = 15;

/// What has come of a header.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    bytes: [u8; LONGEST_LINE],
    length: usize,
    /// How much of what is passed over is to come, once that is known.
    passes: Option<usize>,
}

impl Header {
    pub(crate) fn new() -> Self {
        Self { bytes: [0; LONGEST_LINE], length: 0, passes: None }
    }

    /// How many bytes may be read without reading anything that is behind the header. Never none.
    pub(crate) fn wanted(&self) -> usize {
        let bytes = self.bytes();
        let wanted = match self.passes {
            Some(passes) => passes,
            None if bytes.len() < SHORTEST => SHORTEST - bytes.len(),
            None if binary::is_begun(bytes) => binary::wanted(bytes),
            None => line::wanted(bytes),
        };
        wanted.max(1)
    }

    /// Takes what has come, at most as much as was wanted. `None` as long as there is more to come.
    pub(crate) fn handle_input(&mut self, input: &[u8]) -> Result<Option<Source>, BadHeader> {
        if let Some(passes) = &mut self.passes {
            *passes = passes.saturating_sub(input.len());
        } else {
            let end = self.length + input.len();
            let room = self.bytes.get_mut(self.length..end).ok_or(BadHeader::TooLong)?;
            room.copy_from_slice(input);
            self.length = end;
        }
        let bytes = self.bytes.get(..self.length).unwrap_or_default();
        if binary::is_begun(bytes) {
            return match (binary::read(bytes)?, self.passes) {
                (None, _) => Ok(None),
                (Some((source, 0)), _) | (Some((source, _)), Some(0)) => Ok(Some(source)),
                (Some((_, passes)), None) => {
                    self.passes = Some(passes);
                    Ok(None)
                }
                (Some(_), Some(_)) => Ok(None),
            };
        }
        line::read(bytes)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Why there is no telling whom a connection is from, in words that a log can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// It begins with something else.
    Missing,
    /// A line that is none of version 1.
    Line,
    /// Longer than a line, or than the addresses and what is behind them, may be.
    TooLong,
    /// Another version than 1 and 2.
    Version,
    Command,
    Family,
    /// The addresses of its family have no room in its length.
    TooShort,
}

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "it does not begin with a header of the PROXY protocol",
            Self::Line => "the line of its PROXY header is malformed",
            Self::TooLong => "its PROXY header is too long",
            Self::Version => "its PROXY header has a version that is not known",
            Self::Command => "its PROXY header has a command that is not known",
            Self::Family => "its PROXY header has a family of addresses that is not known",
            Self::TooShort => "its PROXY header is too short for its addresses",
        })
    }
}

#[cfg(test)]
mod tests;
