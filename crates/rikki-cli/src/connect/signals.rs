//! The signals that ask the client to stop, as exit codes.

use std::io;
use std::process::ExitCode;

use tokio::signal;

#[cfg(unix)]
pub(super) struct Signals {
    interrupt: signal::unix::Signal,
    terminate: signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From now on the signals no longer end the process.
    pub(super) fn new() -> io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one: 128 and its number, as shells report a program that it has ended.
    pub(super) async fn next(&mut self) -> ExitCode {
        tokio::select! {
            _ = self.interrupt.recv() => ExitCode::from(130),
            _ = self.terminate.recv() => ExitCode::from(143),
        }
    }
}

/// Ctrl-C, where there are no signals.
#[cfg(not(unix))]
pub(super) struct Signals(signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        signal::windows::ctrl_c().map(Self)
    }

    pub(super) async fn next(&mut self) -> ExitCode {
        self.0.recv().await;
        ExitCode::from(130)
    }
}
