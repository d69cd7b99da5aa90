//! The log on stderr, written by a thread of its own.
//!
//! Whoever reads stderr may stop doing so: a pipe fills up, a terminal is stopped. A write to it then lasts as long as
//! they like, and must hold up neither a connection nor a signal. So lines are queued up to a bound; those that find no
//! room are counted and left out, and the log says how many there were when it can be written again.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rikki::admin::Warnings;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::json_lines::{self, SpanFields};
use crate::lines::{EventLines, Shown};
use crate::recent::Recent;

/// How much may wait to be written, in bytes: some thousand lines.
const ROOM: usize = 1 << 20;

/// How much is written at once, in bytes. Progress shows after each.
const PIECE: usize = 16 * 1024;

/// How long the end waits for what is left, without any progress and in all.
const PATIENCE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(5);

/// The log while it is written; dropping it waits for what is left, as long as somebody reads.
#[must_use = "the last lines are lost without"]
pub(crate) struct Log {
    queue: Arc<Queue>,
    filter: Filter,
    shown: Arc<Shown>,
    warnings: Warnings,
}

/// Lets other lines through.
pub(crate) type Filter = Arc<dyn Fn(&str) + Send + Sync>;

/// Starts to log what `filter` lets through, and panics.
pub(crate) fn start(filter: &str) -> io::Result<Log> {
    start_on(filter, io::stderr())
}

/// The same, to another place on the same screen.
pub(crate) fn start_on(filter: &str, to: impl Write + Send + 'static) -> io::Result<Log> {
    let queue = Arc::<Queue>::default();
    let from = queue.clone();
    thread::Builder::new().name("rikki-log".to_owned()).spawn(move || from.write_to(to))?;
    let shown = Arc::<Shown>::default();
    let others = tracing_subscriber::fmt::format().with_ansi(has_colours());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(quiet(filter))
        .with_writer(queue.clone())
        .with_ansi(has_colours())
        .log_internal_errors(false)
        .fmt_fields(SpanFields::new())
        .event_format(EventLines { others, shown: shown.clone() })
        .with_filter_reloading();
    let handle = subscriber.reload_handle();
    let warnings = Warnings::default();
    subscriber.finish().with(Recent(warnings.clone())).init();
    // The filter has been judged, and the subscriber lasts as long as the process.
    let filter: Filter = Arc::new(move |filter| drop(handle.reload(quiet(filter))));
    let panics = queue.clone();
    std::panic::set_hook(Box::new(move |panic| {
        let trace = Backtrace::capture();
        let trace = if trace.status() == BacktraceStatus::Captured { format!("{trace}") } else { String::new() };
        panics.push(panicked(&panic.to_string(), &trace).as_bytes());
    }));
    Ok(Log { queue, filter, shown, warnings })
}

/// What is written of a panic.
fn panicked(told: &str, trace: &str) -> String {
    if json_lines::are_wanted() {
        return json_lines::line(Level::ERROR, "rikki::panic", told, |fields| {
            if !trace.is_empty() {
                fields.text("backtrace", format_args!("{trace}"));
            }
        });
    }
    format!("{told}\n{trace}")
}

/// What is written in the place of lines that are left out.
fn missing(left_out: usize) -> String {
    if json_lines::are_wanted() {
        let message = "lines of the log are left out here";
        return json_lines::line(Level::WARN, "rikki::log", message, |fields| fields.plain("left_out", left_out));
    }
    format!("rikki: {left_out} lines of the log are left out here\n")
}

/// Whether stderr shows colours, and is wanted to.
fn has_colours() -> bool {
    io::stderr().is_terminal() && wants_colours()
}

/// Whether a terminal is to show colours: <https://no-color.org>.
pub(crate) fn wants_colours() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
    !is_set("NO_COLOR") && !is_dumb
}

impl Log {
    /// What lets other lines through.
    pub(crate) fn filter(&self) -> Filter {
        self.filter.clone()
    }

    /// The latest warnings in it.
    pub(crate) fn warnings(&self) -> Warnings {
        self.warnings.clone()
    }

    /// What its lines are made for.
    pub(crate) fn shown(&self) -> Arc<Shown> {
        self.shown.clone()
    }
}

