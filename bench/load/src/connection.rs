//! One connection to the server: TCP, TLS if asked for, and the request that opens it.
//!
//! It is opened with blocking calls, one after another; from then on nothing blocks.

use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::Result;
use crate::args::{Args, Mode};
use crate::deflate;

/// How long a server may take to answer the request that opens a connection.
const OPEN_LIMIT: Duration = Duration::from_secs(20);

/// How much plain text is given to TLS before what comes of it is written.
const TLS_PIECE: usize = 256 * 1024;

/// The key of the example in RFC 6455, section 1.3, and the answer to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A stream that does not block.
#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

/// An HTTP response: all of it, and where its headers are.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: Range<usize>,
}

/// The request that opens a WebSocket, or any GET.
pub(crate) fn request(args: &Args) -> String {
    let head = format!("GET {} HTTP/1.1\r\nHost: localhost:{}\r\n", args.path, args.server().port());
    match args.mode {
        Mode::Http | Mode::Handshake => {
            head + &args.header.as_ref().map_or_else(String::new, |line| format!("{line}\r\n")) + "\r\n"
        }
        _ => {
            let extensions = if args.deflate { deflate::OFFER } else { "" };
            head + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
                + KEY
                + "\r\n"
                + extensions
                + "\r\n"
        }
    }
}

/// Whether `head` is a response that opens the WebSocket of [`request`].
pub(crate) fn is_accepted(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head);
    head.starts_with("HTTP/1.1 101 ") && head.contains(ACCEPT)
}

/// The length of the response head at the front of `bytes`, if it is whole.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

impl Connection {
    /// Connects and sends the request of the mode, if it has one; returns the response too.
    pub(crate) fn open(args: &Args, tls: Option<&Arc<ClientConfig>>) -> Result<(Self, Option<Response>)> {
        Self::try_open(args, tls).map_err(|error| format!("cannot open a connection: {error}"))
    }

    fn try_open(args: &Args, tls: Option<&Arc<ClientConfig>>) -> io::Result<(Self, Option<Response>)> {
        let mut socket = std::net::TcpStream::connect_timeout(&args.server(), OPEN_LIMIT)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(OPEN_LIMIT))?;
        socket.set_write_timeout(Some(OPEN_LIMIT))?;
        let mut tls = match tls {
            None => None,
            Some(config) => {
                let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
                let mut tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
                tls.set_buffer_limit(None);
                Some(Box::new(tls))
            }
        };
        let response = match (&mut tls, args.mode) {
            (_, Mode::Raw) => None,
            (None, _) => Some(exchange(&mut socket, args)?),
            (Some(tls), _) => Some(exchange(&mut rustls::Stream::new(tls.as_mut(), &mut socket), args)?),
        };
        socket.set_nonblocking(true)?;
        Ok((Self { socket: TcpStream::from_std(socket), tls }, response))
    }

    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// Takes from the front of `bytes` what goes out or into TLS; 0 if the server has to read first.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return blocked_is_zero(self.socket.write(bytes)) };
        if tls.wants_write() {
            return Ok(0);
        }
        let taken = tls.writer().write(&bytes[..bytes.len().min(TLS_PIECE)])?;
        self.flush()?;
        Ok(taken)
    }

    /// Writes what TLS still holds, as far as the server takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.wants_write() {
            if blocked_is_zero(tls.write_tls(&mut self.socket))? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Reads into `buffer`; 0 if there is nothing to read. The end of the stream is an error.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ended = || io::Error::new(ErrorKind::UnexpectedEof, "the server has ended the connection");
        let Some(tls) = &mut self.tls else {
            return match self.socket.read(buffer) {
                Ok(0) => Err(ended()),
                other => blocked_is_zero(other),
            };
        };
        loop {
            match blocked_is_zero(tls.reader().read(buffer))? {
                0 => {}
                count => return Ok(count),
            }
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(ended()),
                Ok(_) => {
                    tls.process_new_packets().map_err(io::Error::other)?;
                }
                Err(error) => return blocked_is_zero(Err(error)),
            }
        }
    }

    /// Whether a read that did not fill its buffer took all there was.
    pub(crate) fn short_read_is_all(&self) -> bool {
        self.tls.is_none()
    }
}

fn blocked_is_zero(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        other => other,
    }
}

/// Sends the request and reads its response, with the body that Content-Length announces.
fn exchange(io: &mut (impl Read + Write), args: &Args) -> io::Result<Response> {
    io.write_all(request(args).as_bytes())?;
    io.flush()?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    let head = loop {
        if let Some(length) = head_length(&bytes) {
            break length;
        }
        read_some(io, &mut buffer, &mut bytes)?;
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let accepted = match args.mode {
        Mode::Http => text.starts_with(&format!("HTTP/1.1 {} ", args.status)),
        _ => is_accepted(&bytes),
    };
    if !accepted {
        return Err(io::Error::other(format!("the server answered {text:?}")));
    }
    if args.deflate && !header(&text, "sec-websocket-extensions").is_some_and(deflate::is_agreed) {
        return Err(io::Error::other(format!("the server does not compress as it was offered: {text:?}")));
    }
    // A 304 has no content, whatever its headers say of what it would be: RFC 9110, section 15.4.5.
    let length = header(&text, "content-length").filter(|_| args.status != 304);
    let length = length.map(str::parse::<usize>).transpose().map_err(io::Error::other)?.unwrap_or(0);
    while bytes.len() < head + length {
        read_some(io, &mut buffer, &mut bytes)?;
    }
    // The status line is compared, the headers hold a date.
    let status = text.find("\r\n").unwrap_or(0);
    Ok(Response { bytes, headers: status..head })
}

/// The value of the first header called `wanted`.
fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}

fn read_some(io: &mut impl Read, buffer: &mut [u8], bytes: &mut Vec<u8>) -> io::Result<()> {
    match io.read(buffer)? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        count => {
            bytes.extend_from_slice(&buffer[..count]);
            Ok(())
        }
    }
}
