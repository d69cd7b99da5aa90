//! The command on a terminal of a shell, with keys, and the rows that are on the screen. What is only written there is for
//! `screen`.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Instant;

use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Color, Parser};

use crate::process::{DEADLINE, terminal};

const ROWS: NonZeroU16 = NonZeroU16::new(24).unwrap();

/// A terminal with a shell's command on it, which is killed when dropped.
pub(crate) struct Screen {
    child: Child,
    keys: File,
    /// What a shell would have after the command, with its modes.
    pub(crate) slave: OwnedFd,
    shown: Arc<(Mutex<Parser>, Condvar)>,
}

impl Screen {
    /// Runs `command` in a shell, which knows `rikki` by `$RIKKI`, with these variables and a terminal that is its own.
    pub(crate) fn start(command: &str, columns: u16, variables: &[(&str, &str)]) -> Self {
        let (master, slave) = terminal();
        resize(&slave, columns);
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        // Signals of keys are for those whose terminal it is.
        let mut shell = Command::new("setsid");
        shell.args(["--ctty", "sh", "-c", command]).env("RIKKI", env!("CARGO_BIN_EXE_rikki"));
        shell.env("TERM", "xterm").env_remove("NO_COLOR").env("XDG_STATE_HOME", "/nonexistent/state");
        shell.envs(variables.iter().copied()).stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = shell.spawn().unwrap();
        let shown = Arc::new((Mutex::new(Parser::new(ROWS, NonZeroU16::new(columns).unwrap(), 0)), Condvar::new()));
        let (mut from, to) = (File::from(master.try_clone().unwrap()), shown.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Linux says by an error that nobody has the other end any more.
            while let Ok(length @ 1..) = from.read(&mut bytes) {
                to.0.lock().unwrap().process(&bytes[..length]);
                to.1.notify_all();
            }
        });
        Self { child, keys: File::from(master), slave, shown }
    }

    pub(crate) fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&self, columns: u16) {
        self.shown.0.lock().unwrap().screen_mut().set_size(ROWS, NonZeroU16::new(columns).unwrap());
        resize(&self.slave, columns);
    }

    /// Waits until these are the rows of the screen that have something in them.
    #[track_caller]
    pub(crate) fn shows(&self, expected: &[&str]) {
        self.wait_for(&format!("{expected:#?}"), |parser| rows(parser) == expected);
    }

    /// The same of the last rows alone.
    #[track_caller]
    pub(crate) fn ends_with(&self, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|row| (*row).to_owned()).collect();
        self.wait_for(&format!("... {expected:#?}"), |parser| rows(parser).ends_with(&expected));
    }

    /// Waits for a row.
    #[track_caller]
    pub(crate) fn has_row(&self, is_it: impl Fn(&str) -> bool) {
        self.wait_for("a row", |parser| rows(parser).iter().any(|row| is_it(row)));
    }

    /// Waits until the terminal is as it was for the shell.
    pub(crate) fn is_cooked(&self) {
        let until = Instant::now() + DEADLINE;
        while !tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO) {
            assert!(Instant::now() < until, "the terminal should be given back");
            thread::yield_now();
        }
    }

    /// Waits until the cursor is in this column of its row, the first of which is 0.
    #[track_caller]
    pub(crate) fn has_cursor_at(&self, column: u16) {
        self.wait_for(&format!("a cursor in column {column}"), |parser| parser.screen().cursor_position().1 == column);
    }

    /// The colours of the first letters of all rows that have something in them.
    pub(crate) fn colours(&self) -> Vec<Color> {
        let shown = self.shown.0.lock().unwrap();
        let screen = shown.screen();
        let first = (0..ROWS.get()).filter_map(|row| screen.cell(row, 0));
        first.filter(|cell| cell.has_contents()).map(|cell| cell.fgcolor()).collect()
    }

    #[track_caller]
    fn wait_for(&self, what: &str, is_there: impl Fn(&Parser) -> bool) {
        let (parser, changed) = &*self.shown;
        let until = Instant::now() + DEADLINE;
        let mut shown = parser.lock().unwrap();
        while !is_there(&shown) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "expected {what}, got {:#?}", rows(&shown));
            shown = changed.wait_timeout(shown, left).unwrap().0;
        }
    }

    /// Waits for the end of the shell.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < until, "the command should end: {:#?}", rows(&self.shown.0.lock().unwrap()));
            thread::yield_now();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rows(parser: &Parser) -> Vec<String> {
    let contents = parser.screen().contents();
    contents.lines().map(|row| row.trim_end().to_owned()).filter(|row| !row.is_empty()).collect()
}

fn resize(terminal: &OwnedFd, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: ROWS.get(), ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}
