//! A WebSocket client down at the socket, which does what it is told and no more: it answers no ping and no Close.

use std::net::SocketAddr;
use std::time::Duration;

/// A masked frame of which the first byte is given: FIN, reserved bits and opcode.
pub(crate) use testkit::frame as raw_frame;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::Result;

/// Where the command echoes.
pub(crate) const ECHO: &str = "/websocket";

pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// No wait for a server is longer, unless a case says so.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// A frame from the server.
#[derive(Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of a Close.
    fn code(&self) -> Result<u16> {
        self.payload.first_chunk().map(|code| u16::from_be_bytes(*code)).ok_or("a Close without a code".to_owned())
    }
}

/// An open WebSocket.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    /// What was read and is not a whole frame yet.
    buffer: Vec<u8>,
}

impl Client {
    /// Connects and shakes hands.
    pub(crate) async fn connect(server: SocketAddr, path: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4().map_err(|error| format!("a socket: {error}"))?;
        Self::connect_with(socket, server, path).await
    }

    /// The same on a socket that was made before, with a small receive buffer for one.
    pub(crate) async fn connect_with(socket: TcpSocket, server: SocketAddr, path: &str) -> Result<Self> {
        Self::connect_asking(socket, server, path, "").await
    }

    /// The same, and offers to compress.
    pub(crate) async fn connect_compressing(server: SocketAddr, path: &str) -> Result<Self> {
        let socket = TcpSocket::new_v4().map_err(|error| format!("a socket: {error}"))?;
        Self::connect_asking(socket, server, path, "Sec-WebSocket-Extensions: permessage-deflate\r\n").await
    }

    async fn connect_asking(socket: TcpSocket, server: SocketAddr, path: &str, fields: &str) -> Result<Self> {
        in_time("the opening handshake", async {
            let stream = socket.connect(server).await.map_err(|error| format!("connect: {error}"))?;
            stream.set_nodelay(true).map_err(|error| format!("nodelay: {error}"))?;
            Self::upgrade(stream, server, path, fields).await
        })
        .await
    }

    async fn upgrade(mut stream: TcpStream, server: SocketAddr, path: &str, fields: &str) -> Result<Self> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(|error| format!("handshake: {error}"))?;
        let mut buffer = Vec::new();
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|end| end == b"\r\n\r\n") {
                break at + 4;
            }
            let read = stream.read_buf(&mut buffer).await.map_err(|error| format!("handshake: {error}"))?;
            if read == 0 {
                return Err("the server ended the opening handshake".to_owned());
            }
        };
        if !buffer.starts_with(b"HTTP/1.1 101 ") {
            let status = buffer.split(|byte| *byte == b'\r').next().unwrap_or_default();
            return Err(format!("handshake refused: {}", String::from_utf8_lossy(status)));
        }
        buffer.drain(..end);
        Ok(Self { stream, buffer })
    }

    /// Sends a whole frame.
    pub(crate) async fn send(&mut self, opcode: u8, payload: &[u8]) -> Result<()> {
        self.stream.write_all(&frame(opcode, payload)).await.map_err(|error| format!("write: {error}"))
    }

    /// The next frame; `None` when the server has ended TCP.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>> {
        next_frame(&mut self.stream, &mut self.buffer).await
    }

    /// Sends `chunk` so many times with a pause after each, or until the server has ended TCP, and reads all the while;
    /// gives the code of the Close that came.
    pub(crate) async fn flood(&mut self, chunk: &[u8], times: usize, pause: Duration) -> Result<u16> {
        let Self { stream, buffer } = self;
        let (mut read, mut write) = stream.split();
        let writing = async {
            for _ in 0..times {
                // Who is refused goes on to the end of the connection: that is the flood.
                if write.write_all(chunk).await.is_err() {
                    break;
                }
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
        };
        let reading = async {
            let mut code = Err("the connection ended without a Close".to_owned());
            while let Ok(Some(frame)) = next_frame(&mut read, buffer).await {
                if frame.opcode == CLOSE {
                    code = frame.code();
                }
            }
            code
        };
        in_time("the end of a flood", async { tokio::join!(writing, reading).1 }).await
    }

    /// Sends a text and waits until it has come back.
    pub(crate) async fn echo(&mut self, text: &str) -> Result<()> {
        in_time("an echo", async {
            self.send(TEXT, text.as_bytes()).await?;
            match self.next().await? {
                Some(Frame { fin: true, opcode: TEXT, payload }) if payload == text.as_bytes() => Ok(()),
                other => Err(format!("no echo but {other:?}")),
            }
        })
        .await
    }

    /// Passes over frames until the Close, and gives its code; an error if the connection ends without one.
    pub(crate) async fn close_code(&mut self) -> Result<u16> {
        while let Some(frame) = self.next().await? {
            if frame.opcode == CLOSE {
                return frame.code();
            }
        }
        Err("the connection ended without a Close".to_owned())
    }

    /// Takes leave as it should be: answers the Close that came, if one did, and waits for the server to end TCP.
    pub(crate) async fn leave(mut self, code: u16) -> Result<()> {
        in_time("the end of TCP", async {
            self.send(CLOSE, &code.to_be_bytes()).await?;
            while self.next().await?.is_some() {}
            Ok(())
        })
        .await
    }

    /// The connection, and what was read of it and not looked at.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.stream, self.buffer)
    }

    /// Ends the connection with RST.
    pub(crate) fn reset(self) -> Result<()> {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .map_err(|error| format!("SO_LINGER: {error}"))
    }
}

/// The next frame; `None` at the end of TCP.
pub(crate) async fn next_frame(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Result<Option<Frame>> {
    loop {
        if let Some((frame, length)) = split_frame(buffer) {
            buffer.drain(..length);
            return Ok(Some(frame));
        }
        if stream.read_buf(buffer).await.map_err(|error| format!("read: {error}"))? == 0 {
            return Ok(None);
        }
    }
}

/// Bounds a wait by [`LIMIT`].
pub(crate) async fn in_time<T>(what: &str, wait: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(LIMIT, wait).await.unwrap_or_else(|_| Err(format!("{what} took longer than {LIMIT:?}")))
}

/// A masked frame, the last of its message.
pub(crate) fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    raw_frame(0x80 | opcode, payload)
}

/// The frame at the start of `bytes` if all of it is there, and its length.
fn split_frame(bytes: &[u8]) -> Option<(Frame, usize)> {
    let [first, second, ..] = *bytes else { return None };
    let (length, start) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(start..start + length)?.to_vec();
    Some((Frame { fin: first & 0x80 != 0, opcode: first & 0x0f, payload }, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_when_they_are_whole() {
        let check = |header: &[u8], length: usize| {
            let bytes = [header, &vec![b'x'; length], b"rest"].concat();
            let frame = Frame { fin: true, opcode: TEXT, payload: vec![b'x'; length] };
            assert_eq!(split_frame(&bytes), Some((frame, header.len() + length)), "{length}");
            assert_eq!(split_frame(&bytes[..header.len() + length - 1]), None, "{length}");
        };
        check(&[0x81, 5], 5);
        check(&[0x81, 126, 1, 0], 256);
        check(&[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536);
    }
}
