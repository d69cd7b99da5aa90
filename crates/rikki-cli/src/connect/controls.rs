//! Pings and pongs of the server, on their way from the connection to whoever wants to see them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use rikki::client::{Builder, Control};

use super::shown::hex;

/// How many are kept: a server may send any number of them with one message.
const MOST: usize = 256;

/// Those that nobody was told of.
#[derive(Clone, Default)]
pub(super) struct Controls(Option<Arc<Mutex<Seen>>>);

#[derive(Default)]
struct Seen {
    lines: VecDeque<String>,
    left_out: usize,
}

impl Controls {
    /// Looks at those of the connections that the builder makes.
    pub(super) fn of(builder: Builder) -> (Self, Builder) {
        let seen = Arc::<Mutex<Seen>>::default();
        let watched = seen.clone();
        let builder = builder.on_control(move |control| {
            let mut seen = watched.lock().unwrap_or_else(PoisonError::into_inner);
            match description(control) {
                Some(line) if seen.lines.len() < MOST => seen.lines.push_back(line),
                _ => seen.left_out += 1,
            }
        });
        (Self(Some(seen)), builder)
    }

    /// What has come since this was asked last.
    pub(super) fn take(&self) -> Vec<String> {
        let Some(seen) = &self.0 else { return Vec::new() };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = std::mem::take(&mut seen.left_out);
        let more = (left_out > 0).then(|| format!("{left_out} more pings and pongs"));
        seen.lines.drain(..).chain(more).collect()
    }
}

fn description(control: Control<'_>) -> Option<String> {
    let (name, payload) = match control {
        Control::Ping(payload) => ("ping", payload),
        Control::Pong(payload) => ("pong", payload),
        _ => return None,
    };
    Some(match std::str::from_utf8(payload) {
        _ if payload.is_empty() => format!("{name} of the server"),
        Ok(text) if !text.contains(char::is_control) => format!("{name} of the server: {text:?}"),
        _ => format!("{name} of the server: {}", hex(payload)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words() {
        let check = |control, expected: &str| assert_eq!(description(control).as_deref(), Some(expected));
        check(Control::Ping(b""), "ping of the server");
        check(Control::Ping(b"are you there"), "ping of the server: \"are you there\"");
        check(Control::Pong(b"\0\0\0\x07"), "pong of the server: binary, 4 bytes: 00 00 00 07");
    }
}
