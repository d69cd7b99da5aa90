//! One WebSocket connection after its handshake, server or client.
//!
//! ```text
//!              send_close             peer's Close
//!      Open ---------------> CloseSent ----------> Closed
//!       |  \                     |
//!       |   +--------------------|----------> ClosedByPeer
//!       |     peer's Close (answered)
//!       +------------------------+----> Failed(error)
//!          peer breaks a rule (Close with the code that says so)
//! ```

mod sending;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes};

use crate::close::{self, CloseCode, CloseFrame};
use crate::decoder::{Decoder, Incoming};
use crate::deflate::Codecs;
use crate::error::{Error, LimitExceeded, SendError};
use crate::frame::{FrameHeader, MAX_CONTROL, Opcode};
use crate::limits::Limits;
use crate::mask::Mask;
use crate::memory::MessageMemory;
use crate::message::{Binary, Message};
use crate::output::Output;
use crate::prepared::PreparedMessage;
use crate::rare::{Rare, Rarely};

/// Where a client's masking keys come from.
///
/// They have to be unpredictable ([section 5.3]), so an endpoint on a network takes them from a CSPRNG; this crate has
/// none, and tests want to choose them.
///
/// [section 5.3]: https://www.rfc-editor.org/rfc/rfc6455#section-5.3
pub trait MaskKeys: Send {
    /// The key for the next frame.
    fn next_key(&mut self) -> [u8; 4];
}

impl<F: FnMut() -> [u8; 4] + Send> MaskKeys for F {
    fn next_key(&mut self) -> [u8; 4] {
        self()
    }
}

