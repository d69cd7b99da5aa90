//! The access log: one line for each request, when it has been answered.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, Method, Uri, Version, header};
use http_body::Body as _;

/// How much of what a client wrote goes into a line, in bytes.
const SHOWN: usize = 200;

/// A request on its way through the application.
pub(super) struct Access {
    peer: SocketAddr,
    method: Method,
    uri: Uri,
    version: Version,
    agent: Option<HeaderValue>,
    since: Instant,
}

impl Access {
    pub(super) fn new(request: &Parts, peer: SocketAddr) -> Self {
        Self {
            peer,
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            agent: request.headers.get(header::USER_AGENT).cloned(),
            since: Instant::now(),
        }
    }

    /// Logs what became of it. The body may still be on its way: its length is what the response announces.
    pub(super) fn log(self, response: &Response) {
        let Self { peer, method, uri, version, agent, since } = self;
        let target = uri.path_and_query().map_or("", |target| target.as_str());
        tracing::info!(
            target: "rikki::access",
            %peer,
            method = %Escaped(method.as_str().as_bytes()),
            target = %Escaped(target.as_bytes()),
            ?version,
            status = response.status().as_u16(),
            bytes = response.body().size_hint().exact(),
            ms = since.elapsed().as_millis() as u64,
            agent = %Escaped(agent.as_ref().map_or(b"-", HeaderValue::as_bytes)),
        );
    }
}

/// What a client wrote, cut, with everything but plain ASCII escaped.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..SHOWN).unwrap_or(self.0);
        write!(f, "\"{}\"", shown.escape_ascii())?;
        f.write_str(if shown.len() < self.0.len() { "..." } else { "" })
    }
}
