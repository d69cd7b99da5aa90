//! Proxies: how they are written, which one the environment names, and the way through them.
//!
//! What a URL of a proxy means and whom `NO_PROXY` leaves out is hyper-util's knowledge. The tunnel of HTTP is one
//! exchange like the handshake's; that of SOCKS is in `socks`.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::net::TcpStream;

use super::exchange::{Answer, exchange};
use super::opening::is_scheme;
use super::route::Target;
use super::socks::{self, Credentials};
use super::{ConnectError, ProxyError};

/// What a proxy has to be.
const EXPECTED: &str = "write a proxy as http://[USER:PASSWORD@]HOST[:PORT] or socks5://, in percent encoding";

/// A proxy, and how to identify to it.
#[derive(Clone)]
pub(super) struct Proxy {
    /// Without user and password.
    uri: Uri,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Http(Option<HeaderValue>),
    Socks(Option<Credentials>),
}

impl Proxy {
    pub(super) fn parse(url: &str) -> Result<Self, &'static str> {
        // It would end the authority within a password, the beginning of which was taken for the port.
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        if authority.strip_suffix('/').unwrap_or(authority).contains(['/', '?', '#']) {
            return Err(EXPECTED);
        }
        // Any host has this one.
        let matcher = Matcher::builder().all(url.to_owned()).build();
        let found = matcher.intercept(&Uri::from_static("http://host/")).ok_or(EXPECTED)?;
        let uri = found.uri().clone();
        let kind = match uri.scheme_str() {
            Some("http") => Kind::Http(found.basic_auth().cloned()),
            Some("socks5" | "socks5h") => {
                Kind::Socks(found.raw_auth().map(|(user, password)| Credentials::new(user, password)).transpose()?)
            }
            _ => return Err("a proxy is http:// or socks5://"),
        };
        // A second @ would belong to the password, of which a part was taken for it.
        let is_whole = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        if is_whole && uri.host().is_some_and(|host| !host.is_empty()) { Ok(Self { uri, kind }) } else { Err(EXPECTED) }
    }

    /// A connection to `target` through it.
    pub(super) async fn connect(&self, target: Target<'_>) -> Result<TcpStream, ConnectError> {
        self.tunnel(target).await.map_err(|source| ConnectError::Proxy { proxy: self.to_string(), source })
    }

    async fn tunnel(&self, target: Target<'_>) -> Result<TcpStream, ProxyError> {
        let stream = self.target().connect().await.map_err(ProxyError::Unreachable)?;
        match &self.kind {
            Kind::Http(authorization) => through_http(stream, target, authorization.as_ref()).await,
            Kind::Socks(credentials) => socks::through(stream, target, credentials.as_ref()).await,
        }
    }

    fn target(&self) -> Target<'_> {
        Target::new(&self.uri, if matches!(self.kind, Kind::Http(_)) { 80 } else { 1080 })
    }
}

