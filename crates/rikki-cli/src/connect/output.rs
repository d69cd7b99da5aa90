//! Messages to stdout, which is written on a thread of its own: a reader that has stopped, as a pager does, must not
//! hold up the connection or a signal.

use std::io::{self, IsTerminal as _, Write as _};
use std::task::{Context, Poll, ready};
use std::{mem, thread};

use rikki::ws::Message;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::shown::{self, Style};

/// How much is gathered before nothing more should come, in bytes.
const FULL: usize = 64 * 1024;

/// Gathers what is to be printed while the thread writes what came before. Memory: twice `FULL` and one message.
pub(super) struct Output {
    style: Style,
    gathered: Vec<u8>,
    /// The thread has something to write, and has not reported yet.
    writing: bool,
    /// Stdout takes nothing any more.
    lost: bool,
    to_write: Sender<Vec<u8>>,
    written: Receiver<io::Result<()>>,
}

impl Output {
    pub(super) fn start(binary: bool) -> io::Result<Self> {
        let style = match (binary, io::stdout().is_terminal()) {
            (true, _) => Style::Bytes,
            (false, true) => Style::Terminal,
            (false, false) => Style::Lines,
        };
        let (to_write, received) = channel(1);
        let (report, written) = channel(1);
        thread::Builder::new().name("rikki-stdout".to_owned()).spawn(move || write(received, &report))?;
        Ok(Self { style, gathered: Vec::new(), writing: false, lost: false, to_write, written })
    }

    /// Adds a message to what is to be printed.
    pub(super) fn show(&mut self, message: &Message<'_>) {
        if !self.lost {
            shown::show(&mut self.gathered, self.style, message);
        }
    }

    /// Whether messages should wait until some of them are printed.
    pub(super) fn is_full(&self) -> bool {
        self.gathered.len() >= FULL
    }

    /// Writes; ready when everything is printed. An error is reported once, and from then on nothing is printed.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.writing {
                let written = ready!(self.written.poll_recv(cx));
                self.writing = false;
                if let Err(error) = written.unwrap_or_else(|| Err(io::ErrorKind::BrokenPipe.into())) {
                    self.lost = true;
                    self.gathered = Vec::new();
                    return Poll::Ready(Err(error));
                }
            }
            if self.gathered.is_empty() {
                return Poll::Ready(Ok(()));
            }
            // There is room: the thread has reported what it had before.
            self.writing = true;
            let _ = self.to_write.try_send(mem::take(&mut self.gathered));
        }
    }
}

/// Until an error, or the end of whoever has something to write.
fn write(mut to_write: Receiver<Vec<u8>>, written: &Sender<io::Result<()>>) {
    let mut stdout = io::stdout().lock();
    while let Some(bytes) = to_write.blocking_recv() {
        let result = stdout.write_all(&bytes).and_then(|()| stdout.flush());
        let failed = result.is_err();
        if written.blocking_send(result).is_err() || failed {
            return;
        }
    }
}
