//! The conversation: stdin to the WebSocket and the WebSocket to stdout, at the pace of whoever is slowest.
//!
//! Of stdin one message is read ahead of what the socket can take, and nothing from the socket while stdout cannot.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rikki::ws::{CloseCode, Deadline, Error, Message};
use tokio::time::{Sleep, sleep};

use super::input::Input;
use super::link::Link;
use super::note;
use super::output::Output;

/// How many messages are sent before others get their turn; they go out in one write.
const SENT_AT_ONCE: usize = 256;

pub(super) struct Session {
    link: Link,
    input: Input,
    output: Output,
    /// What is to be sent when the connection takes it.
    next: Option<Message<'static>>,
    unsent: usize,
    /// We have sent a Close, or have it queued.
    closing: bool,
    /// No Close had come before it.
    closed_first: bool,
    /// Nobody waits for stdout any more.
    interrupted: bool,
    /// Input or output went wrong, and it was said.
    failed: bool,
    ended: Option<Result<(), String>>,
    close_timeout: Duration,
    patience: Option<Pin<Box<Sleep>>>,
}

impl Session {
    /// `close_timeout` bounds the silence while the connection closes: what still arrives puts the end off, as does
    /// what the server takes. The deadline of [`rikki::ws::Config`] counts from the Close, and would lose the answers
    /// that need longer.
    pub(super) fn new(link: Link, input: Input, output: Output, close_timeout: Duration) -> Self {
        Self {
            link,
            input,
            output,
            next: None,
            unsent: 0,
            closing: false,
            closed_first: false,
            interrupted: false,
            failed: false,
            ended: None,
            close_timeout,
            patience: None,
        }
    }

    /// Until the connection has ended and everything is printed; says how it ended, and whether all is well.
    ///
    /// # Cancel safety
    ///
    /// It can be given up and called again: nothing is lost.
    pub(super) async fn run(&mut self) -> bool {
        let ended = poll_fn(|cx| self.poll(cx)).await;
        let code = match (ended, self.link.closed()) {
            (Ok(()), Some(closed)) => {
                // The answer to ours has its code, or none.
                let by_us = self.closed_first && matches!(closed.code, CloseCode::NORMAL | CloseCode::NO_STATUS);
                note(&description(by_us, closed.code, &closed.reason));
                closed.code
            }
            (Err(error), _) => {
                note(&error);
                CloseCode::ABNORMAL
            }
            (Ok(()), None) => CloseCode::ABNORMAL,
        };
        let all_sent = !self.failed && !self.link.has_lost();
        all_sent && matches!(code, CloseCode::NORMAL | CloseCode::GOING_AWAY | CloseCode::NO_STATUS)
    }

    /// Closes with 1000; what stdout does not take is dropped.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
        self.close();
    }

    fn close(&mut self) {
        self.closing = true;
        // Fails where it is closed already, which is as good.
        self.closed_first |= self.link.close();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        loop {
            let written = self.output.poll_write(cx);
            if let Poll::Ready(Err(error)) = &written {
                self.lose_output(error);
                continue;
            }
            if self.ended.is_some() {
                let _ = ready!(written);
                return Poll::Ready(self.ended.take().unwrap_or(Ok(())));
            }
            let sent = self.send(cx);
            let received = self.receive(cx);
            if !sent && !received {
                ready!(self.poll_silence(cx));
                self.ended = Some(Err(Error::TimedOut(Deadline::Close).to_string()));
            }
        }
    }

    /// Sends what there is, unless the server has to take something first; says whether anything moved.
    fn send(&mut self, cx: &mut Context<'_>) -> bool {
        for sent in 0..SENT_AT_ONCE {
            // How the connection ended is told by the stream.
            if self.closing {
                return sent > 0;
            }
            let has_room = self.link.poll_ready(cx) == Poll::Ready(true);
            if self.poll_input(cx).is_pending() || !has_room {
                return sent > 0;
            }
            if let Some(message) = self.next.take() {
                self.link.send(message);
            }
        }
        true
    }

    /// Ready when there is a message to be sent, or none to come; that is known without a connection too.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.next.is_none() {
            match ready!(self.input.poll_message(cx)) {
                Some(Ok(message)) => self.next = Some(message),
                Some(Err(error)) => {
                    note(&error.to_string());
                    self.failed = true;
                    self.close();
                }
                None => self.close(),
            }
        }
        Poll::Ready(())
    }

    /// Takes one message, or the end; says whether anything moved.
    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        if self.output.is_full() && !self.interrupted {
            // What is unsent goes on meanwhile, and what is not read cannot be silence.
            self.link.flush(cx);
            self.patience = None;
            return false;
        }
        match self.link.poll_next(cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(_))) if self.output.is_full() => {}
            Poll::Ready(Some(Ok(message))) => self.output.show(&message),
            Poll::Ready(Some(Err(error))) => self.ended = Some(Err(error)),
            Poll::Ready(None) => self.ended = Some(Ok(())),
        }
        self.patience = None;
        true
    }

    /// Ready when the connection should have closed by now.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.closing && self.link.closed().is_none() {
            return Poll::Pending;
        }
        let unsent = self.link.queued();
        if unsent != self.unsent {
            self.unsent = unsent;
            self.patience = None;
        }
        let timeout = self.close_timeout;
        self.patience.get_or_insert_with(|| Box::pin(sleep(timeout))).as_mut().poll(cx)
    }

    fn lose_output(&mut self, error: &io::Error) {
        // Whoever reads has seen enough, as `head` has.
        if error.kind() != io::ErrorKind::BrokenPipe {
            note(&format!("cannot write to stdout: {error}"));
            self.failed = true;
        }
        self.close();
    }
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
