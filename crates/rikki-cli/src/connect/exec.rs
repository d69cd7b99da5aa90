//! A command that is run for each message, one after the other: the message is its stdin, and never a part of the
//! command line, an argument or a variable, where a shell would look at it.

use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, io};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::Reports;

/// How much a command may write for a message, in bytes, and to stderr as much again where that is shown: it is kept
/// until the command has ended.
const MOST_OUTPUT: u64 = 1 << 20;

/// Runs commands; dropping it kills the one that is at work.
pub(super) struct Exec {
    command: String,
    timeout: Duration,
    /// Where its stderr goes.
    reports: Reports,
    running: Option<Running>,
}

type Running = Pin<Box<dyn Future<Output = Result<Ran, ExecError>>>>;

/// What a command wrote, and how it ended.
pub(super) struct Ran {
    pub(super) written: Vec<u8>,
    /// What it wrote to stderr, if that is to be shown above the line being typed.
    pub(super) complaint: Vec<u8>,
    pub(super) status: ExitStatus,
}

/// Why a message was not dealt with.
#[derive(Debug)]
pub(super) enum ExecError {
    Start(io::Error),
    TimedOut(Duration),
    TooMuch,
    Broken(io::Error),
}

impl Exec {
    pub(super) fn new(command: &str, timeout: Duration, reports: Reports) -> Self {
        Self { command: command.to_owned(), timeout, reports, running: None }
    }

    /// Whether the next message has to wait.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some()
    }

    /// Starts the command, when none is at work.
    pub(super) fn start(&mut self, message: Vec<u8>) {
        self.running = Some(Box::pin(run(self.command.clone(), message, self.timeout, self.reports)));
    }

    /// Kills the command that is at work.
    pub(super) fn stop(&mut self) {
        self.running = None;
    }

    /// What the command wrote, when it has ended; pending while none is at work.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Ran, ExecError>> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let ended = ready!(running.as_mut().poll(cx));
        self.running = None;
        Poll::Ready(ended)
    }
}

async fn run(command: String, message: Vec<u8>, longest: Duration, reports: Reports) -> Result<Ran, ExecError> {
    let mut shell = if cfg!(windows) { Command::new("cmd") } else { Command::new("/bin/sh") };
    shell.arg(if cfg!(windows) { "/C" } else { "-c" }).arg(command);
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    if reports == Reports::Screen {
        shell.stderr(Stdio::piped());
    }
    // Of a service, they are for this process alone.
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        shell.env_remove(name);
    }
    // What it starts belongs to it, and ends with it.
    #[cfg(unix)]
    shell.process_group(0);
    let mut group = Group { child: shell.spawn().map_err(ExecError::Start)? };
    timeout(longest, talk(&mut group.child, &message)).await.unwrap_or(Err(ExecError::TimedOut(longest)))
}

async fn talk(child: &mut Child, message: &[u8]) -> Result<Ran, ExecError> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let give = async {
        // It need not read all of it, or any.
        if let Some(mut stdin) = stdin {
            let _ = stdin.write_all(message).await;
        }
        Ok(())
    };
    let ((), written, complaint) = tokio::try_join!(give, read(stdout), read(stderr))?;
    Ok(Ran { written, complaint, status: child.wait().await.map_err(ExecError::Broken)? })
}

async fn read(from: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, ExecError> {
    let mut written = Vec::new();
    if let Some(from) = from {
        from.take(MOST_OUTPUT + 1).read_to_end(&mut written).await.map_err(ExecError::Broken)?;
    }
    if written.len() as u64 > MOST_OUTPUT { Err(ExecError::TooMuch) } else { Ok(written) }
}

/// The command with all that it has started, which is killed when this is dropped before its end.
struct Group {
    child: Child,
}

impl Drop for Group {
    fn drop(&mut self) {
        // Once it was waited for, its number may be somebody else's.
        #[cfg(unix)]
        if let Some(id) = self.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(error) => write!(f, "the command of --exec cannot be started: {error}"),
            Self::TimedOut(longest) => {
                write!(f, "the command of --exec was ended after {} s: see --exec-timeout", longest.as_secs_f64())
            }
            Self::TooMuch => write!(f, "the command of --exec wrote more than {MOST_OUTPUT} bytes for a message"),
            Self::Broken(error) => write!(f, "the command of --exec cannot be read: {error}"),
        }
    }
}