/// Never with user and password.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.uri.host().unwrap_or_default();
        write!(f, "{}://{host}:{}", self.uri.scheme_str().unwrap_or_default(), self.target().port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

/// [RFC 9110 section 9.3.6](https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6): "Any 2xx (Successful) response
/// indicates that the sender (and all inbound proxies) will switch to tunnel mode".
async fn through_http(
    stream: TcpStream,
    target: Target<'_>,
    authorization: Option<&HeaderValue>,
) -> Result<TcpStream, ProxyError> {
    let Target { host, port } = target;
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut request = Request::connect(&authority).header(header::HOST, &authority);
    if let Some(value) = authorization {
        request = request.header(header::PROXY_AUTHORIZATION, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| ProxyError::Broken(error.into()))?;
    // Behind a 204 hyper expects another answer, and would wait for it.
    let is_granted = |status: StatusCode| status.is_success() && status != StatusCode::NO_CONTENT;
    match exchange(stream, request, is_granted).await {
        Ok(Answer { io, read_ahead, .. }) if read_ahead.is_empty() => Ok(io),
        // The server behind it speaks when it is spoken to.
        Ok(_) => Err(ProxyError::Protocol("sent more than an answer")),
        Err(ConnectError::Refused(response)) if is_unauthorized(response.status()) => Err(ProxyError::Unauthorized),
        Err(ConnectError::Refused(response)) => Err(ProxyError::Refused(response)),
        Err(ConnectError::Redirected { .. }) => Err(ProxyError::Protocol("answered with a redirect")),
        Err(ConnectError::SpeaksTls) => Err(ProxyError::Protocol("speaks TLS, or is no proxy")),
        Err(ConnectError::Http(error)) => Err(ProxyError::Broken(error)),
        Err(error) => Err(ProxyError::Broken(error.into())),
    }
}

/// 407, and 401, by which tinyproxy says that a password is wrong.
fn is_unauthorized(status: StatusCode) -> bool {
    matches!(status, StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED)
}

/// The proxies that the environment names, and for whom.
pub(super) struct Environment {
    plain: Option<Result<Proxy, String>>,
    secure: Option<Result<Proxy, String>>,
    /// Takes in who is not left out.
    matcher: Matcher,
}

impl Environment {
    /// Asks for variables by `get`. The first that is set counts, and one that is empty is not.
    pub(super) fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &'static str| Some((name, get(name).filter(|value| !value.is_empty())?));
        let first = |names: &[&'static str]| names.iter().find_map(|name| set(name));
        let proxy = |names: &[&'static str]| {
            let (name, value) = first(names)?;
            Some(Proxy::parse(&value).map_err(|why| format!("the variable {name} names no proxy: {why}")))
        };
        let mut no = first(&["no_proxy", "NO_PROXY"]).map(|(_, hosts)| hosts).unwrap_or_default();
        if no.split(',').any(|entry| entry.trim() == "*") {
            // The matcher takes it for all names, and for no address.
            no = "*,0.0.0.0/0,::/0".to_owned();
        }
        Self {
            // Where a program serves CGI, HTTP_PROXY is a header field that a client has sent.
            plain: proxy(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            secure: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            matcher: Matcher::builder().all("http://proxy").no(no).build(),
        }
    }

    /// The proxy for a URL of `ws` or `wss`.
    pub(super) fn proxy_for(&self, uri: &Uri) -> Result<Option<&Proxy>, ConnectError> {
        let proxy = if is_scheme(uri, "wss") { &self.secure } else { &self.plain };
        let Some(proxy) = proxy.as_ref().filter(|_| self.takes_in(uri)) else { return Ok(None) };
        proxy.as_ref().map(Some).map_err(|why| ConnectError::BadProxy { why: why.clone() })
    }

    fn takes_in(&self, uri: &Uri) -> bool {
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query("/").build();
        uri.is_ok_and(|uri| self.matcher.intercept(&uri).is_some())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("ws", &self.plain).field("wss", &self.secure).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_proxies() {
        let check = |url: &str, expected: Result<&str, &str>| {
            let proxy = Proxy::parse(url);
            assert_eq!(
                proxy.as_ref().map(ToString::to_string).map_err(|why| *why),
                expected.map(str::to_owned),
                "{url}"
            );
            for shown in proxy.iter().flat_map(|proxy| [format!("{proxy}"), format!("{proxy:?}")]) {
                assert!(!shown.contains("secret") && !shown.contains("user"), "{shown}");
            }
        };
        check("http://a:3128", Ok("http://a:3128"));
        check("http://a", Ok("http://a:80"));
        check("a:3128", Ok("http://a:3128"));
        check("http://user:secret@a:1/", Ok("http://a:1"));
        check("http://[::1]:3128", Ok("http://[::1]:3128"));
        check("socks5://user:secret@a", Ok("socks5://a:1080"));
        check("socks5h://[::1]", Ok("socks5h://[::1]:1080"));
        check("https://a", Err("a proxy is http:// or socks5://"));
        check("socks4://a", Err("a proxy is http:// or socks5://"));
        check("ftp://user:secret@a", Err(EXPECTED));
        check("http://user:sec@ret@a", Err(EXPECTED));
        // A part of a password that is not in percent encoding would be the port.
        check("http://user:12/secret@a", Err(EXPECTED));
        check("http://user:12?secret@a", Err(EXPECTED));
        check("http://user:12#secret@a", Err(EXPECTED));
        check("", Err(EXPECTED));
        check("http://", Err(EXPECTED));
        let long = "x".repeat(256);
        for url in [format!("socks5://user:{long}@a"), format!("socks5://{long}:secret@a"), "socks5://:a@a".to_owned()]
        {
            check(&url, Err("SOCKS has users and passwords of 1 to 255 bytes"));
        }
    }

    #[test]
    fn the_environment_is_read_as_curl_does() {
        let check = |variables: &[(&str, &str)], url: &str, expected: Option<&str>| {
            let get = |name: &str| Some(variables.iter().find(|(found, _)| *found == name)?.1.to_owned());
            let environment = Environment::read(get);
            let proxy = environment.proxy_for(&url.parse().unwrap()).unwrap();
            assert_eq!(proxy.map(ToString::to_string).as_deref(), expected, "{variables:?} {url}");
        };
        check(&[], "ws://a", None);
        check(&[("http_proxy", "http://p:1")], "ws://a", Some("http://p:1"));
        check(&[("http_proxy", "http://p:1")], "wss://a", None);
        check(&[("HTTP_PROXY", "http://p:1")], "ws://a", None);
        check(&[("HTTPS_PROXY", "http://p:1")], "WSS://a", Some("http://p:1"));
        check(&[("HTTPS_PROXY", "http://p:1"), ("https_proxy", "http://p:2")], "wss://a", Some("http://p:2"));
        check(&[("ALL_PROXY", "socks5://p"), ("https_proxy", "http://p:2")], "ws://a", Some("socks5://p:1080"));
        // What is empty is as if it were not there.
        check(&[("ALL_PROXY", "socks5://p"), ("https_proxy", "")], "wss://a", Some("socks5://p:1080"));
        check(&[("all_proxy", "http://p:1"), ("no_proxy", ""), ("NO_PROXY", "a")], "wss://a", None);
        let no = |hosts: &'static str| [("all_proxy", "http://p:1"), ("NO_PROXY", hosts)];
        let by_proxy = Some("http://p:1");
        check(&no("example.org, 10.0.0.0/8"), "ws://example.org/x", None);
        check(&no("example.org, 10.0.0.0/8"), "ws://www.example.org:8000", None);
        check(&no("example.org, 10.0.0.0/8"), "ws://badexample.org", by_proxy);
        check(&no("example.org, 10.0.0.0/8"), "wss://10.1.2.3", None);
        check(&no("::1"), "ws://[::1]:80", None);
        for url in ["wss://a", "wss://10.1.2.3", "ws://[::1]:80"] {
            check(&no("*"), url, None);
            check(&no("b, *"), url, None);
        }
    }

    #[test]
    fn a_variable_that_is_no_proxy_is_told_where_it_would_be_used() {
        let environment = Environment::read(|name| (name == "https_proxy").then(|| "ftp://user:secret@a".to_owned()));
        assert!(environment.proxy_for(&Uri::from_static("ws://a")).unwrap().is_none());
        let error = environment.proxy_for(&Uri::from_static("wss://a")).unwrap_err();
        assert_eq!(error.to_string(), format!("the variable https_proxy names no proxy: {EXPECTED}"));
        assert!(!format!("{environment:?}").contains("secret"));
    }
}
