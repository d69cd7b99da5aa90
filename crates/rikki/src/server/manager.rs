//! What the service manager is told of a server that runs as its service, as systemd's `Type=notify` asks for:
//! [sd_notify](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).
//!
//! A thread of its own tells it, so that a manager that takes nothing holds up nobody else.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::event_loop::EventLoop;
use super::handle::Bound;
use super::reload::Reload;
use crate::counters::Counters;
use crate::live::Monitor;

/// How much may wait to be told; what finds no room is left out.
const ROOM: usize = 16;

/// How long a manager may take for one message, and for all that is left when the server has ended.
const PATIENCE: Duration = Duration::from_secs(30);
const LAST: Duration = Duration::from_secs(1);

/// How often it is told how far a drain is.
const PROGRESS: Duration = Duration::from_secs(1);

/// How much it is told in words, in characters.
const MOST_WORDS: usize = 512;

/// The service manager, if there is one.
#[derive(Debug)]
pub(super) struct Manager(Option<Told>);

#[derive(Debug)]
struct Told {
    news: Sender<News>,
    /// Given when there is nothing more to come, and when all has been told.
    ending: CancellationToken,
    ended: CancellationToken,
}

#[derive(Debug)]
enum News {
    Ready,
    /// Since what time of the monotonic clock, in microseconds.
    Reloading(i64),
    /// With what there is to say of it.
    Reloaded(String),
    Stopping,
}

impl Manager {
    /// The one that the environment names.
    pub(super) fn of_environment(bound: &[Bound], monitor: Monitor, event_loops: Vec<EventLoop>) -> Self {
        let Some(named) = env::var_os("NOTIFY_SOCKET").filter(|named| !named.is_empty()) else { return Self(None) };
        let period = watched(env::var_os("WATCHDOG_USEC"), env::var_os("WATCHDOG_PID"), std::process::id());
        let started = address(&named).and_then(|address| {
            let teller = Teller { address, monitor, place: places(bound), has_failed: false };
            start(teller, period.map(|period| (period, event_loops)))
        });
        match started {
            Ok(told) => Self(Some(told)),
            Err(error) => {
                let named = named.to_string_lossy();
                tracing::error!(target: "rikki::server", ?named, "cannot tell the service manager: {error}");
                Self(None)
            }
        }
    }

    pub(super) fn ready(&self) {
        self.tell(|| News::Ready);
    }

    pub(super) fn reloading(&self) {
        self.tell(|| {
            let now = clock_gettime(ClockId::Monotonic);
            News::Reloading(now.tv_sec * 1_000_000 + now.tv_nsec / 1000)
        });
    }

    pub(super) fn reloaded(&self, reloaded: &Result<Reload, impl fmt::Display>) {
        self.tell(|| {
            News::Reloaded(match reloaded {
                Ok(Reload { needs_restart }) if needs_restart.is_empty() => "reloaded".to_owned(),
                Ok(Reload { needs_restart }) => format!("reloaded, but for: {}", needs_restart.join(", ")),
                Err(why) => format!("not reloaded: {why}"),
            })
        });
    }

    pub(super) fn stopping(&self) {
        self.tell(|| News::Stopping);
    }

    fn tell(&self, news: impl FnOnce() -> News) {
        let Some(told) = &self.0 else { return };
        if told.news.try_send(news()).is_err() {
            tracing::warn!(target: "rikki::server", "the service manager is not told: it takes nothing");
        }
    }

    /// Waits until it has been told all, or does not take it.
    pub(super) async fn end(&self) {
        if let Some(told) = &self.0 {
            told.ending.cancel();
            told.ended.cancelled().await;
        }
    }
}

