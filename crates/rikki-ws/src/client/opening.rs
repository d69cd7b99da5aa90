//! The opening handshake over whatever stream there is
//! ([RFC 6455 section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Empty;
use rand::rngs::{StdRng, SysRng};
use rand::{Rng as _, SeedableRng as _};
use rikki_proto::handshake::ClientHandshake;

use super::exchange::{Answer, exchange, is_switching};
use super::{Builder, ConnectError};
use crate::WebSocket;
use crate::compression::{CodecSet, Offer};
use crate::stream::Io;
use crate::trace::Trace;
use crate::tracker::Tracker;

/// What is asked for, and what is needed to judge the answer.
struct Opening<'a> {
    uri: Uri,
    handshake: ClientHandshake,
    request: Request<Empty<Bytes>>,
    rng: StdRng,
    offer: Option<(&'a CodecSet, Offer)>,
}

impl Builder {
    /// Over a stream of its own.
    pub(super) async fn open(&self) -> Result<(WebSocket, Response<()>), ConnectError> {
        let opening = self.opening()?;
        let (io, peer) = self.reach(&opening.uri).await?;
        self.finish(opening, io, peer).await
    }

    /// Over a stream that was given.
    pub(super) async fn open_over<S>(&self, stream: S) -> Result<(WebSocket, Response<()>), ConnectError>
    where
        S: Io + 'static,
    {
        let opening = self.opening()?;
        let io = self.secured(&opening.uri, stream).await?;
        self.finish(opening, io, None).await
    }

    fn opening(&self) -> Result<Opening<'_>, ConnectError> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone().into());
        }
        self.config.check().map_err(ConnectError::Limit)?;
        let uri = self.uri()?;
        let mut rng = seeded()?;
        let mut nonce = [0; 16];
        rng.fill_bytes(&mut nonce);
        let mut handshake = ClientHandshake::new(nonce, &self.subprotocols);
        let offer = self.terms.codecs.as_ref().and_then(|codecs| Some((codecs, codecs.offer()?)));
        if let Some((_, offer)) = &offer {
            handshake = handshake.offer_deflate(offer.options);
        }
        let request = handshake.request(&uri, self.headers.clone())?.map(|()| Empty::new());
        Ok(Opening { uri, handshake, request, rng, offer })
    }

    async fn finish(
        &self,
        opening: Opening<'_>,
        io: Box<dyn Io>,
        peer: Option<SocketAddr>,
    ) -> Result<(WebSocket, Response<()>), ConnectError> {
        let Opening { uri, handshake, request, mut rng, offer } = opening;
        let Answer { response, io, read_ahead } = exchange(io, request, is_switching).await?;
        let established = handshake.verify(&response)?;
        let mut connection = self.terms.client(move || rng.next_u32().to_ne_bytes());
        if let (Some((codecs, offer)), Some(agreed)) = (offer, established.agreed())
            && let Some(codecs) = codecs.confirmed(offer, agreed)
        {
            connection.set_codecs(codecs);
        }
        let subprotocol = established.subprotocol().cloned();
        let (terms, tracker) = (self.terms.clone(), Tracker::default());
        let trace = Trace::alone(peer, uri.path());
        let socket = WebSocket::new(io, &read_ahead, connection, terms, subprotocol, tracker, trace);
        Ok((socket, response))
    }

    /// [Section 3](https://www.rfc-editor.org/rfc/rfc6455#section-3): "Fragment identifiers are meaningless in the
    /// context of WebSocket URIs and MUST NOT be used on these URIs."
    fn uri(&self) -> Result<Uri, ConnectError> {
        let refuse = |why| ConnectError::BadUrl { url: without_credentials(&self.url), why };
        if self.url.contains('#') {
            return Err(refuse("a WebSocket has no fragment: leave out # and what follows it"));
        }
        let uri: Uri = self.url.parse().map_err(|_| refuse("write it as ws://HOST[:PORT]/PATH or wss://"))?;
        if is_scheme(&uri, "ws") || is_scheme(&uri, "wss") {
            Ok(uri)
        } else {
            Err(refuse("write it as ws://HOST[:PORT]/PATH or wss://"))
        }
    }
}

/// Random numbers that nobody can guess.
pub(super) fn seeded() -> Result<StdRng, ConnectError> {
    StdRng::try_from_rng(&mut SysRng).map_err(|error| ConnectError::NoRandom(io::Error::other(error.to_string())))
}

/// A URL as it may be shown. Where it is none, all that may be a user and a password is left out.
pub(super) fn without_credentials(url: &str) -> String {
    let has_none = |uri: Uri| uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    // A URL has no fragment here: it may be a part of the password.
    let is_without = || !url.contains('#') && url.parse().is_ok_and(has_none);
    match url.rsplit_once('@') {
        Some((before, rest)) if !is_without() => {
            let scheme = before.split_once("://").map_or(String::new(), |(scheme, _)| format!("{scheme}://"));
            format!("{scheme}***@{rest}")
        }
        _ => url.to_owned(),
    }
}

/// Without case: [RFC 3986 section 3.1](https://www.rfc-editor.org/rfc/rfc3986#section-3.1).
pub(super) fn is_scheme(uri: &Uri, scheme: &str) -> bool {
    uri.scheme_str().is_some_and(|given| given.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_credentials_are_shown() {
        let check = |url: &str, expected: &str| {
            assert_eq!(without_credentials(url), expected);
            let error = Builder::new(url).uri().err().map(|error| format!("{error} {error:?}")).unwrap_or_default();
            let builder = Builder::new(url).header("authorization", "Bearer secret").header("x-key", "secret");
            let shown = format!("{error} {builder:?}");
            assert!(!shown.contains("user") && !shown.contains("secret"), "{shown}");
            assert!(shown.contains("x-key"), "{shown}");
        };
        check("ws://host/a?b", "ws://host/a?b");
        check("ws://host/?to=a@b", "ws://host/?to=a@b");
        check("ws://user:secret@host/?to=a@b", "ws://***@b");
        check("ws://user:secret@host/a", "ws://***@host/a");
        check("http://user:secret@host", "http://***@host");
        check("ws://user:sec#ret@secret@host", "ws://***@host");
        check("user:secret@host", "***@host");
        check("ws:/user:secret@host", "***@host");
        check("host", "host");
    }
}
