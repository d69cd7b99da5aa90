//! The connection: one, or with `--reconnect` one after the other, which is told as it happens.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::http::{Response, header};
use futures_core::Stream as _;
use futures_sink::Sink;
use rikki::client::{Backoff, Builder, ConnectError, Event, Loss, ReconnectError, Reconnecting};
use rikki::ws::{CloseCode, Closed, Message, SendError, Sender, WebSocket};

use super::request::Request;
use super::shown;
use crate::Failure;

pub(super) struct Link {
    url: String,
    /// Which subprotocols were offered.
    offered: Vec<String>,
    line: Line,
    /// There was a connection.
    was_connected: bool,
    /// There is nothing to send, so that an attempt that fails is the last.
    is_last_attempt: bool,
    /// How many messages were lost, as far as it was told.
    lost: u64,
}

enum Line {
    Connecting(Connecting),
    Once(Box<WebSocket>),
    Kept(Box<Reconnecting>),
}

type Connecting = Pin<Box<dyn Future<Output = Result<(WebSocket, Response<()>), ConnectError>>>>;

/// What happens to a connection.
pub(super) enum Heard {
    Message(Message<'static>),
    /// There is one.
    Connected(String),
    /// There is none any more.
    Lost(String),
}

impl Link {
    /// Connects as it is polled, with `keeps` anew whenever it has to.
    pub(super) fn new(request: &Request, keeps: bool) -> Self {
        let builder: Builder = request.builder.clone();
        let line = if keeps {
            Line::Kept(Box::new(builder.reconnecting(Backoff::default())))
        } else {
            Line::Connecting(Box::pin(async move { builder.connect().await }))
        };
        let (url, offered) = (request.url.clone(), request.offered.clone());
        Self { url, offered, line, was_connected: false, is_last_attempt: false, lost: 0 }
    }

    /// Whether there was a connection, be it that it is lost.
    pub(super) fn was_connected(&self) -> bool {
        self.was_connected
    }

    /// Says that there is nothing to be sent, for which another attempt at a first connection would be made.
    pub(super) fn set_last_attempt(&mut self) {
        self.is_last_attempt = true;
    }

    /// What happens next; `None` when all is over.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Heard, Failure>>> {
        let socket = match &mut self.line {
            Line::Connecting(connecting) => {
                let (socket, response) = match ready!(connecting.as_mut().poll(cx)) {
                    Ok(connected) => connected,
                    Err(error) => return Poll::Ready(Some(Err(error.into()))),
                };
                self.was_connected = true;
                let greeting = self.greeting(socket.protocol(), &response);
                self.line = Line::Once(Box::new(socket));
                return Poll::Ready(Some(Ok(Heard::Connected(greeting))));
            }
            Line::Once(socket) => {
                let message = ready!(Pin::new(socket).poll_next(cx));
                return Poll::Ready(message.map(|message| message.map(Heard::Message).map_err(failure)));
            }
            Line::Kept(socket) => socket,
        };
        loop {
            return Poll::Ready(match ready!(Pin::new(&mut *socket).poll_next(cx)) {
                Some(Ok(Event::Message(message))) => Some(Ok(Heard::Message(message))),
                Some(Ok(Event::Connected { response, .. })) => {
                    self.was_connected = true;
                    let protocol = socket.socket().and_then(WebSocket::protocol).map(str::to_owned);
                    Some(Ok(Heard::Connected(self.greeting(protocol.as_deref(), &response))))
                }
                Some(Ok(Event::Disconnected { why, .. })) if self.is_last_attempt && !self.was_connected => {
                    Some(Err(failure(why)))
                }
                Some(Ok(Event::Disconnected { why, retry_in, .. })) => Some(Ok(Heard::Lost(retry(&why, retry_in)))),
                Some(Ok(_)) => continue,
                Some(Err(ReconnectError::Final(Loss::Connect(error)))) if !self.was_connected => {
                    Some(Err(error.into()))
                }
                Some(Err(error)) => Some(Err(failure(error))),
                None => None,
            });
        }
    }