/// A filter in which the client of NATS is heard where that is asked for: what there is to know of it we say ourselves.
fn quiet(filter: &str) -> EnvFilter {
    match filter.contains("async_nats") {
        true => EnvFilter::new(filter),
        false => EnvFilter::new(format!("{filter},async_nats=error")),
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.finish();
    }
}

#[derive(Debug, Default)]
struct Queue {
    lines: Mutex<Lines>,
    /// There is something to write.
    filled: Condvar,
    /// Something was written.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: Vec<u8>,
    left_out: usize,
    /// Whether the thread is writing.
    is_writing: bool,
    /// How many pieces were written, or failed.
    pieces: u64,
}

impl Lines {
    fn are_left(&self) -> bool {
        self.is_writing || !self.waiting.is_empty()
    }
}

impl Queue {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut lines = self.lines();
        if lines.waiting.len() + line.len() > ROOM {
            lines.left_out += 1;
            return;
        }
        lines.waiting.extend_from_slice(line);
        drop(lines);
        self.filled.notify_one();
    }

    /// Writes what comes, for ever.
    fn write_to(&self, mut to: impl Write) {
        let mut writing = Vec::new();
        loop {
            let mut lines = self.lines();
            lines.is_writing = false;
            self.written.notify_all();
            let mut lines =
                self.filled.wait_while(lines, |lines| lines.waiting.is_empty()).unwrap_or_else(PoisonError::into_inner);
            lines.is_writing = true;
            writing.clear();
            std::mem::swap(&mut lines.waiting, &mut writing);
            // They came after those that are written now, and before those that will wait next.
            let left_out = std::mem::take(&mut lines.left_out);
            drop(lines);
            if left_out > 0 {
                writing.extend_from_slice(missing(left_out).as_bytes());
            }
            let mut lost = 0;
            for piece in writing.chunks(PIECE) {
                // A disk may have room again later.
                if to.write_all(piece).is_err() {
                    lost += piece.iter().filter(|byte| **byte == b'\n').count();
                }
                self.lines().pieces += 1;
                self.written.notify_all();
            }
            self.lines().left_out += lost;
        }
    }

    /// Waits until all is written, or nobody reads.
    fn finish(&self) {
        let deadline = Instant::now() + LONGEST;
        let mut lines = self.lines();
        while lines.are_left() && Instant::now() < deadline {
            let pieces = lines.pieces;
            let waited =
                self.written.wait_timeout_while(lines, PATIENCE, |lines| lines.pieces == pieces && lines.are_left());
            let (now, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            lines = now;
            if waited.timed_out() {
                return;
            }
        }
    }
}

impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, SyncSender};

    use super::*;

    /// Takes as much as it is let.
    struct Reader {
        leave: Receiver<()>,
        read: SyncSender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.leave.recv();
            let _ = self.read.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Whoever writes never waits, and what is left out is counted.
    #[test]
    fn a_reader_that_stops_holds_up_nobody() {
        const LINES: usize = 100_000;
        let queue = Arc::<Queue>::default();
        let (go_on, leave) = mpsc::channel();
        let (read, written) = mpsc::sync_channel(0);
        let from = queue.clone();
        thread::spawn(move || from.write_to(Reader { leave, read }));
        let line = [&[b'x'; 99][..], b"\n"].concat();
        for _ in 0..LINES {
            queue.push(&line);
        }
        assert!(queue.lines().waiting.len() <= ROOM);
        let started = Instant::now();
        queue.finish();
        assert!((PATIENCE..LONGEST).contains(&started.elapsed()), "{:?}", started.elapsed());
        // It goes on. The thread may have begun late, and left out some before it had the first lines to write.
        let told = |all: &str| {
            let whole = all.rsplit_once('\n').map_or("", |(whole, _)| whole);
            let said = whole.lines().filter_map(|line| line.strip_prefix("rikki: ")?.split(' ').next());
            let lines = whole.lines().filter(|line| line.starts_with('x')).count();
            lines + said.map(|count| count.parse::<usize>().unwrap()).sum::<usize>()
        };
        let mut all = String::new();
        while told(&all) < LINES {
            go_on.send(()).unwrap();
            let piece = written.recv_timeout(Duration::from_secs(5)).unwrap();
            all += std::str::from_utf8(&piece).unwrap();
        }
        assert_eq!(told(&all), LINES);
    }
}
