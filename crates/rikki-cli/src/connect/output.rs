//! Messages to stdout and to a file, which are written on a thread of its own: a reader that has stopped, as a pager
//! does, must not hold up the connection or a signal.
//!
//! On a terminal where lines are edited the last row is the editor's: it is erased before anything is printed, and
//! shown again behind it, all in one write.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::task::{Context, Poll, ready};
use std::{fmt, mem, thread};

use rikki::ws::Message;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::shown::{self, Look, Style};

/// How much is gathered before nothing more should come, in bytes.
const FULL: usize = 64 * 1024;

/// Takes the cursor to the beginning of its row, and empties that.
const ERASE: &str = "\r\x1b[K";

/// Gathers what is to be printed while the thread writes what came before. Memory: twice `FULL` and one message as it
/// is shown, for each of stdout and the file.
pub(super) struct Output {
    look: Look,
    gathered: Work,
    /// Whether messages go to a file, and whether they go to stdout.
    has_file: bool,
    is_shown: bool,
    /// What the last row shows, where lines are edited.
    row: Option<String>,
    row_has_changed: bool,
    /// The thread has something to write, and has not reported yet.
    writing: bool,
    /// Nothing can be written any more.
    lost: bool,
    to_write: Sender<Work>,
    written: Receiver<Result<(), WriteError>>,
}

/// What is to be written.
#[derive(Default)]
struct Work {
    stdout: Vec<u8>,
    file: Vec<u8>,
}

/// What could not be written.
#[derive(Debug)]
pub(super) struct WriteError {
    /// The file, or stdout.
    path: Option<PathBuf>,
    source: io::Error,
}

impl Output {
    /// With `file` messages go there, and to stdout too only where lines are edited.
    pub(super) fn start(look: Look, file: Option<(PathBuf, File)>, is_edited: bool) -> io::Result<Self> {
        let (to_write, received) = channel(1);
        let (report, written) = channel(1);
        let has_file = file.is_some();
        thread::Builder::new().name("rikki-stdout".to_owned()).spawn(move || write(received, &report, file))?;
        Ok(Self {
            look,
            gathered: Work::default(),
            has_file,
            is_shown: !has_file || is_edited,
            row: is_edited.then(String::new),
            row_has_changed: false,
            writing: false,
            lost: false,
            to_write,
            written,
        })
    }

    pub(super) fn show(&mut self, message: &Message<'_>) {
        self.append(|to, look| shown::show(to, look, message));
    }

    /// What a program has written for a message.
    pub(super) fn show_foreign(&mut self, bytes: &[u8]) {
        self.append(|to, look| shown::show_foreign(to, look, bytes));
    }

    /// What a program has said of it, which is for whoever looks.
    pub(super) fn show_complaint(&mut self, bytes: &[u8]) {
        shown::show_foreign(&mut self.gathered.stdout, self.look, bytes);
    }

    /// A line that was typed, above the row.
    pub(super) fn show_typed(&mut self, line: &str) {
        shown::show_typed(&mut self.gathered.stdout, self.look, line);
    }

    /// What is said about the connection, above the row.
    pub(super) fn show_report(&mut self, text: &str) {
        shown::show_report(&mut self.gathered.stdout, self.look, text);
    }

    /// What is for the terminal itself, or has been made for it.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.gathered.stdout.extend_from_slice(bytes);
    }

    /// What the last row shows from now on.
    pub(super) fn set_row(&mut self, row: String) {
        if self.row.as_ref() != Some(&row) {
            self.row = Some(row);
            self.row_has_changed = true;
        }
    }

    /// Whether messages should wait until some of them are printed.
    pub(super) fn is_full(&self) -> bool {
        self.gathered.stdout.len() + self.gathered.file.len() >= FULL
    }

    /// Whether there is something to write.
    pub(super) fn has_something(&self) -> bool {
        !self.lost && (!self.gathered.is_empty() || self.row_has_changed)
    }

    fn append(&mut self, write: impl Fn(&mut Vec<u8>, Look)) {
        if self.lost {
            return;
        }
        if self.is_shown {
            write(&mut self.gathered.stdout, self.look);
        }
        if self.has_file {
            let style = if self.look.style == Style::Bytes { Style::Bytes } else { Style::Lines };
            write(&mut self.gathered.file, Look { style, marks: false, colours: false, ..self.look });
        }
    }

    /// Whether nothing can be shown any more.
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    /// Writes; ready when everything is printed. An error is reported once, and from then on nothing is printed, or
    /// nothing written to the file.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        loop {
            if self.writing {
                let written = ready!(self.written.poll_recv(cx));
                self.writing = false;
                let gone = || Err(WriteError { path: None, source: io::ErrorKind::BrokenPipe.into() });
                if let Err(error) = written.unwrap_or_else(gone) {
                    if error.path.is_some() {
                        self.has_file = false;
                        self.gathered.file = Vec::new();
                    } else {
                        self.lost = true;
                        self.gathered = Work::default();
                    }
                    return Poll::Ready(Err(error));
                }
            }
            if !self.has_something() {
                self.gathered = Work::default();
                return Poll::Ready(Ok(()));
            }
            let mut work = mem::take(&mut self.gathered);
            if let Some(row) = &self.row {
                work.stdout.splice(0..0, ERASE.bytes());
                work.stdout.extend_from_slice(row.as_bytes());
            }
            self.row_has_changed = false;
            // There is room: the thread has reported what it had before.
            self.writing = true;
            let _ = self.to_write.try_send(work);
        }
    }
}

impl Work {
    fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.file.is_empty()
    }
}

impl WriteError {
    /// Whether whoever reads has seen enough, as `head` has.
    pub(super) fn is_enough(&self) -> bool {
        self.path.is_none() && self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "cannot write to {}: {}", path.display(), self.source),
            None => write!(f, "cannot write to stdout: {}", self.source),
        }
    }
}

/// Until an error of stdout, or the end of whoever has something to write.
fn write(mut to_write: Receiver<Work>, written: &Sender<Result<(), WriteError>>, mut file: Option<(PathBuf, File)>) {
    let mut stdout = io::stdout().lock();
    while let Some(work) = to_write.blocking_recv() {
        let shown = stdout.write_all(&work.stdout).and_then(|()| stdout.flush());
        let is_shown = shown.is_ok();
        let mut result = shown.map_err(|source| WriteError { path: None, source });
        if let (true, Some((path, to))) = (is_shown, &mut file)
            && let Err(source) = to.write_all(&work.file)
        {
            result = Err(WriteError { path: Some(mem::take(path)), source });
            file = None;
        }
        if written.blocking_send(result).is_err() || !is_shown {
            return;
        }
    }
}
