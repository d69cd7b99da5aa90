//! One request to what looks inside a server, and its answer.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::time::timeout;

/// How long it may take, with connecting and the whole answer: settings that are read again may be on a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);

/// What an answer may have, in bytes.
const LONGEST: usize = 64 << 20;

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

type Failed = Box<dyn std::error::Error + Send + Sync>;

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

    pub(super) fn get(&self, target: &str) -> Result<Answer, Failed> {
        self.ask(Method::GET, target, String::new())
    }

    pub(super) fn post(&self, command: &str, argument: &str) -> Result<Answer, Failed> {
        self.ask(Method::POST, &format!("/commands/{command}"), argument.to_owned())
    }

    fn host(&self) -> &str {
        match self {
            Self::Unix(_) => "localhost",
            Self::Tcp(authority) => authority,
        }
    }

    fn ask(&self, method: Method, target: &str, argument: String) -> Result<Answer, Failed> {
        let request = Request::builder().method(method).uri(target).header(header::HOST, self.host());
        let request = request.body(Body::from(argument))?;
        let asked = async {
            match self {
                #[cfg(unix)]
                Self::Unix(path) => exchange(UnixStream::connect(path).await?, request).await,
                #[cfg(not(unix))]
                Self::Unix(_) => Err(ErrorKind::Unsupported.into()),
                Self::Tcp(authority) => exchange(TcpStream::connect(authority).await?, request).await,
            }
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async { timeout(PATIENCE, asked).await });
        // Resolving a name may hang.
        runtime.shutdown_background();
        answer.map_err(|_| io::Error::new(ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}")))?
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

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Body>,
) -> Result<Answer, Failed> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the runtime.
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = to_bytes(Body::new(body), LONGEST).await?;
    Ok(Answer { status: head.status.as_u16(), text: String::from_utf8_lossy(&body).into_owned() })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

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
        let ask = |answer: &'static str| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let place = Place::tcp(&listener.local_addr().unwrap().to_string()).unwrap();
            let server = thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    head.extend_from_slice(&byte);
                }
                stream.write_all(answer.as_bytes()).unwrap();
            });
            let answer = place.get("/status");
            server.join().unwrap();
            answer
        };
        let answer = ask("HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nno\n").unwrap();
        assert_eq!((answer.status, &*answer.text), (404, "no\n"));
        for broken in ["", "HTTP/1.1 20", "SSH-2.0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nno\n"] {
            assert!(ask(broken).is_err(), "{broken}");
        }
    }
}
