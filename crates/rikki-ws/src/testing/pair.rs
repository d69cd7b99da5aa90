//! Both ends of a WebSocket, joined in memory.

use std::sync::Arc;

use rikki_proto::Connection;
use tokio::io::{DuplexStream, duplex};

use super::{MASK, PIPE};
use crate::config::Config;
use crate::live::Live;
use crate::stream::WebSocket;
use crate::terms::Terms;
use crate::trace::Trace;
use crate::tracker::Tracker;

/// Both ends of a WebSocket that is open, the client's and the server's, with the defaults of [`Config`]: for tests of
/// what takes a [`WebSocket`].
///
/// Each end is driven by whoever polls it, as on a network: one that nobody polls answers no ping. Up to 64 KiB may be
/// on their way in either direction. There was no handshake, so that neither has a subprotocol or compresses.
///
/// # Panics
///
/// Outside of a tokio runtime with time.
///
/// ```
/// use std::time::Duration;
///
/// use rikki_ws::testing::{Expect, pair};
/// use rikki_ws::{Error, WebSocket};
///
/// async fn echo(mut socket: WebSocket) -> Result<(), Error> {
///     while let Some(message) = socket.recv().await {
///         socket.send(message?).await?;
///     }
///     Ok(())
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let (mut client, server) = pair();
/// tokio::spawn(echo(server));
/// client.send("hello").await.unwrap();
/// assert_eq!(client.recv_within(Duration::from_secs(1)).await.unwrap().as_text(), Some("hello"));
/// client.expect_silence(Duration::from_secs(1)).await.unwrap();
/// # });
/// ```
pub fn pair() -> (WebSocket, WebSocket) {
    pair_with(&Config::default(), &Config::default())
}

/// A [`pair`] whose ends have these configurations.
///
/// # Panics
///
/// Outside of a tokio runtime with time.
pub fn pair_with(client: &Config, server: &Config) -> (WebSocket, WebSocket) {
    let (one, other) = duplex(PIPE);
    (end(client, one, |terms| terms.client(|| MASK)), end(server, other, Terms::server))
}

fn end(config: &Config, io: DuplexStream, connection: impl FnOnce(&Terms) -> Connection) -> WebSocket {
    let terms = Arc::new(Terms::new(config, &Live::new()));
    terms.opened().hand_over();
    let trace = Trace::alone(None, "/");
    WebSocket::new(Box::new(io), &[], connection(&terms), terms, None, Tracker::default(), trace)
}
