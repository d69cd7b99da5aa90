//! The judgement of an opening handshake, whoever has read its request, and what it comes to.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::MatchedPath;
use axum::response::Response;
use http::header;
use http::request::Parts;
use rikki_proto::Connection;
use rikki_proto::deflate::Codecs;
use rikki_proto::handshake::{Refusal, accept};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::Span;

use super::handover::Context;
use super::refused::{endpoint_closed, log_refusal, refuse_origin};
use super::{Upgrade, peer_addr};
use crate::compression::AgreedCodecs;
use crate::context::ContextHandler;
use crate::driver::Driver;
use crate::group::Coming;
use crate::handler::HandlerTask;
use crate::id::ConnectionId;
use crate::meters::Carrier;
use crate::opening::Opening;
use crate::origins::{Asked, ListenerKind};
use crate::seen::{Seen, SeenCodecs};
use crate::stream::{Io, WebSocket};
use crate::terms::{Opened, Terms};
use crate::trace::Trace;
use crate::traceparent::TraceParent;
use crate::tracker::Tracker;
use crate::watched::Watched;

/// A handshake that is to be agreed on: all that its WebSocket needs but the stream.
///
/// It holds no [`Tracker`], as it may be kept with an answer.
pub(super) struct Judged {
    pub(super) id: ConnectionId,
    pub(super) opening: Opening,
    connection: Connection,
    terms: Arc<Terms>,
    opened: Opened,
    groups: Vec<Coming>,
    span: Option<Span>,
    codecs: Option<Arc<dyn Codecs>>,
}

impl Judged {
    /// The stream is there.
    pub(super) fn begin(self, tracker: Tracker) -> Ready {
        let Self { id, opening, mut connection, terms, opened, groups, span, codecs } = self;
        opened.hand_over();
        let traced = TraceParent::of(&opening.parts.headers);
        let mut trace = Trace::begin(id, opening.peer, opening.parts.uri.path(), traced, span);
        if let Some(watching) = terms.watching {
            trace.watched = Some(Watched::begin(watching, id, &opening, traced, &mut connection));
        }
        if terms.live.is_watched() {
            let pairs = codecs.is_some().then(Arc::default);
            trace.seen = Some(Seen::new(trace.id, (&terms.live, &terms.meters), &opening, pairs.clone()));
            if let (Some(codecs), Some(pairs)) = (codecs.clone(), pairs) {
                connection.set_codecs(Arc::new(SeenCodecs { codecs, pairs }));
            }
        }
        if let Some(codecs) = codecs.filter(|_| trace.seen.is_none()) {
            connection.set_codecs(codecs);
        }
        Ready { connection, opening, terms, groups, tracker, trace }
    }
}

impl Upgrade {
    /// Judges the handshake: what comes of it with the answer that agrees, or the refusal.
    pub(super) fn judge(self) -> Result<(Judged, Response), Box<Response>> {
        let Self { parts, context, subprotocols, origins, groups, span, .. } = self;
        let Context { terms, listener, public, id, .. } = context;
        let terms = terms.at(route(&parts), carrier(listener));
        if terms.meters.is_closed() {
            return Err(Box::new(endpoint_closed()));
        }
        let subprotocols = subprotocols.as_deref().unwrap_or(&terms.subprotocols);
        let judged = accept(&parts.method, parts.version, &parts.headers, subprotocols);
        let judged = judged.and_then(|accepted| match &terms.codecs {
            Some(codecs) => match codecs.negotiate(&parts.headers) {
                Ok(compression) => Ok((accepted, compression)),
                Err(_) => Err(Refusal::Extensions),
            },
            None => Ok((accepted, None)),
        });
        let (accepted, compression) = judged.map_err(|refusal| {
            terms.counts().refused_handshakes.up();
            log_refusal(refusal, &parts, id);
            Box::new(refusal.response().map(Body::from))
        })?;
        let origins = if origins.is_empty() { terms.origins.clone() } else { Arc::new(terms.origins.with(&origins)) };
        let foreign = refuse_origin(Asked::WebSocket, &origins, &terms, (listener, public.as_deref()), &parts, id);
        if let Some(refused) = foreign {
            return Err(Box::new(refused));
        }
        let (peer, subprotocol) = (peer_addr(&parts), accepted.subprotocol().cloned());
        let opening = Opening { parts, peer, subprotocol, is_compressed: compression.is_some() };
        let mut response = accepted.into_response().map(|()| Body::empty());
        let (connection, mut agreed) = (terms.server(), None);
        if let Some(AgreedCodecs { codecs, response: extensions }) = compression {
            agreed = Some(codecs);
            response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, extensions);
        }
        let opened = terms.opened();
        let groups = terms.groups.iter().chain(&groups).map(Coming::new).collect();
        // Another server says nothing of the connection.
        let id = id.unwrap_or_else(ConnectionId::next);
        Ok((Judged { id, opening, connection, terms, opened, groups, span, codecs: agreed }, response))
    }
}

/// The pattern of the route that a request was for, which is the application's and no client's.
fn route(parts: &Parts) -> Option<&str> {
    parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str)
}

fn carrier(listener: ListenerKind) -> Carrier {
    match listener {
        ListenerKind { unix: true, .. } => Carrier::Unix,
        ListenerKind { tls: true, .. } => Carrier::Tls,
        _ => Carrier::Tcp,
    }
}

/// What the handshake has come to, when the stream is there.
pub(super) struct Ready {
    pub(super) connection: Connection,
    pub(super) opening: Opening,
    pub(super) terms: Arc<Terms>,
    pub(super) groups: Vec<Coming>,
    pub(super) tracker: Tracker,
    pub(super) trace: Trace,
}

impl Ready {
    /// The WebSocket as a stream and sink, and what its request said.
    pub(super) fn into_socket(self, io: Box<dyn Io>, read_ahead: &[u8]) -> (WebSocket, Opening) {
        let Self { connection, opening, terms, groups, tracker, trace } = self;
        let subprotocol = opening.subprotocol.clone();
        let mut socket = WebSocket::new(io, read_ahead, connection, terms, subprotocol, tracker, trace);
        socket.join(groups);
        (socket, opening)
    }

    /// Starts the task of a connection with callbacks, which keeps nothing of the request.
    pub(super) fn spawn<H, I>(self, handler: Arc<H>, context: H::Context, io: I, read_ahead: &[u8])
    where
        H: ContextHandler,
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self { connection, opening, terms, groups, tracker, trace } = self;
        let span = trace.span.clone();
        let mut driver = Driver::new(io, read_ahead, connection, terms, trace);
        driver.join(groups);
        let task = span.in_scope(|| HandlerTask::new(driver, handler, &opening, context, tracker));
        Trace::spawn(span, task);
    }
}
