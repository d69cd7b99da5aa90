//! The conversation: stdin to the WebSocket and the WebSocket to stdout, at the pace of whoever is slowest.
//!
//! Of stdin one message is read ahead of what the socket can take, and nothing from the socket while stdout, or the
//! command of `--exec`, cannot.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rikki::ws::{CloseCode, Deadline, Error, Message, SendError};
use tokio::time::{Sleep, sleep};

use super::command::{Command, HELP, Item};
use super::controls::Controls;
use super::exec::Exec;
use super::input::{Input, InputError};
use super::link::{Heard, Link};
use super::logged::Logged;
use super::output::{Output, WriteError};
use super::requests::Requests;
use super::{Reports, note};
use crate::Failure;

/// How many messages are sent before others get their turn; they go out in one write.
const SENT_AT_ONCE: usize = 256;

/// When the conversation is over.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// How long messages are waited for when all is sent; `None` as long as there is a connection.
    pub(super) wait: Option<Duration>,
    /// How many messages have to come.
    pub(super) messages: Option<usize>,
    /// Bounds the silence while the connection closes: what still arrives puts the end off, as does what the server
    /// takes. The deadline of [`rikki::ws::Config`] counts from the Close, and would lose the answers that need longer.
    pub(super) close_timeout: Duration,
}

pub(super) struct Session {
    link: Link,
    pub(super) input: Input,
    pub(super) output: Output,
    /// What is said goes to the screen, where lines are edited.
    reports: Reports,
    logged: Logged,
    exec: Option<Exec>,
    controls: Controls,
    requests: Requests,
    terms: Terms,
    /// What is to be sent when the connection takes it.
    pub(super) next: Option<Message<'static>>,
    /// What was asked for before there was a connection to ask it of.
    pub(super) asked: Option<Command>,
    unsent: usize,
    /// There is nothing more to be sent.
    input_ended: bool,
    /// Until when messages are waited for after that.
    waiting: Option<Pin<Box<Sleep>>>,
    received: usize,
    /// We have sent a Close, or have it queued.
    closing: bool,
    /// With which code, where no Close had come before it.
    closed_with: Option<CloseCode>,
    /// Nobody waits for stdout any more.
    interrupted: bool,
    /// Input or output went wrong, and it was said.
    failed: bool,
    ended: Option<Result<(), Failure>>,
    patience: Option<Pin<Box<Sleep>>>,
}

/// What a session is made of.
pub(super) struct Parts {
    pub(super) link: Link,
    pub(super) input: Input,
    pub(super) output: Output,
    pub(super) reports: Reports,
    pub(super) logged: Logged,
    pub(super) exec: Option<Exec>,
    pub(super) controls: Controls,
    pub(super) requests: Requests,
}

impl Session {
    pub(super) fn new(parts: Parts, terms: Terms) -> Self {
        let Parts { link, input, output, reports, logged, exec, controls, requests } = parts;
        Self {
            link,
            input,
            output,
            reports,
            logged,
            exec,
            controls,
            requests,
            terms,
            next: None,
            asked: None,
            unsent: 0,
            input_ended: false,
            waiting: None,
            received: 0,
            closing: false,
            closed_with: None,
            interrupted: false,
            failed: false,
            ended: None,
            patience: None,
        }
    }

    /// Until the connection has ended and everything is printed; says how it ended, and whether all is well.
    ///
    /// # Errors
    ///
    /// Why there was no connection, or how it broke.
    ///
    /// # Cancel safety
    ///
    /// It can be given up and called again: nothing is lost.
    pub(super) async fn run(&mut self) -> Result<bool, Failure> {
        poll_fn(|cx| self.poll(cx)).await?;
        let closed = self.link.verdict(self.closed_with);
        if let Some((_, description)) = &closed {
            self.say(description);
        }
        let missing = self.terms.messages.is_some_and(|messages| self.received < messages);
        if let Some(messages) = self.terms.messages.filter(|_| missing) {
            self.say(&format!("{} of {messages} messages have come", self.received));
        }
        let all_sent = !self.failed && !self.link.has_lost() && !missing;
        Ok(all_sent && closed.is_some_and(|(is_well, _)| is_well))
    }

