//! The command as a process, and folders for its files.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
#[cfg(unix)]
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

#[cfg(unix)]
use rustix::fs::{Mode, OFlags, open};
#[cfg(unix)]
use rustix::io::{FdFlags, fcntl_setfd};
#[cfg(unix)]
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// For any one thing a started command does; generous, for loaded machines.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A command that was started; killed when dropped.
pub(crate) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<Vec<u8>>,
    stderr: Receiver<Vec<u8>>,
}

/// How a command ended, with what it wrote since it was last read from.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What of the environment of the tests would lead a client or a server elsewhere.
const PROXIES: [&str; 7] = ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "PORT"];

impl Process {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_with(args, Stdio::piped())
    }

    /// With another stdout; nothing can be read from it here.
    pub(crate) fn start_with(args: &[&str], stdout: Stdio) -> Self {
        Self::start_on(args, stdout, Stdio::piped())
    }

    /// With another stdout and stderr.
    pub(crate) fn start_on(args: &[&str], stdout: Stdio, stderr: Stdio) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_rikki")).args(args), stdout, stderr)
    }

    /// With another stderr, and this in its environment, which says nothing of colours by itself.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_in(args: &[&str], environment: &[(&str, &str)], stderr: impl Into<Stdio>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rikki"));
        command.args(args).env("TERM", "xterm").env_remove("NO_COLOR").envs(environment.iter().copied());
        Self::spawn(&mut command, Stdio::piped(), stderr.into())
    }

    /// With these variables in its environment, and no other for proxies.
    pub(crate) fn start_with_variables(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rikki"));
        Self::spawn(command.args(args).envs(variables.iter().copied()), Stdio::piped(), Stdio::piped())
    }

    /// Another program, which may become the command.
    pub(crate) fn start_program(program: &str, args: &[&str]) -> Self {
        Self::spawn(Command::new(program).args(args), Stdio::piped(), Stdio::piped())
    }

    fn spawn(command: &mut Command, stdout: Stdio, stderr: Stdio) -> Self {
        Self::spawn_as(command.stdin(Stdio::piped()), stdout, stderr)
    }

    /// A command that has its stdin already.
    pub(crate) fn spawn_as(command: &mut Command, stdout: Stdio, stderr: Stdio) -> Self {
        let given: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for name in PROXIES.iter().filter(|name| !given.iter().any(|given| given == *name)) {
            command.env_remove(name);
        }
        let mut child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map_or_else(|| mpsc::channel().1, lines);
        let stderr = child.stderr.take().map_or_else(|| mpsc::channel().1, lines);
        Self { child, stdin, stdout, stderr }
    }

    /// Writes to stdin in the background; `close` to end it after that.
    pub(crate) fn write(&mut self, bytes: impl Into<Vec<u8>>, close: bool) {
        let (bytes, mut stdin) = (bytes.into(), self.stdin.take().unwrap());
        if close {
            // A command that ends first takes nothing more.
            thread::spawn(move || stdin.write_all(&bytes));
        } else {
            stdin.write_all(&bytes).unwrap();
            self.stdin = Some(stdin);
        }
    }

    /// The next line of stdout, without its end.
    pub(crate) fn line(&self) -> String {
        whole_line(self.stdout.recv_timeout(DEADLINE).expect("a line on stdout"))
    }

    /// The next line of stderr, without its end.
    pub(crate) fn report(&self) -> String {
        whole_line(self.stderr.recv_timeout(DEADLINE).expect("a line on stderr"))
    }

    /// Closes stdin, unless [`write`](Self::write) does, and waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        self.stdin = None;
        self.end_with_open_stdin()
    }

    /// Waits for the end, which must come without that of stdin.
    pub(crate) fn end_with_open_stdin(self) -> Ended {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (status, stdout, stderr) = self.rest();
        Ended { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// The exit code and all of stdout, which may be no text, and stderr.
    pub(crate) fn end_with_bytes(self) -> (Option<i32>, Vec<u8>, String) {
        let (status, stdout, stderr) = self.rest();
        (status.code(), stdout, String::from_utf8(stderr).unwrap())
    }

    fn rest(mut self) -> (ExitStatus, Vec<u8>, Vec<u8>) {
        let until = Instant::now() + DEADLINE;
        let rest = |lines: &Receiver<Vec<u8>>| {
            let mut all = Vec::new();
            loop {
                match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(line) => all.extend(line),
                    Err(mpsc::RecvTimeoutError::Disconnected) => return all,
                    Err(mpsc::RecvTimeoutError::Timeout) => panic!("the command should end"),
                }
            }
        };
        // They are closed by ending.
        let (stdout, stderr) = (rest(&self.stdout), rest(&self.stderr));
        (self.child.wait().unwrap(), stdout, stderr)
    }

    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill -s {name}");
    }

    #[cfg(unix)]
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A terminal: what is shown on it can be read from the one, and the other is for a command.
#[cfg(unix)]
pub(crate) fn terminal() -> (OwnedFd, OwnedFd) {
    // From the first moment on: what another test starts meanwhile would hold it too.
    #[cfg(target_os = "linux")]
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let master = openpt(flags).unwrap();
    // Or a command would hold its own terminal.
    fcntl_setfd(&master, FdFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let terminal = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    (master, terminal)
}

/// What was shown on a terminal that nobody has open any more.
#[cfg(unix)]
pub(crate) fn read_all(terminal: OwnedFd) -> String {
    let mut shown = Vec::new();
    // Linux says that the other end is gone by an error.
    let _ = fs::File::from(terminal).read_to_end(&mut shown);
    String::from_utf8(shown).unwrap()
}

fn whole_line(line: Vec<u8>) -> String {
    let line = String::from_utf8(line).unwrap();
    line.strip_suffix('\n').map(str::to_owned).unwrap_or_else(|| panic!("{line:?} has no end"))
}

/// Reads on a thread of its own, so that the wait for it can have a deadline.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        loop {
            let mut line = Vec::new();
            // The receiver is gone when its deadline has passed.
            if pipe.read_until(b'\n', &mut line).unwrap() == 0 || sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A folder of its own for each test, removed at its end.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
