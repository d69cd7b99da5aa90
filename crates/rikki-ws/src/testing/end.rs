//! What a client in memory does between two polls of the handler, and what has come to it.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use rikki_proto::{CloseCode, Connection, Event, Message, Output};
use tokio::io::{AsyncRead as _, AsyncWrite as _, DuplexStream, ReadBuf};

use super::PIPE;

/// What has come of the handler.
#[derive(PartialEq)]
pub(super) enum Came {
    Message(Message<'static>),
    /// Its code is [`CloseCode::NO_STATUS`] if it has none.
    Close(CloseCode, String),
    /// The end of the connection without a Close, and why if that is known.
    End(Option<String>),
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(Message::Text(text)) => write!(f, "the text {:?}", &**text),
            Self::Message(Message::Binary(bytes)) => write!(f, "the bytes {:?}", &**bytes),
            Self::Close(code, reason) => write!(f, "a Close with {} {reason:?}", code.0),
            Self::End(None) => f.write_str("the end of the connection"),
            Self::End(Some(why)) => write!(f, "the end of the connection: {why}"),
        }
    }
}

/// The client's end but for the runtime that it is used on.
pub(super) struct End<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) io: &'a mut DuplexStream,
    pub(super) output: &'a mut Output,
    pub(super) came: &'a mut VecDeque<Came>,
    pub(super) pings: &'a mut u64,
    pub(super) is_over: &'a mut bool,
}

impl End<'_> {
    /// Writes what the other end takes, and takes what has come; whether anything has moved.
    pub(super) fn exchange(&mut self, cx: &mut Context<'_>) -> bool {
        if *self.is_over {
            return false;
        }
        let has_read = self.read(cx);
        // Answers to what was read too.
        self.write(cx) || has_read
    }

    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        loop {
            let written = self.output.chunks().next().map(|chunk| Pin::new(&mut *self.io).poll_write(cx, chunk));
            let Some(written) = written else { return has_moved };
            match written {
                Poll::Ready(Ok(count)) => self.output.advance(count),
                // Nobody takes it any more.
                Poll::Ready(Err(_)) => *self.output = Output::default(),
                Poll::Pending => return has_moved,
            }
            has_moved = true;
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        let mut space = vec![0; PIPE];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            let Poll::Ready(result) = Pin::new(&mut *self.io).poll_read(cx, &mut buffer) else { return has_moved };
            has_moved = true;
            if result.is_err() || buffer.filled().is_empty() {
                *self.is_over = true;
                if !self.connection.is_closed() {
                    self.came.push_back(Came::End(None));
                }
                // The server waits for our end: section 7.1.1 of RFC 6455.
                let _ = Pin::new(&mut *self.io).poll_shutdown(cx);
                return true;
            }
            self.parse(buffer.filled_mut());
        }
    }

    fn parse(&mut self, mut input: &mut [u8]) {
        loop {
            match self.connection.next_event(&mut input, self.output) {
                Ok(Some(Event::Message(message))) => self.came.push_back(Came::Message(message.into_owned())),
                Ok(Some(Event::Close(frame))) => {
                    let (code, reason) = frame
                        .map_or((CloseCode::NO_STATUS, String::new()), |frame| (frame.code, frame.reason.to_string()));
                    self.came.push_back(Came::Close(code, reason));
                }
                Ok(Some(Event::Ping(_))) => *self.pings += 1,
                Ok(Some(_)) => {}
                Ok(None) => return,
                // Our server sends no such thing; a Close of ours says what it would be.
                Err(_) => return,
            }
        }
    }
}
