//! What is to be sent: first what the command line says, then stdin, which is read on a thread of its own: a read
//! cannot be given up, and nobody waits for one at the end of the process.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::task::{Context, Poll, ready};
#[cfg(unix)]
use std::time::Duration;
use std::{fmt, thread};

use rikki::ws::Message;
use tokio::sync::mpsc::{Receiver, Sender, channel};
#[cfg(unix)]
use tokio::time::{Instant, timeout_at};

use super::command::Item;
#[cfg(unix)]
use super::command::parse;
#[cfg(unix)]
use super::editor::{Done, Editor};
use super::lines::{LineError, Lines};
use super::output::Output;

/// The most that is read at once, in bytes: what a pipe holds on Linux, and the largest binary message that is sent.
const CHUNK: usize = 64 * 1024;

/// How many lines that were entered may wait to be sent before no more is read from the terminal, and how many bytes.
#[cfg(unix)]
const ENTERED: usize = 256;
#[cfg(unix)]
const ENTERED_BYTES: usize = 1 << 20;

/// At the end nothing may have been typed for so long, or a paste be over; but that is not waited for any longer.
#[cfg(unix)]
const QUIET: Duration = Duration::from_millis(30);
#[cfg(unix)]
const PATIENCE: Duration = Duration::from_secs(2);

/// What is to be sent. Memory: what was given, at most three chunks and one line; on a terminal, what was entered too.
pub(super) struct Input {
    given: VecDeque<Message<'static>>,
    /// `None` if stdin is not read.
    chunks: Option<Receiver<io::Result<Vec<u8>>>>,
    form: Form,
}

/// What stdin is made of.
pub(super) enum Form {
    /// Bytes, which are sent as they come.
    Bytes,
    Lines(Lines),
    /// Keys, of which an editor makes lines.
    #[cfg(unix)]
    Keys(Box<Keys>),
}

#[cfg(unix)]
pub(super) struct Keys {
    editor: Editor,
    entered: VecDeque<String>,
    has_ended: bool,
    error: Option<io::Error>,
}

/// Why there is no next message.
pub(super) enum InputError {
    Line(LineError),
    Read(io::Error),
    /// What was typed is no command.
    Command(String),
}

impl Form {
    #[cfg(unix)]
    pub(super) fn keys(editor: Editor) -> Self {
        Self::Keys(Box::new(Keys { editor, entered: VecDeque::new(), has_ended: false, error: None }))
    }
}

impl Input {
    /// What is given, and then, with a `form`, stdin: it is read one chunk ahead of what is asked for. No message is
    /// larger than `limit` bytes.
    pub(super) fn start(given: Vec<Message<'static>>, form: Option<Form>, limit: usize) -> io::Result<Self> {
        let (sender, chunks) = channel(1);
        let size = if matches!(form, Some(Form::Bytes)) { CHUNK.min(limit) } else { CHUNK };
        if form.is_some() {
            thread::Builder::new().name("rikki-stdin".to_owned()).spawn(move || read(&sender, size))?;
        }
        let chunks = form.is_some().then_some(chunks);
        Ok(Self { given: given.into(), chunks, form: form.unwrap_or(Form::Bytes) })
    }

    /// Whether somebody types, and sees what is printed.
    pub(super) fn is_edited(&self) -> bool {
        #[cfg(unix)]
        return matches!(self.form, Form::Keys(_));
        #[cfg(not(unix))]
        return false;
    }

    /// Looks at what is typed, if that is what stdin is, and shows it in the last row of `output`.
    pub(super) fn poll_keys(&mut self, cx: &mut Context<'_>, output: &mut Output) {
        #[cfg(unix)]
        if let (Form::Keys(keys), Some(chunks)) = (&mut self.form, &mut self.chunks) {
            keys.poll(cx, chunks, output);
        }
        #[cfg(not(unix))]
        let _ = (cx, output);
    }

