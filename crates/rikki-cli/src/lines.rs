//! Requests, WebSockets and their messages as people read them: `20:27:41 200 GET /index.html 402 B 1 ms`.
//!
//! All other events of the log are written as ever; where lines are JSON, all are.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};

use time::{OffsetDateTime, UtcOffset};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::json_lines;

/// How many paths of WebSockets are told of.
const MOST_PATHS: usize = 5;

/// What lines are made for, which a reload changes.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    for_people: AtomicBool,
    /// The paths of WebSockets; one that ends in a star is for all below.
    websockets: Mutex<Vec<String>>,
}

impl Shown {
    /// Goes by this from now on.
    pub(crate) fn set(&self, for_people: bool, websockets: Vec<String>) {
        self.for_people.store(for_people, Relaxed);
        *self.websockets.lock().unwrap_or_else(PoisonError::into_inner) = websockets;
    }

    /// What to tell of a WebSocket that was asked for where there is none.
    fn elsewhere(&self, target: &str) -> Option<String> {
        let path = target.split('?').next().unwrap_or_default();
        let all = self.websockets.lock().unwrap_or_else(PoisonError::into_inner);
        let is_at = |known: &String| match known.strip_suffix('*') {
            Some(parent) => path.len() > parent.len() && path.starts_with(parent),
            None => path == known,
        };
        if all.iter().any(is_at) {
            return None;
        }
        let more = if all.len() > MOST_PATHS { ", ..." } else { "" };
        let known: Vec<_> = all.iter().take(MOST_PATHS).map(String::as_str).collect();
        Some(match known.is_empty() {
            true => format!("there is no WebSocket at {path}, nor anywhere else: --topic {path},publish makes one"),
            false => format!("there is no WebSocket at {path}: try {}{more}", known.join(", ")),
        })
    }
}

/// How far the clock on the wall is from UTC, as it was when the process began: it can be asked for while there is one
/// thread alone.
static OFFSET: OnceLock<UtcOffset> = OnceLock::new();

/// Looks at the clock on the wall. To be called first of all.
pub(crate) fn look_at_clock() {
    let _ = OFFSET.set(UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC));
}

/// Writes events.
pub(crate) struct EventLines {
    pub(crate) others: Format,
    pub(crate) shown: std::sync::Arc<Shown>,
}

impl<S, N> FormatEvent<S, N> for EventLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if json_lines::are_wanted() {
            return json_lines::write_event(context, &mut writer, event);
        }
        let target = event.metadata().target();
        if !self.shown.for_people.load(Relaxed) || !["rikki::access", "rikki::messages"].contains(&target) {
            return self.others.format_event(context, writer, event);
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = OffsetDateTime::now_utc().to_offset(OFFSET.get().copied().unwrap_or(UtcOffset::UTC));
        let (hour, minute, second) = now.to_hms();
        let line = match (target, fields.number("code")) {
            ("rikki::messages", _) => message(&fields),
            (_, Some(code)) => ended(&fields, code),
            (_, None) => request(&fields, writer.has_ansi_escapes()),
        };
        writeln!(writer, "{hour:02}:{minute:02}:{second:02} {line}")?;
        let asked = fields.get("upgrade").is_some() && fields.number("status") != Some(101);
        match fields.get("target").filter(|_| asked).and_then(|target| self.shown.elsewhere(target)) {
            Some(told) => writeln!(writer, "         {told}"),
            None => Ok(()),
        }
    }
}

/// A request that has been answered.
fn request(fields: &Fields, with_colours: bool) -> String {
    let status = fields.number("status").unwrap_or_default();
    let (colour, end) = match status / 100 {
        _ if !with_colours => ("", ""),
        1 | 2 => ("\u{1b}[32m", "\u{1b}[0m"),
        3 => ("\u{1b}[36m", "\u{1b}[0m"),
        4 => ("\u{1b}[33m", "\u{1b}[0m"),
        _ => ("\u{1b}[31m", "\u{1b}[0m"),
    };
    let mut line = format!("{colour}{status}{end} {} {}", fields.text("method"), fields.text("target"));
    if status != 101 {
        let bytes = fields.number("bytes").map_or_else(|| "-".to_owned(), size);
        line += &format!(" {bytes} {}", time_of(fields));
    }
    line + &peer(fields)
}

/// A WebSocket that has ended.
fn ended(fields: &Fields, code: u64) -> String {
    let count = |name: &str| fields.number(name).unwrap_or_default();
    let (received, sent) = (count("received"), count("sent"));
    let line = format!("{code} WS {} {received} in, {sent} out {}", fields.text("path"), time_of(fields));
    let error = fields.get("error").map(|error| format!(": {error}")).unwrap_or_default();
    line + &peer(fields) + &error
}