fn start(mut teller: Teller, watch: Option<(Duration, Vec<EventLoop>)>) -> io::Result<Told> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (sender, news) = mpsc::channel(ROOM);
    let (ending, ended) = (CancellationToken::new(), CancellationToken::new());
    let (end, report) = (ending.clone(), ended.clone().drop_guard());
    let feeder = watch.map(|(period, event_loops)| (teller.address.clone(), period, event_loops));
    thread::Builder::new().name("rikki-notify".to_owned()).spawn(move || {
        runtime.block_on(async {
            let fed = async {
                match feeder {
                    Some((address, period, event_loops)) => feed(&address, period, &event_loops).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = teller.tell_all(news, &end) => {}
                () = fed => {}
                () = async { end.cancelled().await; sleep(LAST).await } => {}
            }
        });
        drop(report);
    })?;
    Ok(Told { news: sender, ending, ended })
}

/// What tells it.
struct Teller {
    address: SocketAddr,
    monitor: Monitor,
    place: String,
    /// Whether it could not be told the last time, which was said.
    has_failed: bool,
}

impl Teller {
    /// All that comes until there is nothing more to come.
    async fn tell_all(&mut self, mut news: Receiver<News>, end: &CancellationToken) {
        let mut is_draining = false;
        loop {
            let next = tokio::select! {
                // What has come before the end is told.
                biased;
                next = news.recv() => next,
                () = end.cancelled() => return,
                () = sleep(PROGRESS), if is_draining => {
                    self.tell(&self.draining()).await;
                    continue;
                }
            };
            let text = match next {
                None => return,
                Some(News::Ready) => format!("READY=1\n{}", status(&self.place)),
                Some(News::Reloading(since)) => {
                    format!("RELOADING=1\nMONOTONIC_USEC={since}\n{}", status("Reloading the settings"))
                }
                Some(News::Reloaded(what)) => format!("READY=1\n{}", status(&format!("{}; {what}", self.place))),
                Some(News::Stopping) => {
                    is_draining = true;
                    format!("STOPPING=1\n{}", self.draining())
                }
            };
            self.tell(&text).await;
        }
    }

    fn draining(&self) -> String {
        let Counters { connections, websockets, .. } = self.monitor.counters();
        status(&format!("Draining: {connections} connections, {websockets} of them WebSockets"))
    }

    async fn tell(&mut self, text: &str) {
        let told = send(&self.address, text).await;
        if let Err(error) = &told
            && !self.has_failed
        {
            tracing::warn!(target: "rikki::server", "cannot tell the service manager: {error}");
        }
        self.has_failed = told.is_err();
    }
}

/// Feeds the watchdog twice in its period, as long as all event loops turn.
async fn feed(address: &SocketAddr, period: Duration, event_loops: &[EventLoop]) {
    loop {
        let beats = async {
            for event_loop in event_loops {
                event_loop.turned().await;
            }
        };
        let mut beats = std::pin::pin!(beats);
        if timeout(period / 2, &mut beats).await.is_err() {
            let note = "what is called there must not block; the service manager ends a service that is stuck";
            tracing::error!(target: "rikki::server", note, "a worker is stuck for {:?}", period / 2);
            beats.await;
        }
        // It is said where anything else cannot be told.
        let _ = send(address, "WATCHDOG=1").await;
        sleep(period / 2).await;
    }
}

/// Sends one message, by a socket of its own: the manager may have been started anew.
async fn send(address: &SocketAddr, text: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(address)?;
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixDatagram::from_std(socket)?;
    let sent = timeout(PATIENCE, socket.send(text.as_bytes())).await;
    sent.unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, "it takes nothing"))).map(drop)
}

/// Where it is told: a path, or with `@` in front an abstract name.
fn address(named: &OsStr) -> io::Result<SocketAddr> {
    match named.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(named),
        _ => Err(io::Error::new(ErrorKind::InvalidInput, "NOTIFY_SOCKET is neither a whole path nor @ and a name")),
    }
}

/// The period of the watchdog, if it is for this process.
fn watched(period: Option<OsString>, whom: Option<OsString>, process: u32) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    let period = number(period?).filter(|period| *period > 0)?;
    let is_ours = whom.is_none_or(|whom| number(whom) == Some(process.into()));
    is_ours.then(|| Duration::from_micros(period))
}

