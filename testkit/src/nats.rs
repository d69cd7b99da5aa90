//! A real nats-server with JetStream, in a folder of its own: killed when dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How long it may take to start, or to stop.
const LIMIT: Duration = Duration::from_secs(20);

/// A server on loopback.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    port: u16,
    folder: PathBuf,
    flags: Vec<String>,
}

impl NatsServer {
    /// One with JetStream and nothing else.
    ///
    /// # Panics
    ///
    /// If there is no nats-server: Debian has it in the package of that name, and so `cargo xtask` installs it.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(&["-js"])
    }

    /// One with these flags.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    #[track_caller]
    pub fn start_with(flags: &[&str]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("rikki-nats-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        // A port that is free.
        let (child, port) = spawn(&folder, &flags, None);
        Self { child, port, folder, flags }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it keeps what it keeps.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    /// Ends it as a power cut would end its process.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again where it was.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.kill();
        (self.child, self.port) = spawn(&self.folder, &self.flags, Some(self.port));
    }

    /// Holds it up: from when this returns it answers nobody, and its connections stay.
    ///
    /// # Panics
    ///
    /// If it does not stop, if it has ended, or on another system than Linux.
    #[track_caller]
    pub fn hold_up(&self) {
        signal(self.child.id(), "STOP");
        // A signal is sent at once and taken by each thread when it runs next.
        let started = Instant::now();
        while !self.is_held_up() {
            assert!(started.elapsed() < LIMIT, "nats-server does not stop");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether each of its threads is stopped: the state in proc(5) behind the name, which may have anything in it.
    fn is_held_up(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("nats-server runs, on Linux");
        let mut stats = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
        stats.all(|stat| stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')))
    }

    /// Lets it go on.
    pub fn let_go(&self) {
        signal(self.child.id(), "CONT");
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Sends a signal to a process.
fn signal(process: u32, name: &str) {
    let _ = Command::new("sh").args(["-c", &format!("kill -{name} {process}")]).status();
}

#[track_caller]
fn spawn(folder: &Path, flags: &[String], port: Option<u16>) -> (Child, u16) {
    fs::create_dir_all(folder).expect("a folder for nats-server");
    let log = fs::File::create(folder.join("log")).expect("a log for nats-server");
    let mut command = Command::new("nats-server");
    // Its folder is not in the search path of everybody.
    if !Path::new("/usr/bin/nats-server").exists() && Path::new("/usr/sbin/nats-server").exists() {
        command = Command::new("/usr/sbin/nats-server");
    }
    command.args(["-a", "127.0.0.1", "-p", &port.map_or("-1".to_owned(), |port| port.to_string())]);
    command.arg("--ports_file_dir").arg(folder).arg("-sd").arg(folder.join("store")).args(flags);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let mut child = command.spawn().unwrap_or_else(|error| {
        panic!("nats-server: {error}; install it (Debian: apt-get install nats-server), as cargo xtask does")
    });
    let ports = folder.join(format!("nats-server_{}.ports", child.id()));
    let started = Instant::now();
    loop {
        let text = fs::read_to_string(&ports).unwrap_or_default();
        // Half of it may be there.
        let found = text.split_once("://").and_then(|(_, rest)| rest.split_once('"'));
        if let Some(port) = found.and_then(|(address, _)| address.rsplit_once(':')?.1.parse().ok()) {
            return (child, port);
        }
        let ended = child.try_wait().is_ok_and(|status| status.is_some());
        if ended || started.elapsed() > LIMIT {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            let _ = child.kill();
            panic!("nats-server does not start: {log}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// On a busy machine too, where its threads wait for their turn before they stop.
    #[test]
    fn is_held_up_when_told_so() {
        let server = NatsServer::start();
        let busy = AtomicBool::new(true);
        let started = Instant::now();
        let held_up = thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while busy.load(Relaxed) && started.elapsed() < LIMIT {
                        std::hint::spin_loop();
                    }
                });
            }
            let rounds = (0..50).map(|_| {
                assert!(!server.is_held_up());
                server.hold_up();
                let held_up = server.is_held_up();
                server.let_go();
                held_up
            });
            let held_up = rounds.filter(|held_up| *held_up).count();
            busy.store(false, Relaxed);
            held_up
        });
        assert_eq!(held_up, 50);
    }
}