    /// Whether there was a connection.
    pub(super) fn was_connected(&self) -> bool {
        self.link.was_connected()
    }

    /// Closes with 1000; what stdout does not take is dropped.
    pub(super) fn interrupt(&mut self) {
        self.interrupted = true;
        if let Some(exec) = &mut self.exec {
            exec.stop();
        }
        self.close();
    }

    fn close(&mut self) {
        // It can be sent.
        let _ = self.close_with(CloseCode::NORMAL, "");
    }

    fn close_with(&mut self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        // Fails too where it is closed already, which is as good.
        if self.link.close(code, reason)? {
            self.closed_with = Some(code);
        }
        self.closing = true;
        if self.input.is_edited() {
            self.output.set_row(String::new());
        }
        Ok(())
    }

    /// Says something about the connection.
    pub(super) fn say(&mut self, text: &str) {
        match self.reports {
            Reports::Screen => self.output.show_report(text),
            Reports::Stderr => note(text),
        }
    }

    fn fail(&mut self, text: &str) {
        self.say(text);
        self.failed = true;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let written = self.output.poll_write(cx);
            if let Poll::Ready(Err(error)) = &written {
                self.lose_output(error);
                continue;
            }
            if !self.closing {
                self.input.poll_keys(cx, &mut self.output);
            }
            self.logged.poll(cx, &mut self.output);
            self.poll_exec(cx);
            let is_busy = self.exec.as_ref().is_some_and(Exec::is_busy);
            if self.ended.is_some() {
                if is_busy {
                    return Poll::Pending;
                }
                // What the command has written too.
                if written.is_ready() && self.output.has_something() {
                    continue;
                }
                let _ = ready!(written);
                return Poll::Ready(self.ended.take().unwrap_or(Ok(())));
            }
            let sent = self.send(cx);
            let received = self.receive(cx);
            if self.requests.poll(cx, &mut self.output, self.reports) || sent || received {
                continue;
            }
            // What was said or typed shows at once.
            if self.output.has_something() && written.is_ready() {
                continue;
            }
            ready!(self.poll_end(cx));
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
            } else {
                return sent > 0;
            }
        }
        true
    }

    /// Ready when there is a message to be sent, or none to come; that is known without a connection too.
    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.next.is_none() && !self.closing {
            if let Some(command) = self.asked.take() {
                if !self.link.was_connected() {
                    self.asked = Some(command);
                    return Poll::Pending;
                }
                self.obey(command);
                continue;
            }
            if let Some(read) = ready!(self.requests.poll_file(cx)) {
                match read {
                    Ok(message) => self.next = Some(message),
                    Err(error) => self.say(&error),
                }
                continue;
            }
            if self.input_ended {
                self.finish();
                return Poll::Ready(());
            }
            match ready!(self.input.poll_item(cx)) {
                Some(Ok(Item::Message(message))) => self.next = Some(message),
                Some(Ok(Item::Command(Command::Help))) => self.obey(Command::Help),
                Some(Ok(Item::Command(command))) => self.asked = Some(command),
                Some(Err(error @ InputError::Command(_))) => self.say(&error.to_string()),
                Some(Err(error)) => {
                    self.fail(&error.to_string());
                    self.input_ended = true;
                    self.terms.wait = Some(Duration::ZERO);
                }
                None => self.input_ended = true,
            }
        }
        Poll::Ready(())
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Help => HELP.iter().for_each(|line| self.output.push(format!("{line}\n").as_bytes())),
            Command::Ping => match self.link.sender() {
                Some(sender) => self.requests.ping(sender),
                None => self.say("there is no connection"),
            },
            Command::File(path) => self.requests.read(path),
            Command::Close { code, reason } => {
                if let Err(error) = self.close_with(CloseCode(code), &reason) {
                    self.say(&error.to_string());
                }
            }
        }
    }

    /// There is nothing more to be sent.
    fn finish(&mut self) {
        if !self.link.was_connected() {
            // A first connection is waited for all the same: it may be what is asked about.
            return if self.input.is_edited() { self.ended = Some(Ok(())) } else { self.link.set_last_attempt() };
        }
        match self.terms.wait {
            Some(Duration::ZERO) => self.close(),
            Some(wait) => drop(self.waiting.get_or_insert_with(|| Box::pin(sleep(wait)))),
            None => {}
        }
    }

    /// Takes one message, or the end; says whether anything moved.
    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        let is_busy = self.exec.as_ref().is_some_and(Exec::is_busy);
        if (self.output.is_full() || is_busy) && !self.interrupted {
            // What is unsent goes on meanwhile, and what is not read cannot be silence.
            self.link.flush(cx);
            self.patience = None;
            return false;
        }
        let heard = self.link.poll_next(cx);
        // A connection may be gone before it is told of.
        let is_new = matches!(heard, Poll::Ready(Some(Ok(Heard::Connected(_)))));
        let lost = if is_new { 0 } else { self.link.take_lost() };
        if lost > 0 {
            self.say(&format!("messages that were not sent: {lost}"));
        }
        for control in self.controls.take() {
            self.say(&control);
        }
        match heard {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(Heard::Message(message)))) => self.take(&message),
            Poll::Ready(Some(Ok(Heard::Lost(text)))) => self.say(&text),
            Poll::Ready(Some(Ok(Heard::Connected(text)))) => {
                self.say(&text);
                if self.closing {
                    // It was asked for before there was a connection.
                    self.close();
                }
            }
            Poll::Ready(Some(Err(error))) => self.ended = Some(Err(error)),
            Poll::Ready(None) => self.ended = Some(Ok(())),
        }
        self.patience = None;
        true
    }

    fn take(&mut self, message: &Message<'_>) {
        let is_enough = |received| self.terms.messages.is_some_and(|messages| received >= messages);
        let is_dropped = self.interrupted && (self.exec.is_some() || self.output.is_full());
        if is_dropped || is_enough(self.received) {
            return;
        }
        self.received += 1;
        match &mut self.exec {
            Some(exec) => exec.start(message.as_bytes().to_vec()),
            None => self.output.show(message),
        }
        if is_enough(self.received) {
            self.close();
        }
    }

    fn poll_exec(&mut self, cx: &mut Context<'_>) {
        let Some(exec) = &mut self.exec else { return };
        match exec.poll(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(ran)) => {
                self.output.show_foreign(&ran.written);
                self.output.show_complaint(&ran.complaint);
                if !ran.status.success() {
                    self.fail(&format!("the command of --exec ended with {}", ran.status));
                }
            }
            Poll::Ready(Err(error)) => self.fail(&error.to_string()),
        }
    }

    /// Ready when the connection should have closed by now, or has been waited for long enough.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(waiting) = self.waiting.as_mut().filter(|_| !self.closing) {
            ready!(waiting.as_mut().poll(cx));
            self.close();
            return Poll::Ready(());
        }
        ready!(self.poll_silence(cx));
        self.ended = Some(Err(Failure::Runtime(Error::TimedOut(Deadline::Close).to_string())));
        Poll::Ready(())
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.closing && self.link.closed().is_none() {
            return Poll::Pending;
        }
        let unsent = self.link.queued();
        if unsent != self.unsent {
            self.unsent = unsent;
            self.patience = None;
        }
        let timeout = self.terms.close_timeout;
        self.patience.get_or_insert_with(|| Box::pin(sleep(timeout))).as_mut().poll(cx)
    }

    fn lose_output(&mut self, error: &WriteError) {
        if !error.is_enough() {
            let text = error.to_string();
            if self.output.is_lost() {
                note(&text)
            } else {
                self.say(&text)
            }
            self.failed = true;
        }
        self.close();
    }
}
