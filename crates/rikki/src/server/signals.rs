//! The signals that tell a server what to do.

use std::io;

use tokio::signal;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Stop,
    Reload,
}

/// SIGINT and SIGTERM, and SIGHUP if it is wanted.
#[cfg(unix)]
pub(super) struct Signals {
    interrupt: signal::unix::Signal,
    terminate: signal::unix::Signal,
    hangup: Option<Hangup>,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn new(reloads: bool) -> io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        let hangup = if reloads { Some(Hangup::new()?) } else { None };
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())?, hangup })
    }

    /// The next that asks for something.
    pub(super) async fn arrive(&mut self) -> Signal {
        let Self { interrupt, terminate, hangup } = self;
        let hung_up = async {
            match hangup {
                Some(hangup) => hangup.arrive().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => Signal::Stop,
            _ = terminate.recv() => Signal::Stop,
            signal = hung_up => signal,
        }
    }

    /// The next that asks to stop.
    pub(super) async fn stop(&mut self) {
        while self.arrive().await != Signal::Stop {}
    }
}

/// SIGHUP, which an operator sends to have the settings read again, and the system to the processes of a terminal that
/// is gone.
#[cfg(unix)]
struct Hangup {
    signal: signal::unix::Signal,
    /// Whether there was a terminal to go.
    had_terminal: bool,
    /// As under nohup, which wants the process to outlive its terminal.
    was_ignored: bool,
}

#[cfg(unix)]
impl Hangup {
    fn new() -> io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        // Before it is caught, since that is what tells.
        let was_ignored = is_ignored();
        Ok(Self { signal: signal(SignalKind::hangup())?, had_terminal: has_terminal(), was_ignored })
    }

    async fn arrive(&mut self) -> Signal {
        loop {
            if self.signal.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            if !self.had_terminal || has_terminal() {
                return Signal::Reload;
            }
            // From now on it is the operator who sends one.
            self.had_terminal = false;
            if !self.was_ignored {
                return Signal::Stop;
            }
        }
    }
}

/// Whether the process has a controlling terminal: opening it fails otherwise.
#[cfg(unix)]
fn has_terminal() -> bool {
    std::fs::File::open("/dev/tty").is_ok()
}

/// Whether SIGHUP was ignored when the process began: what it ignores then is not what the process has chosen. Told by
/// Linux alone.
#[cfg(unix)]
fn is_ignored() -> bool {
    const SIGHUP: u32 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & (1 << (SIGHUP - 1)) != 0)
}

/// Ctrl-C, where there are no signals.
#[cfg(not(unix))]
pub(super) struct Signals(signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    pub(super) fn new(_: bool) -> io::Result<Self> {
        signal::windows::ctrl_c().map(Self)
    }

    pub(super) async fn arrive(&mut self) -> Signal {
        self.0.recv().await;
        Signal::Stop
    }

    pub(super) async fn stop(&mut self) {
        self.0.recv().await;
    }
}