/// What has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole message.
    Message(Message<'a>),
    /// A ping, which has been answered.
    Ping(Binary<'a>),
    /// A pong.
    Pong(Binary<'a>),
    /// The peer's Close, which has been answered; `None` if it held no code. Nothing comes after it.
    Close(Option<CloseFrame>),
}

/// A WebSocket connection as a state machine: bytes in, events and bytes out.
///
/// Feed what was read to [`next_event`](Self::next_event) until it returns `None`, send with [`send`](Self::send) and
/// its kin at any time, and write what is in the [`Output`]. When [`is_closed`](Self::is_closed) and the output is
/// written, the server ends the TCP connection.
///
/// Memory: about 150 bytes, no heap memory while no message is under way.
pub struct Connection {
    role: Role,
    state: State,
    decoder: Decoder,
    rare: Rarely,
}

enum Role {
    Server,
    Client(Box<dyn MaskKeys>),
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open,
    CloseSent,
    /// Our Close was the first.
    Closed,
    ClosedByPeer,
    Failed(Error),
}

impl Connection {
    /// The server's end of a connection: takes masked frames and sends unmasked ones.
    #[must_use]
    pub fn server(limits: Limits) -> Self {
        Self::new(Role::Server, limits)
    }

    /// The client's end of a connection: takes unmasked frames and masks its own with `keys`.
    #[must_use]
    pub fn client(limits: Limits, keys: impl MaskKeys + 'static) -> Self {
        Self::new(Role::Client(Box::new(keys)), limits)
    }

    fn new(role: Role, limits: Limits) -> Self {
        let masked = matches!(role, Role::Server);
        // A frame may come whole or in pieces: a limit of none would refuse it in pieces alone.
        let limits = limits.max_fragments(limits.max_fragments.max(1));
        Self { role, state: State::Open, decoder: Decoder::new(limits, masked), rare: None }
    }

    /// Compresses messages from now on and takes compressed ones, as was agreed on in the opening handshake
    /// ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692)).
    ///
    /// Memory: one pointer, and what the codecs hold.
    pub fn set_codecs(&mut self, codecs: Arc<dyn Codecs>) {
        self.decoder.set_codecs(codecs);
    }

    /// Bounds what unfinished messages hold by what all connections with clones of `memory` may hold together.
    ///
    /// Memory: one pointer.
    pub fn set_message_memory(&mut self, memory: Arc<MessageMemory>) {
        self.decoder.set_message_memory(memory);
    }

    /// Shows each message that is sent from now on to `witness`, before it is framed: for a log of them.
    ///
    /// Memory: one box, and what the closure holds.
    pub fn set_witness(&mut self, witness: impl FnMut(&Message<'_>) + Send + 'static) {
        Rare::set_witness(&mut self.rare, witness);
    }

    /// Takes bytes from the front of `input` until there is something to report or none are left.
    ///
    /// `input` is unmasked in place, and events borrow from it. Pings and the peer's Close are answered into `output`;
    /// while that is [blocked](Output::is_blocked), only the latest ping is kept.
    ///
    /// # Errors
    ///
    /// The peer broke a rule or went past a limit. The Close frame that says so is in `output`, and the connection is
    /// closed: each further call takes all input and repeats the error.
    // Handing a short message from call to call costs more than finding it: it stays in registers.
    #[inline(always)]
    pub fn next_event<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        output: &mut Output,
    ) -> Result<Option<Event<'a>>, Error> {
        // What comes after a Close of ours goes the longer way.
        if self.is_open() {
            match self.decoder.next_short(input) {
                Ok(Some(message)) => return Ok(Some(Event::Message(message))),
                Ok(None) => {}
                Err(error) => return Err(self.fail(error, input, output)),
            }
        }
        self.next_other(input, output)
    }

    /// What is no short message: the way of few.
    #[inline(never)]
    fn next_other<'a>(&mut self, input: &mut &'a mut [u8], output: &mut Output) -> Result<Option<Event<'a>>, Error> {
        match self.state {
            State::Open | State::CloseSent => {}
            // Section 1.4: "After receiving a control frame indicating the connection should be closed, a peer
            // discards any further data received."
            State::Closed | State::ClosedByPeer => {
                *input = &mut [];
                return Ok(None);
            }
            State::Failed(error) => {
                *input = &mut [];
                return Err(error);
            }
        }
        let incoming = self.decoder.next(input);
        let event = match incoming {
            Ok(None) => return Ok(None),
            Ok(Some(Incoming::Message(message))) => Ok(Event::Message(message)),
            Ok(Some(Incoming::Control(Opcode::Ping, payload))) => {
                self.answer_ping(&payload, output);
                Ok(Event::Ping(payload))
            }
            Ok(Some(Incoming::Control(Opcode::Close, payload))) => self.handle_close(&payload, output),
            Ok(Some(Incoming::Control(_, payload))) => Ok(Event::Pong(payload)),
            Err(error) => Err(error),
        };
        event.map(Some).map_err(|error| self.fail(error, input, output))
    }

    /// Lets `read` put what comes next straight into the large binary message that is under way, without a copy.
    ///
    /// To be called before each read from the network, when [`next_event`](Self::next_event) has taken all that was
    /// read before: what `read` puts there comes next, and is not given to it.
    ///
    /// Where this gives `None`, `read` has not been called, and what comes next is for `next_event`. That is so unless
    /// the last frame of an uncompressed binary message is arriving, with 32 KiB of the message there and 64 KiB to
    /// come; and also where `most` is below 32 KiB, or no [memory](Self::set_message_memory) is left for more of the
    /// message.
    ///
    /// Memory: there is room for 32 KiB to `most` bytes, counted as that of any unfinished message. It is not
    /// initialized before it is written to.
    pub fn fill_payload<R>(&mut self, most: usize, read: impl FnOnce(&mut dyn BufMut) -> R) -> Option<R> {
        self.decoder.fill_payload(most, read)
    }

    /// Sends a message as one frame, compressed if that was agreed on and the [codecs](Codecs) gain by it.
    ///
    /// The payload is copied behind its header, except that a server leaves shared payloads of 16 KiB and more where
    /// they are.
    ///
    /// # Errors
    ///
    /// [`SendError::Closed`] after a Close frame was sent or the connection failed.
    // Handing a short message from call to call costs more than framing it.
    #[inline(always)]
    pub fn send<'a>(&mut self, message: impl Into<Message<'a>>, output: &mut Output) -> Result<(), SendError> {
        self.send_noted(message, output, || {})
    }

    /// The same as [`send`](Self::send), with `note` called before if it does not fail: whoever counts what is sent looks
    /// at no outcome for that, which costs more than the counting.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    #[doc(hidden)]
    #[inline(always)]
    pub fn send_noted<'a>(
        &mut self,
        message: impl Into<Message<'a>>,
        output: &mut Output,
        note: impl FnOnce(),
    ) -> Result<(), SendError> {
        self.check_open()?;
        note();
        let message = message.into();
        if self.rare.is_some() {
            Rare::show(&mut self.rare, &message);
        }
        match self.decoder.codecs() {
            Some(codecs) if message.as_bytes().len() >= codecs.threshold() => {
                let codecs = codecs.clone();
                self.send_compressed(&*codecs, message, output);
            }
            _ => self.encode_message(message, output),
        }
        Ok(())
    }

    /// Sends a ping; the peer answers with a pong of the same payload.
    ///
    /// # Errors
    ///
    /// [`SendError::ControlTooLong`] if the payload is longer than 125 bytes, [`SendError::Closed`] after a Close.
    pub fn ping(&mut self, payload: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.send_control(Opcode::Ping, payload, output)
    }

    /// Sends a pong that nobody has asked for, as a heartbeat in one direction
    /// ([section 5.5.3](https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3)). Pings are answered without it.
    ///
    /// # Errors
    ///
    /// As [`ping`](Self::ping).
    pub fn pong(&mut self, payload: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.send_control(Opcode::Pong, payload, output)
    }

    fn send_control(&mut self, opcode: Opcode, payload: &[u8], output: &mut Output) -> Result<(), SendError> {
        self.check_open()?;
        if payload.len() > MAX_CONTROL {
            return Err(SendError::ControlTooLong { length: payload.len() });
        }
        self.encode(opcode, payload, output);
        Ok(())
    }

    /// Starts the closing handshake ([section 7.1.2](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.2)); what the
    /// peer sends before its own Close is still reported.
    ///
    /// # Errors
    ///
    /// [`SendError::InvalidCloseCode`] if the code must not be sent, [`SendError::ReasonTooLong`] if the reason is
    /// longer than 123 bytes, [`SendError::Closed`] if a Close was sent before.
    pub fn close(&mut self, code: CloseCode, reason: &str, output: &mut Output) -> Result<(), SendError> {
        self.check_open()?;
        let body = close::encode(code, reason)?;
        self.encode(Opcode::Close, body.as_slice(), output);
        self.state = State::CloseSent;
        Ok(())
    }

    /// Answers the ping that was kept while writing was blocked, if there is one; to be called when it no longer is.
    pub fn handle_unblocked(&mut self, output: &mut Output) {
        if let (Some(ping), Ok(())) = (Rare::take_ping(&mut self.rare), self.check_open()) {
            self.encode(Opcode::Pong, &ping, output);
        }
    }

    /// Ready with the error that ends the connection, if its unfinished message has to give way to those of others in
    /// the [memory](Self::set_message_memory) for all: the Close frame that says so is in `output`. Until then the task
    /// is woken when that happens.
    ///
    /// To be called before waiting for the rest of a message.
    pub fn poll_evicted(&mut self, cx: &mut Context<'_>, output: &mut Output) -> Poll<Error> {
        match self.decoder.poll_evicted(cx) {
            Poll::Ready(()) => Poll::Ready(self.fail(LimitExceeded::NoMessageMemory.into(), &mut &mut [][..], output)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Whether this is the server's end: the one that closes TCP first
    /// ([section 7.1.1](https://www.rfc-editor.org/rfc/rfc6455#section-7.1.1)).
    #[must_use]
    pub fn is_server(&self) -> bool {
        matches!(self.role, Role::Server)
    }

    /// Whether messages can still be sent: no Close frame has been sent.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether nothing more is expected from the peer: its Close has come or it broke a rule.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed | State::ClosedByPeer | State::Failed(_))
    }

    /// Whether the peer has closed the connection: its Close has come, and ours was not sent before.
    #[must_use]
    pub fn is_closed_by_peer(&self) -> bool {
        matches!(self.state, State::ClosedByPeer)
    }

    /// Whether a message or a frame has begun to arrive that is not whole yet.
    #[must_use]
    pub fn is_mid_message(&self) -> bool {
        self.decoder.is_mid_message()
    }

    /// How much has arrived of the payload of the message under way, in bytes as they came, since this was last called
    /// or since the message began; 0 if there is none. A peer can be judged by it that sends too slowly.
    pub fn take_received(&mut self) -> u64 {
        self.decoder.take_received()
    }

    fn check_open(&self) -> Result<(), SendError> {
        if self.is_open() { Ok(()) } else { Err(SendError::Closed) }
    }

    /// Section 5.5.2: "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response, unless it already
    /// received a Close frame." Nor after it has sent one: nothing of ours follows our Close, and a peer that has it
    /// needs no sign of life.
    fn answer_ping(&mut self, payload: &[u8], output: &mut Output) {
        if !self.is_open() {
            return;
        }
        if output.is_blocked() {
            // Section 5.5.3: it "MAY elect to send a Pong frame for only the most recently processed Ping frame".
            Rare::keep_ping(&mut self.rare, payload);
        } else {
            self.encode(Opcode::Pong, payload, output);
        }
    }

    fn handle_close(&mut self, payload: &[u8], output: &mut Output) -> Result<Event<'static>, Error> {
        let frame = close::parse(payload)?;
        let is_first = self.is_open();
        if is_first {
            // Section 5.5.1: "When sending a Close frame in response, the endpoint typically echos the status code it
            // received."
            let code = payload.get(..2).unwrap_or_default();
            self.encode(Opcode::Close, code, output);
        }
        self.state = if is_first { State::ClosedByPeer } else { State::Closed };
        self.decoder.clear();
        Ok(Event::Close(frame))
    }

    /// Section 7.1.7: tells the peer why, unless our Close is out already. Nothing more is taken.
    #[cold]
    fn fail(&mut self, error: Error, input: &mut &mut [u8], output: &mut Output) -> Error {
        *input = &mut [];
        // The reason fits: a test holds every error's text to the room there is.
        let _ = self.close(CloseCode::for_error(&error), &error.to_string(), output);
        self.state = State::Failed(error);
        self.decoder.clear();
        error
    }

    #[inline]
    fn encode_message(&mut self, message: Message<'_>, output: &mut Output) {
        match message.into_parts() {
            (opcode, Ok(borrowed)) => self.encode(opcode, borrowed, output),
            (opcode, Err(shared)) => self.encode_shared(opcode, shared, output),
        }
    }

    /// A shared payload may be left where it is.
    fn encode_shared(&mut self, opcode: Opcode, payload: Bytes, output: &mut Output) {
        if self.is_server() {
            let length = payload.len() as u64;
            FrameHeader { fin: true, compressed: false, opcode, length, mask: None }.encode(output.buffer());
            output.push_shared(payload);
        } else {
            self.encode(opcode, &payload, output);
        }
    }

    fn encode_prepared(&mut self, prepared: &PreparedMessage, output: &mut Output) {
        let message = prepared.message();
        if self.is_server() {
            output.buffer().extend_from_slice(prepared.header());
            output.push_with(message.as_bytes(), || message.to_bytes());
        } else {
            self.encode(message.opcode(), message.as_bytes(), output);
        }
    }

    #[inline]
    fn encode(&mut self, opcode: Opcode, payload: &[u8], output: &mut Output) {
        self.encode_frame(opcode, false, payload, output);
    }

    #[inline]
    fn encode_frame(&mut self, opcode: Opcode, compressed: bool, payload: &[u8], output: &mut Output) {
        let header = FrameHeader { fin: true, compressed, opcode, length: payload.len() as u64, mask: None };
        let buffer = output.buffer();
        match &mut self.role {
            Role::Server => {
                header.encode(buffer);
                buffer.extend_from_slice(payload);
            }
            // Section 5.1: "a client MUST mask all frames that it sends to the server"
            Role::Client(keys) => encode_masked(header, keys.next_key(), payload, buffer),
        }
    }
}

#[inline(never)]
fn encode_masked(mut header: FrameHeader, key: [u8; 4], payload: &[u8], buffer: &mut Vec<u8>) {
    header.mask = Some(key);
    header.encode(buffer);
    let start = buffer.len();
    buffer.extend_from_slice(payload);
    Mask::new(key).apply(buffer.get_mut(start..).unwrap_or_default());
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = if self.is_server() { "server" } else { "client" };
        f.debug_struct("Connection").field("role", &role).field("state", &self.state).finish_non_exhaustive()
    }
}
