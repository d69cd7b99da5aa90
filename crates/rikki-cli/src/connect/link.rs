//! The connection: one, or with `--reconnect` one after the other, which is told on stderr.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{Response, header};
use futures_core::Stream as _;
use futures_sink::Sink;
use rikki::client::{Backoff, Builder, Event, Loss, ReconnectError, Reconnecting};
use rikki::ws::{CloseCode, Closed, Message, WebSocket};

use super::{ConnectArgs, note};
use crate::Failure;

pub(super) struct Link {
    url: String,
    line: Line,
    /// How many messages were lost, as far as it was told.
    lost: u64,
}

enum Line {
    Once(Box<WebSocket>),
    Kept(Box<Reconnecting>),
}

impl Link {
    /// Connects, which with `--reconnect` may take more than one attempt.
    pub(super) async fn open(builder: &Builder, args: &ConnectArgs) -> Result<Self, Failure> {
        let url = args.url.clone();
        if !args.reconnect {
            let (socket, response) = builder.connect().await?;
            note(&greeting(&url, socket.protocol(), &response));
            return Ok(Self { url, line: Line::Once(Box::new(socket)), lost: 0 });
        }
        let mut socket = builder.clone().reconnecting(Backoff::default());
        loop {
            match socket.recv().await {
                Some(Ok(Event::Connected { response, .. })) => {
                    let protocol = socket.socket().and_then(WebSocket::protocol);
                    note(&greeting(&url, protocol, &response));
                    return Ok(Self { url, line: Line::Kept(Box::new(socket)), lost: 0 });
                }
                Some(Ok(Event::Disconnected { why, retry_in, .. })) => note(&retry(&why, retry_in)),
                Some(Err(ReconnectError::Final(Loss::Connect(error)))) => return Err(error.into()),
                Some(Err(error)) => return Err(Failure::Runtime(error.to_string())),
                Some(Ok(_)) => {}
                None => return Err(Failure::Runtime("the connection was closed".to_owned())),
            }
        }
    }

    /// The next message; what else happens is told.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message<'static>, String>>> {
        let socket = match &mut self.line {
            Line::Once(socket) => {
                let message = ready!(Pin::new(socket).poll_next(cx));
                return Poll::Ready(message.map(|message| message.map_err(|error| error.to_string())));
            }
            Line::Kept(socket) => socket,
        };
        loop {
            let event = ready!(Pin::new(&mut *socket).poll_next(cx));
            let lost = socket.lost() - self.lost;
            if lost > 0 {
                note(&format!("messages that were not sent: {lost}"));
                self.lost += lost;
            }
            match event {
                Some(Ok(Event::Message(message))) => return Poll::Ready(Some(Ok(message))),
                Some(Ok(Event::Connected { response, .. })) => {
                    let protocol = socket.socket().and_then(WebSocket::protocol);
                    note(&greeting(&self.url, protocol, &response));
                }
                Some(Ok(Event::Disconnected { why, retry_in, .. })) => note(&retry(&why, retry_in)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error.to_string()))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// Whether there is room for a message, and a connection.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match &mut self.line {
            Line::Once(socket) => Pin::new(socket).poll_ready(cx).map(|ready| ready.is_ok()),
            Line::Kept(socket) => Pin::new(socket).poll_ready(cx).map(|ready| ready.is_ok()),
        }
    }

    /// How the connection ends is told by [`poll_next`](Self::poll_next).
    pub(super) fn send(&mut self, message: Message<'static>) {
        match &mut self.line {
            Line::Once(socket) => drop(Pin::new(socket).start_send(message)),
            Line::Kept(socket) => drop(Pin::new(socket).start_send(message)),
        }
    }

    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        match &mut self.line {
            Line::Once(socket) => drop(Pin::new(socket).poll_flush(cx)),
            Line::Kept(socket) => drop(Pin::new(socket).poll_flush(cx)),
        }
    }

    /// Whether a Close with 1000 is on its way, and none was before.
    pub(super) fn close(&mut self) -> bool {
        match &mut self.line {
            Line::Once(socket) => socket.start_close(CloseCode::NORMAL, "").is_ok(),
            Line::Kept(socket) => {
                let is_open = socket.socket().is_some_and(|socket| socket.closed().is_none());
                socket.start_close(CloseCode::NORMAL, "").is_ok() && is_open
            }
        }
    }

    pub(super) fn queued(&self) -> usize {
        match &self.line {
            Line::Once(socket) => socket.queued(),
            Line::Kept(socket) => socket.queued(),
        }
    }

    /// How it was closed for good.
    pub(super) fn closed(&self) -> Option<&Closed> {
        match &self.line {
            Line::Once(socket) => socket.closed(),
            Line::Kept(socket) => socket.closed(),
        }
    }

    /// Whether messages were lost with a connection.
    pub(super) fn has_lost(&self) -> bool {
        self.lost > 0
    }
}

fn retry(why: &Loss, retry_in: Duration) -> String {
    format!("{why}; connecting again in {:.1} s", retry_in.as_secs_f64())
}

fn greeting(url: &str, protocol: Option<&str>, response: &Response<()>) -> String {
    let mut text = format!("connected to {url}");
    if let Some(subprotocol) = protocol {
        text += &format!(", subprotocol {subprotocol}");
    }
    if let Some(extensions) = response.headers().get(header::SEC_WEBSOCKET_EXTENSIONS) {
        text += &format!(", {}", String::from_utf8_lossy(extensions.as_bytes()));
    }
    text
}
