//! HTTP/2 in raw frames ([RFC 9113 section 4.1](https://www.rfc-editor.org/rfc/rfc9113#section-4.1)): what hyper's own
//! client would not do.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::talk::Talk;
use crate::wire::{Running, soon};

pub(crate) const HEADERS: u8 = 1;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame from the server.
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection that answers neither SETTINGS nor PING.
pub(crate) struct Frames(Talk);

impl Frames {
    /// Connects with these settings of its own, as identifier and value.
    pub(crate) async fn connect(server: &Running, settings: &[(u16, u32)]) -> Self {
        let mut connection = Self(Talk::connect_alpn(server, b"h2").await);
        let payload: Vec<u8> =
            settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        connection.0.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        connection.send(&frame(SETTINGS, 0, 0, &payload)).await;
        connection
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.0.send(bytes).await;
    }

    /// The same of a connection that the server may have ended.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        let stream = &mut self.0.stream;
        let sent = async { stream.write_all(bytes).await.is_ok() && stream.flush().await.is_ok() };
        soon("writing", sent).await
    }

    /// The next frame; `None` at the end of the connection, in whatever way.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let stream = &mut self.0.stream;
        let mut head = [0; 9];
        soon("a frame", stream.read_exact(&mut head)).await.ok()?;
        let [high, middle, low, kind, _, a, b, c, d] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        soon("a payload", stream.read_exact(&mut payload)).await.ok()?;
        Some(Frame { kind, stream: u32::from_be_bytes([a, b, c, d]), payload })
    }

    /// The next frame of a kind.
    pub(crate) async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        self.next_of_any(&[kind]).await
    }

    /// The next frame of any of some kinds.
    pub(crate) async fn next_of_any(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A GET of `path` on `host`, whole.
pub(crate) fn get(stream: u32, host: &str, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &block(host, path, &[]))
}

/// The fields of it, none of them compressed ([RFC 7541 section
/// 6.2.2](https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2)).
pub(crate) fn block(host: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // GET and https from the table, then literals with the names `:path` and `:authority`.
    let mut block = vec![0x82, 0x87];
    for (name, value) in [(4, path), (1, host)] {
        block.extend_from_slice(&[name, value.len() as u8]);
        block.extend_from_slice(value.as_bytes());
    }
    for (name, value) in more {
        block.push(0);
        for text in [name, value] {
            block.push(text.len() as u8);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}
