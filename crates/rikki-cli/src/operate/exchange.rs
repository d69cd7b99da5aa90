//! One request to what looks inside a server, and its answer: a few lines of HTTP/1.1 that take no runtime.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// How long an answer may take without a byte of it: settings that are read again may be on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an answer may have, in bytes.
const LONGEST: u64 = 64 << 20;

/// Where it is asked.
#[derive(Debug)]
pub(super) enum Place {
    Unix(PathBuf),
    Tcp(String),
}

/// What was answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Place {
    /// A URL, or what the flag of the server may have in its place.
    pub(super) fn tcp(place: &str) -> Result<Self, String> {
        let authority = place.strip_prefix("http://").unwrap_or(place).trim_end_matches('/');
        let is_number = authority.bytes().all(|byte| byte.is_ascii_digit());
        match authority {
            "" => Err("the place is empty: write unix:PATH or http://HOST:PORT".to_owned()),
            _ if authority.contains('/') => Err(format!("{place} is no place: write unix:PATH or http://HOST:PORT")),
            port if is_number => Ok(Self::Tcp(format!("localhost:{port}"))),
            port if port.starts_with(':') => Ok(Self::Tcp(format!("localhost{port}"))),
            _ if !authority.contains(':') => Err(format!("{place} has no port: write HOST:PORT")),
            _ => Ok(Self::Tcp(authority.to_owned())),
        }
    }

    pub(super) fn get(&self, target: &str) -> io::Result<Answer> {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.host()))
    }

    pub(super) fn post(&self, command: &str, argument: &str) -> io::Result<Answer> {
        let (host, length) = (self.host(), argument.len());
        let head = format!("Host: {host}\r\nContent-Length: {length}\r\nConnection: close");
        self.ask(&format!("POST /commands/{command} HTTP/1.1\r\n{head}\r\n\r\n{argument}"))
    }

    fn host(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            Self::Tcp(authority) => authority,
        }
    }

    fn ask(&self, request: &str) -> io::Result<Answer> {
        match self {
            #[cfg(unix)]
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                exchange(stream, request)
            }
            #[cfg(not(unix))]
            Self::Unix(_) => Err(ErrorKind::Unsupported.into()),
            Self::Tcp(authority) => {
                let address = authority.to_socket_addrs()?.next().ok_or(ErrorKind::NotFound)?;
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                exchange(stream, request)
            }
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

/// The answer ends with the connection, and has a length.
fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    let invalid = || io::Error::new(ErrorKind::InvalidData, "what answers there speaks no HTTP");
    let (answer, is_whole) = read(&answer).ok_or_else(invalid)?;
    is_whole.then_some(answer).ok_or_else(|| io::Error::new(ErrorKind::UnexpectedEof, "the answer was cut off"))
}

/// The answer, and whether it has the length that it announces.
fn read(answer: &[u8]) -> Option<(Answer, bool)> {
    const END: &[u8] = b"\r\n\r\n";
    let end = answer.windows(END.len()).position(|bytes| bytes == END)?;
    let (head, body) = (std::str::from_utf8(answer.get(..end)?).ok()?, answer.get(end + END.len()..)?);
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths =
        fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, length)| length.trim());
    let is_whole = lengths.all(|length| length.parse() == Ok(body.len()));
    Some((Answer { status, text: String::from_utf8_lossy(body).into_owned() }, is_whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let check = |place: &str, expected: Result<&str, &str>| {
            let host = Place::tcp(place).map(|place| place.host().to_owned());
            assert_eq!(host.as_deref().map_err(String::as_str), expected, "{place}");
        };
        check("9100", Ok("localhost:9100"));
        check(":9100", Ok("localhost:9100"));
        check("http://127.0.0.1:9100/", Ok("127.0.0.1:9100"));
        check("[::1]:9100", Ok("[::1]:9100"));
        check("localhost", Err("localhost has no port: write HOST:PORT"));
        check("", Err("the place is empty: write unix:PATH or http://HOST:PORT"));
        check("https://a:1", Err("https://a:1 is no place: write unix:PATH or http://HOST:PORT"));
    }

    #[test]
    fn answers() {
        let (answer, is_whole) = read(b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n").unwrap();
        assert_eq!((answer.status, &*answer.text, is_whole), (404, "no\n", true));
        assert!(!read(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nno\n").unwrap().1, "cut off");
        for broken in ["", "HTTP/1.1 20", "SSH-2.0\r\n\r\n", "HTTP/1.1 x\r\n\r\n"] {
            assert!(read(broken.as_bytes()).is_none(), "{broken}");
        }
    }
}
