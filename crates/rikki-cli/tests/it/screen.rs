//! The command writing to a terminal, and all that it has written. What keys come to is for `emulator`.

use std::fs::File;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use crate::process::{DEADLINE, Ended, Process, terminal};

/// A command whose stdout and stderr are a terminal; killed when dropped.
pub(crate) struct Screen {
    process: Process,
    shown: Arc<(Mutex<Shown>, Condvar)>,
}

#[derive(Default)]
struct Shown {
    text: String,
    has_ended: bool,
}

impl Screen {
    /// The command itself, in a folder.
    pub(crate) fn start(args: &[&str], folder: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rikki"));
        command.args(args).current_dir(folder).envs(variables.iter().copied());
        Self::of(command)
    }

    /// Any command, with colours unless it is told otherwise.
    pub(crate) fn of(mut command: Command) -> Self {
        let (master, slave) = terminal();
        let given: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        for (name, value) in [("TERM", Some("xterm")), ("NO_COLOR", None), ("PORT", None), ("TZ", Some("UTC"))] {
            match value.filter(|_| !given.iter().any(|given| given == name)) {
                Some(value) => _ = command.env(name, value),
                None if given.iter().any(|given| given == name) => {}
                None => _ = command.env_remove(name),
            }
        }
        let stdout = Stdio::from(slave.try_clone().unwrap());
        let process = Process::spawn_as(command.stdin(Stdio::piped()), stdout, slave.into());
        // Or this process would keep the terminal open.
        drop(command);
        let shown = Arc::<(Mutex<Shown>, Condvar)>::default();
        let into = shown.clone();
        thread::spawn(move || {
            let (mut master, mut piece) = (File::from(master), [0; 4096]);
            let mut bytes = Vec::new();
            loop {
                // Linux says that the other end is gone by an error.
                let length = master.read(&mut piece).unwrap_or(0);
                bytes.extend_from_slice(&piece[..length]);
                let mut shown = into.0.lock().unwrap();
                shown.text = String::from_utf8_lossy(&bytes).replace('\r', "");
                shown.has_ended = length == 0;
                into.1.notify_all();
                if length == 0 {
                    return;
                }
            }
        });
        Self { process, shown }
    }

    /// Waits until the screen has this, and gives all of it.
    #[track_caller]
    pub(crate) fn expect(&self, text: &str) -> String {
        self.expect_that(text, |shown| shown.contains(text))
    }

    /// Waits until what is on the screen is as it should be, and gives all of it.
    #[track_caller]
    pub(crate) fn expect_that(&self, what: &str, is_it: impl Fn(&str) -> bool) -> String {
        self.wait(what, |shown| is_it(&shown.text))
    }

    /// Waits for the end, and gives the whole screen.
    #[track_caller]
    pub(crate) fn end(self) -> (Option<i32>, String) {
        let text = self.wait("its end", |shown| shown.has_ended);
        let Ended { code, .. } = self.process.end();
        (code, text)
    }

    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    #[track_caller]
    fn wait(&self, what: &str, is_there: impl Fn(&Shown) -> bool) -> String {
        let (mut shown, until) = (self.shown.0.lock().unwrap(), Instant::now() + DEADLINE);
        while !is_there(&shown) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !shown.has_ended, "no {what:?} on\n{}", shown.text);
            shown = self.shown.1.wait_timeout(shown, left).unwrap().0;
        }
        shown.text.clone()
    }
}

/// Host and port of the first listener that a screen tells of.
#[track_caller]
pub(crate) fn authority(screen: &str) -> &str {
    let line = screen.lines().find_map(|line| line.strip_prefix("Starting WS listener on "));
    line.and_then(|url| url.split('/').nth(2)).unwrap_or_else(|| panic!("no listener on\n{screen}"))
}