/// Where a server listens, in words.
fn places(bound: &[Bound]) -> String {
    let mut text = "Listening on".to_owned();
    for (index, bound) in bound.iter().enumerate() {
        let scheme = match (bound.port(), bound.is_tls()) {
            (None, _) => "",
            (_, true) => "https://",
            (_, false) => "http://",
        };
        // Writing to a String cannot fail.
        let _ = write!(text, "{} {scheme}{bound}", if index > 0 { "," } else { "" });
    }
    text
}

/// A line of words, since a message is one of lines.
fn status(words: &str) -> String {
    let words: String = words.chars().take(MOST_WORDS).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("STATUS={words}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_manager_is() {
        let check = |named: &str, expected: Option<&str>| {
            let address = address(OsStr::new(named)).ok();
            let shown = address.map(|address| match (address.as_pathname(), address.as_abstract_name()) {
                (Some(path), _) => path.display().to_string(),
                (_, name) => format!("@{}", String::from_utf8_lossy(name.unwrap())),
            });
            assert_eq!(shown.as_deref(), expected, "{named}");
        };
        check("/run/systemd/notify", Some("/run/systemd/notify"));
        check("@/org/test", Some("@/org/test"));
        check("run/notify", None);
        check("vsock:2:1234", None);
        check(&format!("/{}", "x".repeat(200)), None);
    }

    #[test]
    fn whose_watchdog_it_is() {
        let check = |period: Option<&str>, whom: Option<&str>, expected: Option<u64>| {
            let watched = watched(period.map(Into::into), whom.map(Into::into), 7);
            assert_eq!(watched, expected.map(Duration::from_micros), "{period:?} {whom:?}");
        };
        check(None, None, None);
        check(Some("5"), None, Some(5));
        check(Some("5"), Some("7"), Some(5));
        check(Some("5"), Some("8"), None);
        check(Some("5"), Some(""), None);
        check(Some("0"), None, None);
        check(Some("-5"), None, None);
        check(Some("x"), Some("7"), None);
        check(Some(&u64::MAX.to_string()), None, Some(u64::MAX));
    }

    /// Whoever is stuck lets it starve, and feeds it again as soon as it goes on.
    #[test]
    fn the_watchdog_is_fed_while_event_loops_turn() {
        const PERIOD: Duration = Duration::from_millis(40);
        let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
        let (worker, ours) = (runtime(), runtime());
        let event_loop = EventLoop::of(&worker);
        let (end, ends) = tokio::sync::oneshot::channel();
        let (block, blocks) = std::sync::mpsc::channel::<()>();
        let busy = worker.handle().clone();
        let thread = thread::spawn(move || worker.block_on(async { ends.await.unwrap() }));
        let name = format!("rikki-test-watchdog-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let address = address(OsStr::new(&format!("@{name}"))).unwrap();
        // It goes with the process.
        thread::spawn(move || ours.block_on(feed(&address, PERIOD, &[event_loop])));
        let meal = || {
            let mut message = [0; 32];
            manager.recv(&mut message).map(|length| String::from_utf8_lossy(&message[..length]).into_owned())
        };
        for _ in 0..3 {
            assert_eq!(meal().unwrap(), "WATCHDOG=1");
        }
        let (began, has_begun) = std::sync::mpsc::channel();
        busy.spawn(async move {
            began.send(()).unwrap();
            blocks.recv().unwrap();
        });
        has_begun.recv().unwrap();
        // Some may have come before.
        manager.set_read_timeout(Some(PERIOD * 4)).unwrap();
        let starved = (0..500).find_map(|_| meal().err()).expect("it starves");
        assert_eq!(starved.kind(), ErrorKind::WouldBlock);
        manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        block.send(()).unwrap();
        assert_eq!(meal().unwrap(), "WATCHDOG=1");
        end.send(()).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn words_are_one_line() {
        assert_eq!(status("a\nREADY=1\u{1b}"), "STATUS=a READY=1 ");
        assert_eq!(status(&"\u{e9}".repeat(600)).chars().count(), 7 + MOST_WORDS);
    }
}
