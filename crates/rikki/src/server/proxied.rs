//! Connections by way of a proxy that says from whom they are before anything else: reading that, in time and not a
//! byte more.

use std::fmt;

use rikki_limits::{Hint, Seldom};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::http::Serving;
use crate::net::{BadHeader, Header, Peer, Source};
use crate::ws::ConnectionId;

/// How much is read at a time of what is passed over, in bytes; more than all of a header that is looked at.
const PIECE: usize = 512;

/// Why a connection is closed before it is served.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unproxied {
    Stranger,
    Header(BadHeader),
    Ended,
    TookTooLong,
}

/// Whose a connection is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Client {
    pub(super) id: ConnectionId,
    pub(super) peer: Peer,
    /// Whether the peer may be a proxy, which is believed what it says of others in each request.
    pub(super) may_be_proxy: bool,
}

impl Client {
    /// The one at the other end.
    pub(super) fn direct(id: ConnectionId, peer: Peer) -> Self {
        Self { id, peer, may_be_proxy: true }
    }
}

/// From whom a connection is, whose peer `from` may say that, by its first bytes.
pub(super) async fn client(
    serving: &Serving,
    from: Client,
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Client, Unproxied> {
    match serving.in_time(read_header(stream)).await.unwrap_or(Err(Unproxied::TookTooLong))? {
        Source::Client(address) => Ok(Client { peer: Peer::Ip(address), ..from }),
        // Whoever it stands for has not shown to be a proxy.
        Source::Unknown => Ok(Client { may_be_proxy: false, ..from }),
    }
}

/// Counts and logs a connection that is closed.
pub(super) fn log(serving: &Serving, Client { id, peer, .. }: Client, why: Unproxied) {
    static LINES: Seldom<Unproxied> = Seldom::new();
    serving.counts().refused_proxy_headers.up();
    let Some(left_out) = LINES.turn(why) else { return };
    let id = id.get();
    if why != Unproxied::Stranger {
        return tracing::warn!(target: "rikki::server", id, %peer, left_out, "connection closed: {why}");
    }
    let proxy = peer.ip().map_or_else(|| peer.to_string(), |address| address.to_canonical().to_string());
    let hint = serving.hints()(Hint::new("trust", Some(&proxy)));
    tracing::warn!(target: "rikki::server", id, %peer, left_out, "connection closed: {why}; {hint} would believe it");
}

async fn read_header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Source, Unproxied> {
    let mut header = Header::new();
    let mut piece = [0; PIECE];
    loop {
        let room = piece.get_mut(..header.wanted().min(PIECE)).unwrap_or_default();
        let length = match stream.read(room).await {
            Ok(0) | Err(_) => return Err(Unproxied::Ended),
            Ok(length) => length,
        };
        let input = piece.get(..length).unwrap_or_default();
        if let Some(source) = header.handle_input(input).map_err(Unproxied::Header)? {
            return Ok(source);
        }
    }
}

impl fmt::Display for Unproxied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger => f.write_str("its peer is not trusted to say from whom it is"),
            Self::Header(why) => why.fmt(f),
            Self::Ended => f.write_str("it ended before its PROXY header did"),
            Self::TookTooLong => f.write_str("its PROXY header did not come in time"),
        }
    }
}
