//! Messages from stdin, which is read on a thread of its own: a read cannot be given up, and nobody waits for one at
//! the end of the process.

use std::io::{self, Read as _};
use std::task::{Context, Poll, ready};
use std::{fmt, thread};

use rikki::ws::Message;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::lines::{LineError, Lines};

/// The most that is read at once, in bytes: what a pipe holds on Linux, and the largest binary message that is sent.
const CHUNK: usize = 64 * 1024;

/// What is read from stdin, as messages. Memory: at most three chunks and one line.
pub(super) struct Input {
    chunks: Receiver<io::Result<Vec<u8>>>,
    /// `None` if bytes are sent as they come.
    lines: Option<Lines>,
}

/// Why there is no next message.
pub(super) enum InputError {
    Line(LineError),
    Read(io::Error),
}

impl Input {
    /// Starts to read, one chunk ahead of what is asked for. No message is larger than `limit` bytes.
    pub(super) fn start(binary: bool, limit: usize) -> io::Result<Self> {
        let (sender, chunks) = channel(1);
        let size = if binary { CHUNK.min(limit) } else { CHUNK };
        thread::Builder::new().name("rikki-stdin".to_owned()).spawn(move || read(&sender, size))?;
        Ok(Self { chunks, lines: (!binary).then(|| Lines::new(limit)) })
    }

    /// The next message; `None` at the end of stdin. After an error there is no sense in asking again.
    pub(super) fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message<'static>, InputError>>> {
        loop {
            if let Some(line) = self.lines.as_mut().and_then(Lines::next_line) {
                return Poll::Ready(Some(text(line)));
            }
            match (ready!(self.chunks.poll_recv(cx)), &mut self.lines) {
                (Some(Ok(chunk)), Some(lines)) => lines.push(chunk),
                (Some(Ok(chunk)), None) => return Poll::Ready(Some(Ok(Message::from(chunk)))),
                (Some(Err(error)), _) => return Poll::Ready(Some(Err(InputError::Read(error)))),
                (None, Some(lines)) => return Poll::Ready(lines.last_line().map(text)),
                (None, None) => return Poll::Ready(None),
            }
        }
    }
}

fn text(line: Result<String, LineError>) -> Result<Message<'static>, InputError> {
    line.map(Message::from).map_err(InputError::Line)
}

/// Until the end of stdin, an error, or the end of whoever takes the chunks.
fn read(chunks: &Sender<io::Result<Vec<u8>>>, size: usize) {
    let mut stdin = io::stdin().lock();
    let mut buffer = vec![0; size];
    loop {
        let chunk = match stdin.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(buffer[..length].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = chunk.is_err();
        if chunks.blocking_send(chunk).is_err() || failed {
            return;
        }
    }
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(error) => error.fmt(f),
            Self::Read(error) => write!(f, "cannot read stdin: {error}"),
        }
    }
}
