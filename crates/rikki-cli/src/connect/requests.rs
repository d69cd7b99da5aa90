//! What a command on a terminal has asked for and is not done yet: pings, and a file that is being read.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rikki::ws::{Error, Message, Sender};
use tokio::task::{JoinHandle, spawn_blocking};

use super::output::Output;
use super::{Reports, note};

pub(super) struct Requests {
    pings: Vec<Ping>,
    /// What is read, and its name as it was given.
    file: Option<(JoinHandle<Result<Message<'static>, String>>, PathBuf)>,
    /// The largest message, in bytes.
    limit: usize,
}

type Ping = Pin<Box<dyn Future<Output = Result<Duration, Error>>>>;

impl Requests {
    pub(super) fn new(limit: usize) -> Self {
        Self { pings: Vec::new(), file: None, limit }
    }

    /// Pings; a connection has a bound for those that wait for their pongs, and one more is refused at once.
    pub(super) fn ping(&mut self, sender: Sender) {
        self.pings.push(Box::pin(async move { sender.round_trip().await }));
    }

    /// Begins to read a file, which is what comes next.
    pub(super) fn read(&mut self, path: PathBuf) {
        let (limit, from) = (self.limit, path.clone());
        self.file = Some((spawn_blocking(move || read(&from, limit)), path));
    }

    /// The file, if one is being read.
    pub(super) fn poll_file(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message<'static>, String>>> {
        let Some((file, path)) = &mut self.file else { return Poll::Ready(None) };
        let read = ready!(Pin::new(file).poll(cx)).unwrap_or_else(|error| Err(error.to_string()));
        let read = read.map_err(|error| format!("cannot send {}: {error}", path.display()));
        self.file = None;
        Poll::Ready(Some(read))
    }

    /// Says which pings were answered, and whether one was.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, output: &mut Output, reports: Reports) -> bool {
        let before = self.pings.len();
        self.pings.retain_mut(|ping| {
            let Poll::Ready(answer) = ping.as_mut().poll(cx) else { return true };
            let text = match answer {
                Ok(time) => format!("pong after {:.1} ms", time.as_secs_f64() * 1000.0),
                Err(error) => format!("no pong: {error}"),
            };
            match reports {
                Reports::Screen => output.show_report(&text),
                Reports::Stderr => note(&text),
            }
            false
        });
        self.pings.len() < before
    }
}

/// A file as a message: text if that is what it is.
fn read(path: &Path, limit: usize) -> Result<Message<'static>, String> {
    // One that is no file may have no end, or wait for somebody.
    if !path.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > limit {
        return Err(format!("it has more than {limit} bytes: see --max-message"));
    }
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Message::from(text),
        Err(error) => Message::from(error.into_bytes()),
    })
}
