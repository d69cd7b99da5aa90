//! How an authority is asked: HTTP/1.1 over TLS, a connection for each request, with a bound on every answer and a
//! deadline on every wait.

use std::io;
use std::pin::Pin;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::header::{HOST, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::ws::client::ClientTls;

/// How long one request may take, with resolving the name, connecting and the whole answer.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// How long connecting to one address may take.
const CONNECT_TIME: Duration = Duration::from_secs(8);

/// The most that is taken of an answer, in bytes.
const LARGEST: usize = 1 << 20;

/// When a suggestion is looked at again of which that is not said
/// ([RFC 9773 section 4.3.3](https://www.rfc-editor.org/rfc/rfc9773#section-4.3.3)), and the longest that is understood.
const AGAIN: Duration = Duration::from_secs(6 * 60 * 60);
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Makes what an authority is asked through.
pub(crate) type Connect = Arc<dyn Fn() -> Box<dyn HttpClient> + Send + Sync>;

/// How long the latest answer says to wait, if it does.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Option<Duration>>>);

impl Told {
    pub(crate) fn wait(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, wait: Option<Duration>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = wait;
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

/// Through TLS, with whoever is trusted here.
pub(super) fn connect(tls: &ClientTls) -> Connect {
    let config = tls.client_config();
    Arc::new(move || Box::new(Https(config.clone().into())))
}

/// Anybody, with a deadline, and with an answer of which it is known when to come again.
pub(super) struct Bounded {
    pub(super) inner: Box<dyn HttpClient>,
    pub(super) told: Told,
}

impl HttpClient for Bounded {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        let (told, is_get) = (self.told.clone(), request.method() == Method::GET);
        let answer = self.inner.request(request);
        Box::pin(async move {
            told.set(None);
            let timed_out = || Error::Other(format!("no answer within {} s", REQUEST_TIME.as_secs()).into());
            let mut answer = timeout(REQUEST_TIME, answer).await.map_err(|_| timed_out())??;
            let headers = &mut answer.parts.headers;
            let wait = headers.remove(RETRY_AFTER).and_then(|value| wait(&value, SystemTime::now()));
            told.set(wait);
            // As seconds, since a number that is too large for a time panics where it is read.
            if let Some(wait) = wait.or(is_get.then_some(AGAIN)) {
                headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
            }
            Ok(answer)
        })
    }
}

/// Seconds or a date ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
fn wait(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let wait = match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true if text.is_empty() => return None,
        // More than fits is long.
        true => text.parse().map_or(LONGEST, Duration::from_secs),
        false => {
            let date = SystemTime::from(httpdate::HttpDate::from_str(text).ok()?);
            date.duration_since(now).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST))
}

#[derive(Clone)]
struct Https(TlsConnector);

impl HttpClient for Https {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        let connector = self.0.clone();
        Box::pin(async move { ask(connector, request).await.map_err(Error::Other) })
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

async fn ask(connector: TlsConnector, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Failed> {
    let url = request.uri().clone();
    let authority = url.authority().ok_or("the authority names a URL without a host")?;
    // https://www.rfc-editor.org/rfc/rfc8555#section-6.1
    if url.scheme_str() != Some("https") {
        return Err("the authority names a URL that is not https".into());
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = authority.port_u16().unwrap_or(443);
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    *request.uri_mut() = url.path_and_query().map_or_else(Uri::default, |target| Uri::from(target.clone()));

    let unreachable = |error| format!("cannot connect to {host} port {port}: {error}");
    let stream = connect_to(&host, port).await.map_err(unreachable)?;
    let name = ServerName::try_from(host.clone())?;
    let stream = connector.connect(name, stream).await.map_err(|error| format!("TLS with {host} failed: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async {
        let response: Response<_> = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = to_bytes(Body::new(body), LARGEST).await?;
        check(parts.status, &body)?;
        Ok(BytesResponse { parts, body: Box::new(body) })
    };
    // An answer may be whole when the connection has ended.
    let driven = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        biased;
        answer = exchange => answer,
        () = driven => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
    }
}

/// An address that swallows everything leaves time for the next one.
async fn connect_to(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((host, port)).await? {
        match timeout(CONNECT_TIME, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// An answer that says nothing but a status, as from a proxy in front, would be an error of JSON otherwise.
fn check(status: StatusCode, body: &Bytes) -> Result<(), Failed> {
    if status.is_server_error() && !body.starts_with(b"{") {
        return Err(format!("the answer is {status}").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_that_are_asked_for() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |text: &str, expected: Option<u64>| {
            let wait = wait(&HeaderValue::from_str(text).unwrap(), now);
            assert_eq!(wait, expected.map(Duration::from_secs), "{text:?}");
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("18446744073709551615", Some(LONGEST.as_secs()));
        check("99999999999999999999999", Some(LONGEST.as_secs()));
        check("Sun, 06 Nov 1994 08:49:39 GMT", Some(2));
        check("Sun, 06 Nov 1994 08:49:30 GMT", Some(0));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST.as_secs()));
        for wrong in ["", "-1", "1.5", "soon"] {
            check(wrong, None);
        }
    }
}