/// A message, of which peers have written what is shown.
fn message(fields: &Fields) -> String {
    let kind = if fields.get("kind") == Some("binary") { "binary " } else { "" };
    let bytes = size(fields.number("bytes").unwrap_or_default());
    format!(
        "{:<3} #{} {} {bytes} {kind}{}",
        fields.text("direction"),
        fields.text("id"),
        fields.text("path"),
        fields.text("shown")
    )
}

/// Who it was, unless that is this computer.
fn peer(fields: &Fields) -> String {
    match fields.get("peer").map(|peer| (peer, peer.parse::<SocketAddr>())) {
        Some((_, Ok(address))) if address.ip().is_loopback() => String::new(),
        Some((_, Ok(address))) => format!(" {}", address.ip().to_canonical()),
        Some(("unix", _)) | None => String::new(),
        Some((other, _)) => format!(" {other}"),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn time_of(fields: &Fields) -> String {
    match fields.number("ms").unwrap_or_default() {
        ms @ 0..1000 => format!("{ms} ms"),
        ms @ 1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        ms => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
    }
}

/// The fields of an event.
#[derive(Default)]
struct Fields(Vec<(&'static str, String)>);

impl Fields {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or("-")
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.parse().ok()
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), format!("{value:?}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(all: &[(&'static str, &str)]) -> Fields {
        Fields(all.iter().map(|(name, value)| (*name, (*value).to_owned())).collect())
    }

    #[test]
    fn lines() {
        let get = [("peer", "127.0.0.1:5"), ("method", "GET"), ("target", "/index.html"), ("status", "200")];
        let whole = fields(&[&get[..], &[("bytes", "402"), ("ms", "1")]].concat());
        assert_eq!(request(&whole, false), "200 GET /index.html 402 B 1 ms");
        assert_eq!(request(&whole, true), "\u{1b}[32m200\u{1b}[0m GET /index.html 402 B 1 ms");
        let endless = fields(&[&[("peer", "192.168.1.7:5")], &get[1..], &[("ms", "61500")]].concat());
        assert_eq!(request(&endless, false), "200 GET /index.html - 1 min 1 s 192.168.1.7");
        let upgraded = [("peer", "[::ffff:10.0.0.1]:5"), ("method", "GET"), ("target", "/ws"), ("status", "101")];
        assert_eq!(request(&fields(&upgraded), false), "101 GET /ws 10.0.0.1");
        let socket = [("path", "/ws"), ("received", "3"), ("sent", "20"), ("ms", "20100")];
        assert_eq!(ended(&fields(&socket), 1000), "1000 WS /ws 3 in, 20 out 20.1 s");
        let broken = fields(&[&socket[..], &[("error", "the connection broke")]].concat());
        assert_eq!(ended(&broken, 1006), "1006 WS /ws 3 in, 20 out 20.1 s: the connection broke");
        let text = [("direction", "in"), ("id", "4"), ("path", "/ws"), ("bytes", "5"), ("shown", "\"hello\"")];
        assert_eq!(message(&fields(&text)), "in  #4 /ws 5 B \"hello\"");
        let bytes = [
            ("kind", "binary"),
            ("direction", "out"),
            ("id", "4"),
            ("path", "/"),
            ("bytes", "20000"),
            ("shown", "00ff..."),
        ];
        assert_eq!(message(&fields(&bytes)), "out #4 / 19 KiB binary 00ff...");
    }

    #[test]
    fn where_websockets_are() {
        let shown = Shown::default();
        let none = "there is no WebSocket at /ws, nor anywhere else: --topic /ws,publish makes one";
        assert_eq!(shown.elsewhere("/ws?...").as_deref(), Some(none));
        shown.set(true, ["/websocket", "/rooms/*"].map(str::to_owned).into());
        let told = "there is no WebSocket at /ws: try /websocket, /rooms/*";
        assert_eq!(shown.elsewhere("/ws").as_deref(), Some(told));
        assert!(shown.elsewhere("/websocket/").is_some() && shown.elsewhere("/rooms/").is_some());
        for known in ["/websocket", "/websocket?...", "/rooms/a", "/rooms/a/b"] {
            assert_eq!(shown.elsewhere(known), None, "{known}");
        }
        shown.set(true, (0..6).map(|number| format!("/{number}")).collect());
        assert!(shown.elsewhere("/ws").unwrap().ends_with("try /0, /1, /2, /3, /4, ..."));
    }
}
