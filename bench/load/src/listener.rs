//! A WebSocket of which each message that comes is looked at, whatever it is: its connection, and frames cut out of what
//! is read.

use std::io::ErrorKind;

use mio::net::TcpStream;

use crate::Result;
use crate::args::Args;
use crate::connection::Connection;

/// What a client's frames are masked with: any key is as good here.
const KEY: [u8; 4] = [0x5a, 0x0f, 0x33, 0xc1];

pub(crate) struct Listener {
    connection: Connection,
    /// The beginning of a frame that is not whole.
    rest: Vec<u8>,
    /// What the server has not taken yet.
    unsent: Vec<u8>,
}

impl Listener {
    /// Opens a WebSocket at `path`.
    pub(crate) fn open(args: &Args, path: &str) -> Result<Self> {
        let mut args = args.clone();
        path.clone_into(&mut args.path);
        let (connection, _) = Connection::open(&args, None)?;
        Ok(Self { connection, rest: Vec::new(), unsent: Vec::new() })
    }

    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        self.connection.socket()
    }

    /// Sends a text of less than 64 KiB, now or when there is room.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        self.unsent.push(0x81);
        match u8::try_from(text.len()) {
            Ok(short @ 0..=125) => self.unsent.push(0x80 | short),
            _ => {
                self.unsent.push(0x80 | 126);
                self.unsent.extend_from_slice(&(text.len() as u16).to_be_bytes());
            }
        }
        self.unsent.extend_from_slice(&KEY);
        self.unsent.extend(text.bytes().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
        self.flush()
    }

    /// Sends what the server takes now.
    pub(crate) fn flush(&mut self) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.connection.send(&self.unsent).map_err(|error| format!("sending: {error}"))? {
                0 => break,
                count => drop(self.unsent.drain(..count)),
            }
        }
        Ok(())
    }

    /// Reads all there is, and gives each text to `take`.
    pub(crate) fn receive(&mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        loop {
            let count = match self.connection.receive(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                other => other.map_err(|error| format!("receiving: {error}"))?,
            };
            let read = buffer.get(..count).unwrap_or_default();
            if self.rest.is_empty() {
                let taken = each_text(read, &mut take)?;
                self.rest.extend_from_slice(&read[taken..]);
            } else {
                self.rest.extend_from_slice(read);
                let taken = each_text(&self.rest, &mut take)?;
                self.rest.drain(..taken);
            }
            if count < buffer.len() {
                return Ok(());
            }
        }
    }
}

/// Gives the texts at the front of `bytes` to `take`; returns how many bytes were whole frames. Pings are passed over:
/// they come after silence alone.
fn each_text(bytes: &[u8], take: &mut impl FnMut(&[u8]) -> Result<()>) -> Result<usize> {
    let mut taken = 0;
    while let Some((first, payload, length)) = frame(&bytes[taken..]) {
        match first {
            0x81 => take(payload)?,
            0x89 | 0x8a => {}
            0x88 => return Err(format!("closed: {}", payload.escape_ascii())),
            other => return Err(format!("a frame that begins with {other:02x}")),
        }
        taken += length;
    }
    Ok(taken)
}

/// The first byte and the payload of the frame at the front, and how long it is, if it is whole.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (length, header): (usize, usize) = match second {
        126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let end = header.checked_add(length)?;
    Some((first, bytes.get(header..end)?, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_out_wherever_reads_end() {
        let long = [&[0x81, 126, 1, 0][..], &[b'x'; 256]].concat();
        let stream = [&b"\x81\x02hi\x89\x00"[..], &long, b"\x81\x00"].concat();
        for cut in 0..=stream.len() {
            let mut texts = Vec::new();
            let mut take = |text: &[u8]| {
                texts.push(text.len());
                Ok(())
            };
            let taken = each_text(&stream[..cut], &mut take).unwrap();
            assert_eq!(each_text(&stream[taken..], &mut take).unwrap(), stream.len() - taken);
            assert_eq!(texts, [2, 256, 0], "cut at {cut}");
        }
        assert!(each_text(b"\x88\x02\x03\xe9", &mut |_| Ok(())).is_err());
        assert!(each_text(b"\x82\x00", &mut |_| Ok(())).is_err());
    }
}
