//! The signals that tell a server what to do.

use std::io;
#[cfg(unix)]
use std::time::Duration;

use tokio::signal;
#[cfg(unix)]
use tokio::time::{sleep, timeout};

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
    /// Whether there is a terminal to go. One that the process is to outlive, as under nohup, is none.
    has_terminal: bool,
}

#[cfg(unix)]
impl Hangup {
    fn new() -> io::Result<Self> {
        use signal::unix::{SignalKind, signal};
        // Before it is caught, since that is what tells.
        let was_ignored = is_ignored();
        Ok(Self { signal: signal(SignalKind::hangup())?, has_terminal: !was_ignored && has_terminal() })
    }

    async fn arrive(&mut self) -> Signal {
        loop {
            tokio::select! {
                signal = self.signal.recv() => match signal {
                    Some(()) if self.is_terminals() => return Signal::Stop,
                    Some(()) => return Signal::Reload,
                    None => std::future::pending::<()>().await,
                },
                () = sleep(LOOK), if self.has_terminal => {
                    // One that has gone without a signal, as it does for jobs of a shell that has ended, sends none later.
                    if !has_terminal() && timeout(LATE, self.signal.recv()).await.is_ok() {
                        return Signal::Stop;
                    }
                    self.has_terminal = has_terminal();
                }
            }
        }
    }

    /// Whether a signal that has come is that of a terminal that went away.
    fn is_terminals(&mut self) -> bool {
        let is_gone = self.has_terminal && !has_terminal();
        self.has_terminal &= !is_gone;
        is_gone
    }
}

/// How often it is looked whether the terminal is still there, and how much later than that its signal may come.
#[cfg(unix)]
const LOOK: Duration = Duration::from_secs(5);
#[cfg(unix)]
const LATE: Duration = Duration::from_secs(1);

/// Whether the process has a controlling terminal. What else keeps it from being opened, such as a want of
/// descriptors, says nothing.
#[cfg(unix)]
fn has_terminal() -> bool {
    // https://man7.org/linux/man-pages/man4/tty.4.html, https://man7.org/linux/man-pages/man2/open.2.html
    const EIO: i32 = 5;
    const ENXIO: i32 = 6;
    match std::fs::File::open("/dev/tty") {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound && !matches!(error.raw_os_error(), Some(EIO | ENXIO)),
    }
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
