//! The signals that ask the client to stop, as exit codes, and what a terminal tells by signals.

use std::io;
use std::process::ExitCode;

use tokio::signal;

/// What a signal asks for.
pub(super) enum Asked {
    End(ExitCode),
    /// The terminal has another size.
    Resized,
    /// Ctrl-Z: to stop for now.
    Stopped,
    /// To go on after that.
    Continued,
}

#[cfg(unix)]
pub(super) struct Signals {
    interrupt: signal::unix::Signal,
    terminate: signal::unix::Signal,
    /// What is looked at while lines are edited: else a stop is the system's to do, and so is an end by the others.
    terminal: Option<OfTerminal>,
}

#[cfg(unix)]
struct OfTerminal {
    resized: signal::unix::Signal,
    stopped: signal::unix::Signal,
    continued: signal::unix::Signal,
    /// These would end the process without giving the terminal back.
    hangup: signal::unix::Signal,
    quit: signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// From now on the signals no longer end the process, nor, with `is_edited`, stop it.
    pub(super) fn new(is_edited: bool) -> io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        let raw = SignalKind::from_raw;
        let of_terminal = || {
            let stop = raw(rustix::process::Signal::TSTP.as_raw());
            let cont = raw(rustix::process::Signal::CONT.as_raw());
            Ok::<_, io::Error>(OfTerminal {
                resized: signal(SignalKind::window_change())?,
                stopped: signal(stop)?,
                continued: signal(cont)?,
                hangup: signal(SignalKind::hangup())?,
                quit: signal(SignalKind::quit())?,
            })
        };
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            terminal: if is_edited { Some(of_terminal()?) } else { None },
        })
    }

    /// Waits for the next one. The code at an end is 128 and its number, as shells report a program that it has ended.
    pub(super) async fn next(&mut self) -> Asked {
        let terminal = async {
            let Some(of_terminal) = &mut self.terminal else { return std::future::pending().await };
            tokio::select! {
                _ = of_terminal.resized.recv() => Asked::Resized,
                _ = of_terminal.stopped.recv() => Asked::Stopped,
                _ = of_terminal.continued.recv() => Asked::Continued,
                _ = of_terminal.hangup.recv() => Asked::End(ExitCode::from(129)),
                _ = of_terminal.quit.recv() => Asked::End(ExitCode::from(131)),
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End(ExitCode::from(130)),
            _ = self.terminate.recv() => Asked::End(ExitCode::from(143)),
            asked = terminal => asked,
        }
    }

    /// Waits for the next one that asks to end.
    pub(super) async fn end(&mut self) -> ExitCode {
        loop {
            if let Asked::End(code) = self.next().await {
                return code;
            }
        }
    }
}

/// Ctrl-C, where there are no signals.
#[cfg(not(unix))]
pub(super) struct Signals(signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new(_: bool) -> io::Result<Self> {
        signal::windows::ctrl_c().map(Self)
    }

    pub(super) async fn next(&mut self) -> Asked {
        Asked::End(self.end().await)
    }

    pub(super) async fn end(&mut self) -> ExitCode {
        self.0.recv().await;
        ExitCode::from(130)
    }
}