    /// Whether there is room for a message, and a connection.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match &mut self.line {
            Line::Connecting(_) => Poll::Pending,
            Line::Once(socket) => Pin::new(socket).poll_ready(cx).map(|ready| ready.is_ok()),
            Line::Kept(socket) => Pin::new(socket).poll_ready(cx).map(|ready| ready.is_ok()),
        }
    }

    /// How the connection ends is told by [`poll_next`](Self::poll_next).
    pub(super) fn send(&mut self, message: Message<'static>) {
        match &mut self.line {
            Line::Connecting(_) => {}
            Line::Once(socket) => drop(Pin::new(socket).start_send(message)),
            Line::Kept(socket) => drop(Pin::new(socket).start_send(message)),
        }
    }

    pub(super) fn flush(&mut self, cx: &mut Context<'_>) {
        match &mut self.line {
            Line::Connecting(_) => {}
            Line::Once(socket) => drop(Pin::new(socket).poll_flush(cx)),
            Line::Kept(socket) => drop(Pin::new(socket).poll_flush(cx)),
        }
    }

    /// Whether a Close is on its way, and none was before. Where there is a connection to come there is none then.
    ///
    /// # Errors
    ///
    /// That of a code or a reason that cannot be sent: nothing is closed then.
    pub(super) fn close(&mut self, code: CloseCode, reason: &str) -> Result<bool, SendError> {
        let (closed, is_open) = match &mut self.line {
            Line::Connecting(_) => return Ok(false),
            Line::Once(socket) => (socket.start_close(code, reason), true),
            Line::Kept(socket) => {
                let is_open = socket.socket().is_some_and(|socket| socket.closed().is_none());
                (socket.start_close(code, reason), is_open)
            }
        };
        match closed {
            Ok(()) => Ok(is_open),
            Err(SendError::Closed) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What sends on the connection of this moment.
    pub(super) fn sender(&mut self) -> Option<Sender> {
        match &mut self.line {
            Line::Connecting(_) => None,
            Line::Once(socket) => socket.sender(),
            Line::Kept(socket) => socket.sender(),
        }
    }

    pub(super) fn queued(&self) -> usize {
        match &self.line {
            Line::Connecting(_) => 0,
            Line::Once(socket) => socket.queued(),
            Line::Kept(socket) => socket.queued(),
        }
    }

    /// How it was closed for good.
    pub(super) fn closed(&self) -> Option<&Closed> {
        match &self.line {
            Line::Connecting(_) => None,
            Line::Once(socket) => socket.closed(),
            Line::Kept(socket) => socket.closed(),
        }
    }

    /// How it was closed for good, in words, and whether that is well; the code is that of our Close, if it came first.
    pub(super) fn verdict(&self, closed_with: Option<CloseCode>) -> Option<(bool, String)> {
        let Closed { code, reason, .. } = self.closed()?;
        // The answer to ours has its code, or none.
        let by_us = closed_with.is_some() && (*code == CloseCode::NO_STATUS || Some(*code) == closed_with);
        let is_well = matches!(*code, CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::NO_STATUS);
        Some((by_us || is_well, description(by_us, *code, reason)))
    }

    /// How many messages were lost with a connection, of which nobody was told yet.
    pub(super) fn take_lost(&mut self) -> u64 {
        let Line::Kept(socket) = &self.line else { return 0 };
        let all = socket.lost();
        all - std::mem::replace(&mut self.lost, all)
    }

    /// Whether messages were lost with a connection.
    pub(super) fn has_lost(&self) -> bool {
        self.lost > 0
    }

    fn greeting(&self, protocol: Option<&str>, response: &Response<()>) -> String {
        let mut text = format!("connected to {}", self.url);
        match protocol {
            Some(subprotocol) => text += &format!(", subprotocol {subprotocol}"),
            None if self.offered.is_empty() => {}
            None => text += &format!(", without a subprotocol: the server took none of {}", self.offered.join(", ")),
        }
        if let Some(extensions) = response.headers().get(header::SEC_WEBSOCKET_EXTENSIONS) {
            text += &format!(", {}", String::from_utf8_lossy(extensions.as_bytes()));
        }
        text
    }
}

fn failure(error: impl ToString) -> Failure {
    Failure::Runtime(shown::line(&error.to_string()))
}

fn retry(why: &Loss, retry_in: Duration) -> String {
    format!("{why}; connecting again in {:.1} s", retry_in.as_secs_f64())
}

fn description(by_us: bool, code: CloseCode, reason: &str) -> String {
    let closed = if by_us { "closed" } else { "closed by the server" };
    match (code, reason) {
        (CloseCode::NO_STATUS, _) => format!("{closed} without a code"),
        (code, "") => format!("{closed}: {code}"),
        (code, reason) => format!("{closed}: {code} {reason:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions() {
        let check = |by_us, code, reason, expected: &str| assert_eq!(description(by_us, code, reason), expected);
        check(true, CloseCode::NORMAL, "", "closed: 1000");
        check(false, CloseCode::GOING_AWAY, "", "closed by the server: 1001");
        check(false, CloseCode(4000), "a \"b\"\x1b", r#"closed by the server: 4000 "a \"b\"\u{1b}""#);
        check(false, CloseCode::NO_STATUS, "", "closed by the server without a code");
    }
}