    /// What is next; `None` at the end of stdin. After an error there is no sense in asking again, but for one of a
    /// command. What is typed is known by [`poll_keys`](Self::poll_keys), which wakes for it.
    pub(super) fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Item, InputError>>> {
        if let Some(message) = self.given.pop_front() {
            return Poll::Ready(Some(Ok(Item::Message(message))));
        }
        let Some(chunks) = &mut self.chunks else { return Poll::Ready(None) };
        loop {
            let lines = match &mut self.form {
                Form::Bytes => {
                    let chunk = ready!(chunks.poll_recv(cx));
                    let message = chunk.map(|chunk| chunk.map(|chunk| Item::Message(Message::from(chunk))));
                    return Poll::Ready(message.map(|message| message.map_err(InputError::Read)));
                }
                #[cfg(unix)]
                Form::Keys(keys) => return keys.next_item(),
                Form::Lines(lines) => lines,
            };
            if let Some(line) = lines.next_line() {
                return Poll::Ready(Some(text(line)));
            }
            match ready!(chunks.poll_recv(cx)) {
                Some(Ok(chunk)) => lines.push(chunk),
                Some(Err(error)) => return Poll::Ready(Some(Err(InputError::Read(error)))),
                None => return Poll::Ready(lines.last_line().map(text)),
            }
        }
    }
}

fn text(line: Result<String, LineError>) -> Result<Item, InputError> {
    line.map(|line| Item::Message(Message::from(line))).map_err(InputError::Line)
}

#[cfg(unix)]
impl Keys {
    fn poll(&mut self, cx: &mut Context<'_>, chunks: &mut Receiver<io::Result<Vec<u8>>>, output: &mut Output) {
        // What is typed shows though nothing can be sent.
        while self.has_room() && !self.has_ended {
            match chunks.poll_recv(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => self.has_ended = true,
                Poll::Ready(Some(Err(error))) => (self.has_ended, self.error) = (true, Some(error)),
                Poll::Ready(Some(Ok(chunk))) => self.push(&chunk, output),
            }
        }
        output.set_row(self.editor.row());
    }

    fn has_room(&self) -> bool {
        self.entered.len() < ENTERED && self.entered.iter().map(String::len).sum::<usize>() < ENTERED_BYTES
    }

    fn next_item(&mut self) -> Poll<Option<Result<Item, InputError>>> {
        match (self.entered.pop_front(), self.error.take()) {
            (Some(line), error) => {
                self.error = error;
                Poll::Ready(Some(parse(&line).map_err(InputError::Command)))
            }
            (None, Some(error)) => Poll::Ready(Some(Err(InputError::Read(error)))),
            (None, None) if self.has_ended => Poll::Ready(None),
            (None, None) => Poll::Pending,
        }
    }

    fn push(&mut self, chunk: &[u8], output: &mut Output) {
        let Self { editor, entered, has_ended, .. } = self;
        editor.push(chunk, |done| match done {
            Done::Entered(line) if !*has_ended => {
                output.show_typed(&line);
                entered.push_back(line);
            }
            Done::Entered(_) => {}
            Done::Ended => *has_ended = true,
            Done::Cleared => output.push(b"\x1b[H\x1b[2J"),
            Done::Full => output.show_report("the line is as long as --max-message allows: what follows is left out"),
        });
    }
}

/// What belongs to a terminal.
#[cfg(unix)]
impl Input {
    /// How many messages and lines are known, and were not asked for.
    pub(super) fn waiting(&self) -> usize {
        self.given.len() + if let Form::Keys(keys) = &self.form { keys.entered.len() } else { 0 }
    }

    pub(super) fn set_columns(&mut self, columns: usize) {
        if let Form::Keys(keys) = &mut self.form {
            keys.editor.set_columns(columns);
        }
    }

    /// Takes what is still being typed or pasted, which would be a command for the shell; returns what was typed and
    /// not entered.
    pub(super) async fn drain(&mut self) -> String {
        let (Form::Keys(keys), Some(chunks)) = (&mut self.form, &mut self.chunks) else { return String::new() };
        let unfinished = keys.editor.unfinished().to_owned();
        let latest = Instant::now() + PATIENCE;
        loop {
            let until = if keys.editor.is_pasting() { latest } else { latest.min(Instant::now() + QUIET) };
            match timeout_at(until, chunks.recv()).await {
                Ok(Some(Ok(chunk))) if Instant::now() < latest => keys.editor.push(&chunk, drop),
                _ => return unfinished,
            }
        }
    }
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
            Self::Command(error) => f.write_str(error),
        }
    }
}
