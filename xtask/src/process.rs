//! Child processes that cannot outlive their deadline or this program's interest in them.
//!
//! What to run is decided elsewhere. Standard error of a child is inherited unless the command says otherwise.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// How often a child without a pipe is asked whether it has ended.
const POLL: Duration = Duration::from_millis(20);

/// Lines a child may be ahead of whoever reads them.
const LINES_AHEAD: usize = 1024;

/// A child process that is killed and reaped when this value is dropped.
pub(crate) struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts `command` without a standard input.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        Self::spawn_with(command, Stdio::null())
    }

    /// Starts `command`, to which lines are told.
    pub(crate) fn spawn_to_tell(command: &mut Command) -> Result<Self> {
        Self::spawn_with(command, Stdio::piped())
    }

    fn spawn_with(command: &mut Command, stdin: Stdio) -> Result<Self> {
        let name = describe(command);
        let child = command.stdin(stdin).spawn().map_err(|error| format!("cannot run `{name}`: {error}"))?;
        Ok(Self { child, name })
    }

    /// Writes a line to the standard input of a child that is told lines.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or_else(|| format!("`{}` is told nothing", self.name))?;
        writeln!(stdin, "{line}").map_err(|error| format!("`{}`: {error}", self.name))
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end of the process, at most until `deadline`.
    pub(crate) fn wait(&mut self, deadline: Instant) -> Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait().map_err(|error| format!("`{}`: {error}", self.name))? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(self.too_late());
            }
            thread::sleep(POLL);
        }
    }

    /// The lines of the child's standard output, which must have been set to [`Stdio::piped`]. The pipe is emptied to
    /// its end even if nobody listens any more, so that the child never blocks on it.
    pub(crate) fn lines(&mut self) -> Result<Receiver<String>> {
        let stdout = self.child.stdout.take().ok_or_else(|| format!("`{}`: its output is not piped", self.name))?;
        let (sender, receiver) = mpsc::sync_channel(LINES_AHEAD);
        thread::spawn(move || {
            for line in BufReader::new(stdout).split(b'\n').map_while(std::io::Result::ok) {
                // A listener that has gone is no reason to stop reading.
                let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        Ok(receiver)
    }

    fn too_late(&self) -> String {
        format!("`{}` was killed: it did not end in time", self.name)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only for a process that has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `command` to its end and demands success.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let mut running = Running::spawn(command)?;
    let status = running.wait(Instant::now() + limit)?;
    succeeded(&running.name, status)
}

/// Runs `command` and returns what it wrote to standard output, demanding success.
pub(crate) fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let mut text = String::new();
    let name = describe(command);
    let status = each_line(command, limit, |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    succeeded(&name, status)?;
    Ok(text)
}

/// Whether `command` can be started and succeeds. What it prints is thrown away.
pub(crate) fn works(command: &mut Command) -> bool {
    run(command.stdout(Stdio::null()).stderr(Stdio::null()), Duration::from_secs(30)).is_ok()
}

/// Runs `command`, passes its standard output through and shows each line of it to `see` as well.
pub(crate) fn tee(command: &mut Command, limit: Duration, mut see: impl FnMut(&str)) -> Result<ExitStatus> {
    each_line(command, limit, |line| {
        // Not `println!`: a reader that has gone away must not end the tests.
        let _ = writeln!(std::io::stdout(), "{line}");
        see(line);
    })
}

fn each_line(command: &mut Command, limit: Duration, mut see: impl FnMut(&str)) -> Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    let mut running = Running::spawn(command.stdout(Stdio::piped()))?;
    let lines = running.lines()?;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => see(&line),
            Err(RecvTimeoutError::Disconnected) => return running.wait(deadline),
            Err(RecvTimeoutError::Timeout) => return Err(running.too_late()),
        }
    }
}

fn succeeded(name: &str, status: ExitStatus) -> Result<()> {
    if status.success() { Ok(()) } else { Err(format!("`{name}` failed: {status}")) }
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn collects_output_and_reports_failure() {
        assert_eq!(output(&mut sh("echo a; printf b"), Duration::from_secs(10)), Ok("a\nb\n".to_owned()));
        let error = run(&mut sh("exit 3"), Duration::from_secs(10)).unwrap_err();
        assert!(error.contains("`sh -c exit 3` failed") && error.contains('3'), "{error}");
    }

    #[test]
    fn tells_lines_to_those_who_read_them() {
        let mut child = Running::spawn_to_tell(sh("read line; echo got $line").stdout(Stdio::piped())).unwrap();
        let lines = child.lines().unwrap();
        child.tell("it").unwrap();
        assert_eq!(lines.recv_timeout(Duration::from_secs(10)), Ok("got it".to_owned()));
        assert!(Running::spawn(&mut sh("true")).unwrap().tell("it").unwrap_err().contains("is told nothing"));
    }

    #[test]
    fn kills_what_is_too_slow() {
        let started = Instant::now();
        for result in [run(&mut sh("exec sleep 60"), POLL), output(&mut sh("exec sleep 60"), POLL).map(drop)] {
            assert!(result.unwrap_err().contains("did not end in time"));
        }
        assert!(started.elapsed() < Duration::from_secs(30), "the children were waited for");
    }
}
