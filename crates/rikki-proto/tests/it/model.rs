//! What a receiver must make of a list of frames, written from the sentences of RFC 6455 and from nothing else.
//!
//! It sees whole frames and whole messages, so it has no buffers, no cuts and no state to get wrong.

use rikki_proto::{Error, Event, LimitExceeded, Limits, ProtocolError};

use crate::delivery::{End, Outcome, Role, binary, closed, ping, pong, text};
use crate::wire::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, shortest};

/// Limits of the ends under test, which the model has to know as numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) message: usize,
    pub(crate) fragments: u32,
}

impl Bounds {
    pub(crate) fn limits(self) -> Limits {
        Limits::default().max_message_size(self.message).max_fragments(self.fragments)
    }
}

/// A message of which fragments have come.
struct Open {
    opcode: u8,
    payload: Vec<u8>,
    announced: u64,
    fragments: u32,
}

/// The outcome of `frames` at this end.
pub(crate) fn predict(end: End, bounds: Bounds, frames: &[Frame]) -> Outcome {
    let mut outcome = Outcome::default();
    let mut open = None;
    for frame in frames {
        match judge(end.role, bounds, &mut open, frame) {
            Ok(None) => {}
            Ok(Some(event)) => {
                let is_last = matches!(event, Event::Close(_));
                match &event {
                    Event::Ping(payload) => outcome.output.push(Frame::new(PONG, &payload[..])),
                    Event::Close(None) => outcome.output.push(Frame::new(CLOSE, [])),
                    Event::Close(Some(close)) => outcome.output.push(Frame::close(close.code.0, "")),
                    _ => {}
                }
                outcome.events.push(event);
                if is_last {
                    break;
                }
            }
            Err(error) => {
                outcome.output.push(Frame::close(code(error), &error.to_string()));
                outcome.error = Some(error);
                break;
            }
        }
    }
    outcome.output = end.own(outcome.output);
    outcome
}

/// Sections 7.4.1 and 10.4: the code that a failure is told with.
pub(crate) fn code(error: Error) -> u16 {
    match error {
        Error::Protocol(ProtocolError::InvalidUtf8 | ProtocolError::InvalidCloseReason) => 1007,
        Error::Protocol(_) => 1002,
        Error::Limit(LimitExceeded::MessageTooLong { .. }) => 1009,
        Error::Limit(_) => 1008,
    }
}

/// Section 7.4: the codes that may appear in a frame, with those registered since.
pub(crate) fn may_be_sent(code: u16) -> bool {
    match code {
        1000..=1003 | 1007..=1011 => true, // section 7.4.1
        1012..=1014 => true,               // registered with IANA
        3000..=4999 => true,               // section 7.4.2: libraries and applications
        _ => false,
    }
}

fn judge(role: Role, bounds: Bounds, open: &mut Option<Open>, frame: &Frame) -> Result<Option<Event<'static>>, Error> {
    check_header(role, frame)?;
    match frame.opcode {
        PING => Ok(Some(ping(&frame.payload))),
        PONG => Ok(Some(pong(&frame.payload))),
        CLOSE => close(&frame.payload).map(Some),
        _ => data(bounds, open, frame),
    }
}

/// Section 5.2, field by field in the order of the wire.
fn check_header(role: Role, frame: &Frame) -> Result<(), ProtocolError> {
    if frame.rsv != 0 {
        return Err(ProtocolError::ReservedBits);
    }
    if ![CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG].contains(&frame.opcode) {
        return Err(ProtocolError::ReservedOpcode(frame.opcode));
    }
    if frame.is_control() && !frame.fin {
        return Err(ProtocolError::ControlFragmented);
    }
    match (role, frame.mask) {
        (Role::Server, None) => return Err(ProtocolError::Unmasked),
        (Role::Client, Some(_)) => return Err(ProtocolError::Masked),
        _ => {}
    }
    if frame.is_control() && frame.wide_length() > 0 {
        return Err(ProtocolError::ControlTooLong);
    }
    if frame.announced() >= 1 << 63 {
        return Err(ProtocolError::LengthOverflow);
    }
    if frame.wide_length() != shortest(frame.announced()) {
        return Err(ProtocolError::NonMinimalLength);
    }
    Ok(())
}

/// Sections 5.4, 5.6, 8.1 and 10.4.
fn data(bounds: Bounds, open: &mut Option<Open>, frame: &Frame) -> Result<Option<Event<'static>>, Error> {
    let mut message = match (frame.opcode, open.take()) {
        (CONTINUATION, None) => return Err(ProtocolError::UnexpectedContinuation.into()),
        (CONTINUATION, Some(message)) => message,
        (_, Some(_)) => return Err(ProtocolError::ExpectedContinuation.into()),
        (opcode, None) => Open { opcode, payload: Vec::new(), announced: 0, fragments: 0 },
    };
    message.fragments += 1;
    if message.fragments > bounds.fragments {
        return Err(LimitExceeded::TooManyFragments { limit: bounds.fragments }.into());
    }
    message.announced += frame.announced();
    if message.announced > bounds.message as u64 {
        return Err(LimitExceeded::MessageTooLong { length: message.announced, limit: bounds.message }.into());
    }
    message.payload.extend_from_slice(&frame.payload);
    if message.opcode == TEXT {
        match std::str::from_utf8(&message.payload) {
            // The message may end inside a character only if more of it is to come.
            Err(error) if frame.fin || error.error_len().is_some() => return Err(ProtocolError::InvalidUtf8.into()),
            _ => {}
        }
    }
    Ok(match (frame.fin, message.opcode) {
        (false, _) => {
            *open = Some(message);
            None
        }
        (true, TEXT) => Some(text(&String::from_utf8(message.payload).unwrap())),
        (true, _) => Some(binary(&message.payload)),
    })
}

/// Sections 5.5.1 and 7.4.
fn close(payload: &[u8]) -> Result<Event<'static>, Error> {
    let Some((head, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok(Event::Close(None)) } else { Err(ProtocolError::CloseTooShort.into()) };
    };
    let code = u16::from_be_bytes(*head);
    if !may_be_sent(code) {
        return Err(ProtocolError::InvalidCloseCode(code).into());
    }
    match String::from_utf8(reason.to_vec()) {
        Ok(reason) => Ok(closed(code, &reason)),
        Err(_) => Err(ProtocolError::InvalidCloseReason.into()),
    }
}
