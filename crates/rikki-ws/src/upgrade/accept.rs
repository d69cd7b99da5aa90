//! Accepting a WebSocket over a stream that no HTTP server has read from.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rikki_limits::Excerpt;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;

use super::Upgrade;
use super::judged::Judged;
use crate::endpoint::Endpoint;
use crate::opening::Opening;
use crate::stream::WebSocket;
use crate::tracker::Tracker;

/// What a request head may have, in bytes and in fields.
const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 100;

/// How long a client has for its request and for taking the answer: as long as for a request head of the server.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long a client that was refused is read from, so that the system does not reset what tells it why, and how much.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: u64 = 64 * 1024;

/// How long the text of a refusal of ours may be, in bytes.
const MAX_REFUSAL: usize = 4 * 1024;

impl<H> Endpoint<H> {
    /// Accepts a WebSocket over a stream of any kind, on which no HTTP server is: reads the request, which has to be an
    /// opening handshake of HTTP/1.1, judges it as [`Upgrade::on_upgrade`] does, and answers it.
    ///
    /// The WebSocket goes by the configuration, subprotocols, origins, groups and [`Live`](crate::Live) of the endpoint; those
    /// that it does not set are as under `axum::serve`. The handler of the endpoint is not used. What the request said is
    /// in the [`Opening`], whose peer has no address.
    ///
    /// The request head may have 16 KiB and 100 fields, and the handshake takes 10 s at most; who is refused is waited for
    /// one second more, until it has read why. Memory: the buffers of HTTP until this returns, up to about 32 KiB.
    ///
    /// # Errors
    ///
    /// Each [`AcceptError`], after which the stream is closed; a client whose request could be read has been answered.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the stream; nothing else is left behind.
    ///
    /// ```
    /// use rikki_ws::{AcceptError, Endpoint};
    /// use tokio::io::{AsyncRead, AsyncWrite};
    ///
    /// async fn greet(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<(), AcceptError> {
    ///     let (mut socket, opening) = Endpoint::default().accept(stream).await?;
    ///     let greeting = format!("You have asked for {}", opening.uri().path());
    ///     // The peer may be gone by now.
    ///     let _ = socket.send(greeting).await;
    ///     Ok(())
    /// }
    /// ```
    pub async fn accept<I>(&self, stream: I) -> Result<(WebSocket, Opening), AcceptError>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let judge = |request: Request<Incoming>| {
            Upgrade::from_parts(Box::new(request.map(drop).into_parts().0)).at(self).judge()
        };
        exchange(stream, judge).await
    }
}

/// What starts and the answer to it, or the refusal.
type Judgement = Result<(Judged, axum::response::Response), Box<axum::response::Response>>;

/// What a request has come to: what starts, or what it was told.
type Outcome = Result<Judged, Response<Bytes>>;

async fn exchange<I>(
    stream: I,
    judge: impl Fn(Request<Incoming>) -> Judgement,
) -> Result<(WebSocket, Opening), AcceptError>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let outcome = Mutex::<Option<Outcome>>::default();
    let service = service_fn(|request| {
        let (judgement, outcome) = (judge(request), &outcome);
        Box::pin(async move {
            let (what, answer) = read(judgement).await;
            *outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
            Ok::<_, Infallible>(answer)
        })
    });
    let mut builder = http1::Builder::new();
    // There is one request, and one deadline for all of it.
    builder.keep_alive(false).header_read_timeout(None).half_close(true);
    builder.max_headers(MAX_HEADERS).max_header_size(MAX_HEAD).max_buf_size(MAX_HEAD);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let exchanged = timeout(HANDSHAKE_TIME, poll_fn(|cx| connection.poll_without_shutdown(cx))).await;
    let Ok(ended) = exchanged else { return Err(AcceptError::TimedOut) };
    let parts = connection.into_parts();
    let mut io = parts.io.into_inner();
    let outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    let error = match (outcome, ended) {
        (Some(Ok(judged)), Ok(())) => {
            return Ok(judged.begin(Tracker::default()).into_socket(Box::new(io), &parts.read_buf));
        }
        (Some(Err(refusal)), Ok(())) => AcceptError::Refused(Box::new(refusal)),
        (None, Ok(())) => AcceptError::Http(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        (_, Err(error)) => AcceptError::Http(error.into()),
    };
    linger(&mut io).await;
    Err(error)
}

