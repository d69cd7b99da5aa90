//! Lines of the log, which are shown above the line being typed.

use std::io::{self, Write};
use std::task::{Context, Poll};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::output::Output;

/// How many writes of the log wait for the screen: it keeps more itself.
const WAITING: usize = 4;

/// What the log is written to.
pub(super) struct Writer(Sender<Vec<u8>>);

/// What of it is to be shown.
pub(super) struct Logged(Receiver<Vec<u8>>);

pub(super) fn logged() -> (Writer, Logged) {
    let (sender, receiver) = channel(WAITING);
    (Writer(sender), Logged(receiver))
}

impl Write for Writer {
    /// When nothing is shown any more, to stderr.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.blocking_send(bytes.to_vec()) {
            Ok(()) => Ok(bytes.len()),
            Err(_) => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Logged {
    /// Shows what has been logged, as far as there is room.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, output: &mut Output) {
        while !output.is_full()
            && let Poll::Ready(Some(bytes)) = self.0.poll_recv(cx)
        {
            output.push(&bytes);
        }
    }
}

impl Drop for Logged {
    /// What came too late for the screen, as a panic does, goes where all goes from now on.
    fn drop(&mut self) {
        self.0.close();
        while let Ok(bytes) = self.0.try_recv() {
            let _ = io::stderr().write_all(&bytes);
        }
    }
}