/// What is answered, and what is kept of it.
async fn read(judgement: Judgement) -> (Outcome, axum::response::Response) {
    match judgement {
        Ok((judged, answer)) => (Ok(judged), answer),
        Err(refusal) => {
            let (head, body) = refusal.into_parts();
            // It is ours, and in memory.
            let text = to_bytes(body, MAX_REFUSAL).await.unwrap_or_default();
            let refusal = Response::from_parts(head, text);
            (Err(refusal.clone()), refusal.map(Body::from))
        }
    }
}

/// Closes the stream behind an answer, and waits a moment for the client to do so too.
async fn linger(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let rest = async {
        io.shutdown().await?;
        tokio::io::copy(&mut pin!(io.take(LINGER_BYTES)), &mut tokio::io::sink()).await
    };
    // Whether the client has listened makes no difference.
    let _ = timeout(LINGER, rest).await;
}

/// Why [`Endpoint::accept`] has given no WebSocket.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The request was no handshake, broke a rule of it, or came from a page of another origin. It was answered with
    /// this; the body says which it was, in at most 4 KiB.
    Refused(Box<Response<Bytes>>),
    /// The connection broke or ended before there was a request, or what came was not HTTP/1.1. What could be answered
    /// was, with a status alone.
    Http(Box<dyn std::error::Error + Send + Sync>),
    /// The handshake took longer than 10 s.
    TimedOut,
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(response) => {
                write!(f, "the handshake was refused with {}", response.status())?;
                let text = response.body().trim_ascii();
                if text.is_empty() { Ok(()) } else { write!(f, ": \"{}\"", Excerpt::of(text)) }
            }
            Self::Http(error) => {
                // hyper's own text does not include that of its cause.
                write!(f, "the opening handshake failed: {error}")?;
                error.source().map_or(Ok(()), |cause| write!(f, ": {cause}"))
            }
            Self::TimedOut => f.write_str("the opening handshake took longer than 10 s"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Http(error) => Some(&**error),
            Self::Refused(_) | Self::TimedOut => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;
    use crate::{CloseCode, Config, Live, Message};

    const HANDSHAKE: &str = "GET /room?a=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
                             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    /// What becomes of a connection on which this is sent, and what is answered up to its end.
    async fn told(endpoint: &Endpoint, sent: &str) -> (String, String) {
        let (mut client, server) = duplex(64 << 10);
        let talking = async {
            client.write_all(sent.as_bytes()).await.unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (accepted, answer) = tokio::join!(endpoint.accept(server), talking);
        (accepted.map(drop).unwrap_err().to_string(), answer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_and_what_is_behind_it() {
        let (mut client, server) = duplex(64 << 10);
        let endpoint = Endpoint::default().protocols(["v2", "v1"]).unwrap();
        let endpoint = endpoint.config(Config::default().max_message_size(2));
        let accepted = tokio::spawn(async move { endpoint.accept(server).await.unwrap() });
        // A frame with the request: it is no client's place to wait.
        let request = format!("{HANDSHAKE}Sec-WebSocket-Protocol: v1\r\nX-User: 42\r\n\r\n");
        let frame = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
        client.write_all(&[request.as_bytes(), &frame].concat()).await.unwrap();
        let (mut socket, opening) = accepted.await.unwrap();
        assert_eq!(opening.uri(), "/room?a=1");
        assert_eq!(opening.headers()["x-user"], "42");
        assert_eq!((opening.protocol(), socket.protocol()), (Some("v1"), Some("v1")));
        assert_eq!(socket.recv().await.unwrap().unwrap(), Message::from("hi"));
        socket.send("ho").await.unwrap();
        let mut answer = vec![0; 4096];
        let length = client.read(&mut answer).await.unwrap();
        let answer = &answer[..length];
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(answer));
        assert!(answer.ends_with(b"\r\n\r\n\x81\x02ho"), "{}", String::from_utf8_lossy(answer));
        // The limits are the endpoint's.
        client.write_all(&[0x81, 0x83, 0, 0, 0, 0, b'h', b'i', b'!']).await.unwrap();
        assert!(socket.recv().await.unwrap().is_err());
        assert_eq!(socket.closed().unwrap().code, CloseCode::MESSAGE_TOO_BIG);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_handshake_is_told_so() {
        let endpoint = Endpoint::default();
        let check = async |what: &str, sent: &str, error: &str, status: &str, text: &str| {
            let (told, answer) = told(&endpoint, sent).await;
            assert!(told.starts_with(error), "{what}: {told}");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
            assert!(told.contains(text) && answer.contains(text), "{what}: {told} {answer}");
        };
        let refused = "the handshake was refused with ";
        let plain = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        check("no upgrade", plain, refused, "426", "Upgrade").await;
        let foreign = format!("{HANDSHAKE}Origin: https://evil.example\r\n\r\n");
        check("another origin", &foreign, refused, "403", "https://evil.example").await;
        let old = format!("{HANDSHAKE}\r\n").replace("Version: 13", "Version: 8");
        check("another version", &old, refused, "426", "13").await;
        let body = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n{}", "x".repeat(9999));
        check("a body", &body, refused, "405", "GET").await;
        let old = format!("{HANDSHAKE}\r\n").replace("HTTP/1.1", "HTTP/1.0");
        let (told_of_it, answer) = told(&endpoint, &old).await;
        assert!(told_of_it.starts_with(refused) && answer.starts_with("HTTP/1.0 "), "{told_of_it} {answer}");
        let body = format!("{HANDSHAKE}Content-Length: 2\r\n\r\nhi");
        check("a handshake with a body", &body, refused, "400", "body").await;
        let behind = format!("{plain}GET /second HTTP/1.1\r\nHost: localhost\r\n\r\n");
        check("one more request", &behind, refused, "426", "Upgrade").await;
        let http = "the opening handshake failed: ";
        check("no HTTP", "\x16\x03\x01 hello\r\n\r\n", http, "400", "").await;
        let large = format!("{HANDSHAKE}X: {}\r\n\r\n", "x".repeat(MAX_HEAD));
        check("a large head", &large, http, "431", "").await;
        let many = format!("{HANDSHAKE}{}\r\n", "X: x\r\n".repeat(MAX_HEADERS));
        check("many fields", &many, http, "431", "").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_and_writes_byte_by_byte_has_its_time_and_no_more() {
        let started = tokio::time::Instant::now();
        let (client, server) = duplex(1);
        let (mut answers, mut asks) = tokio::io::split(client);
        let talking = tokio::spawn(async move {
            asks.write_all(format!("{HANDSHAKE}\r\n").as_bytes()).await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(answers.read_u8().await.unwrap());
            }
            (String::from_utf8(head).unwrap(), asks, answers)
        });
        let _accepted = Endpoint::default().accept(server).await.unwrap();
        assert!(talking.await.unwrap().0.starts_with("HTTP/1.1 101 "));
        assert!(started.elapsed() < Duration::from_secs(1));

        let (mut client, server) = duplex(1);
        let endless = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let started = tokio::time::Instant::now();
        assert!(matches!(Endpoint::default().accept(server).await, Err(AcceptError::TimedOut)));
        assert_eq!(started.elapsed(), HANDSHAKE_TIME);
        endless.await.unwrap();

        // One who asks, and does not read.
        let (mut client, server) = duplex(64);
        let asks = tokio::spawn(async move {
            client.write_all(format!("{HANDSHAKE}\r\n").as_bytes()).await.unwrap();
            client
        });
        let live = Live::new();
        let endpoint = Endpoint::default().live(&live);
        let started = tokio::time::Instant::now();
        assert!(matches!(endpoint.accept(server).await, Err(AcceptError::TimedOut)));
        assert_eq!(started.elapsed(), HANDSHAKE_TIME);
        drop(asks.await.unwrap());
        assert_eq!(live.counters().websockets, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_not_waited_for() {
        let started = tokio::time::Instant::now();
        let (mut client, server) = duplex(1024);
        client.write_all(HANDSHAKE.as_bytes()).await.unwrap();
        assert!(matches!(Endpoint::default().accept(server).await, Err(AcceptError::TimedOut)));
        assert_eq!(started.elapsed(), HANDSHAKE_TIME);
        let mut rest = Vec::new();
        assert_eq!(client.read_to_end(&mut rest).await.unwrap(), 0, "it is closed");
        // The same if the future is dropped.
        let (mut client, server) = duplex(1024);
        let live = Live::new();
        let endpoint = Endpoint::default().live(&live);
        let accepted = timeout(Duration::from_secs(1), endpoint.accept(server));
        assert!(accepted.await.is_err());
        assert_eq!(client.read_to_end(&mut rest).await.unwrap(), 0);
        assert_eq!(live.counters().websockets, 0);

        let (client, server) = duplex(1024);
        drop(client);
        assert!(matches!(Endpoint::default().accept(server).await, Err(AcceptError::Http(_))));
    }
}
