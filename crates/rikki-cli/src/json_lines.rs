//! The log for programs: a line is an object of JSON, as docs/logs.md has it.
//!
//! What clients have written is in it as texts, in which everything is escaped that is not to be seen: neither a program
//! nor a terminal that the lines are shown on finds anything to obey.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use clap::ValueEnum;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

/// One for the process, as there is one stderr; a reload changes it.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Writes lines like this from now on.
pub(crate) fn set_format(format: LogFormat) {
    IS_JSON.store(format == LogFormat::Json, Relaxed);
}

pub(crate) fn are_wanted() -> bool {
    IS_JSON.load(Relaxed)
}

/// A line about something that is no event.
pub(crate) fn line(level: Level, target: &str, message: &str, fields: impl FnOnce(&mut Members)) -> String {
    let mut members = Members::default();
    members.message.push_str(message);
    fields(&mut members);
    let mut line = String::new();
    // A text takes all.
    let _ = write_object(&mut Writer::new(&mut line), level, target, &members, "");
    line
}

/// Writes an event, and the spans that it is in.
pub(crate) fn write_event<S, N>(context: &FmtContext<'_, S, N>, to: &mut Writer<'_>, event: &Event<'_>) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    let mut members = Members::default();
    event.record(&mut members);
    let mut spans = String::new();
    for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
        let extensions = span.extensions();
        let fields = extensions.get::<FormattedFields<N>>().map_or("", |fields| fields.fields.as_str());
        spans.push_str(if spans.is_empty() { "" } else { "," });
        spans.push_str("{\"name\":");
        write_text(&mut spans, format_args!("{}", span.name()))?;
        spans.push_str(",\"fields\":");
        // Those of a span that was made before a reload are a text.
        let object = format!("{{{fields}}}");
        match serde_json::from_str::<serde::de::IgnoredAny>(&object) {
            Ok(_) => spans.push_str(&object),
            Err(_) => write_text(&mut spans, format_args!("{fields}"))?,
        }
        spans.push('}');
    }
    write_object(to, *event.metadata().level(), event.metadata().target(), &members, &spans)
}

fn write_object(to: &mut Writer<'_>, level: Level, target: &str, members: &Members, spans: &str) -> fmt::Result {
    to.write_str("{\"timestamp\":\"")?;
    SystemTime.format_time(to)?;
    write!(to, "\",\"level\":\"{level}\",\"target\":")?;
    write_text(to, format_args!("{target}"))?;
    to.write_str(",\"message\":")?;
    write_text(to, format_args!("{}", members.message))?;
    write!(to, ",\"fields\":{{{}}}", members.fields)?;
    if !spans.is_empty() {
        write!(to, ",\"spans\":[{spans}]")?;
    }
    to.write_str("}\n")
}

/// Writes the fields of spans, which are kept as text: as members of an object where lines are JSON.
pub(crate) struct SpanFields(DefaultFields);

impl SpanFields {
    pub(crate) fn new() -> Self {
        Self(DefaultFields::new())
    }
}

impl<'w> FormatFields<'w> for SpanFields {
    fn format_fields<R: RecordFields>(&self, mut to: Writer<'w>, fields: R) -> fmt::Result {
        if !are_wanted() {
            return self.0.format_fields(to, fields);
        }
        let mut members = Members::default();
        fields.record(&mut members);
        to.write_str(&members.fields)
    }

    fn add_fields(&self, current: &'w mut FormattedFields<Self>, fields: &tracing::span::Record<'_>) -> fmt::Result {
        if !current.fields.is_empty() {
            current.fields.push(if are_wanted() { ',' } else { ' ' });
        }
        self.format_fields(current.as_writer(), fields)
    }
}

/// The fields of an event or a span, as they are written, and its message.
#[derive(Default)]
pub(crate) struct Members {
    message: String,
    fields: String,
}

impl Members {
    /// One with a value that is a text; the message is no member of the others.
    pub(crate) fn text(&mut self, name: &str, value: fmt::Arguments<'_>) {
        match name {
            // A text takes all.
            "message" => _ = self.message.write_fmt(value),
            _ => self.member(name, |to| write_text(to, value)),
        }
    }

    /// One with a number, or what else JSON writes as Rust does.
    pub(crate) fn plain(&mut self, name: &str, value: impl fmt::Display) {
        self.member(name, |to| write!(to, "{value}"));
    }

    fn member(&mut self, name: &str, write: impl FnOnce(&mut String) -> fmt::Result) {
        let to = &mut self.fields;
        to.push_str(if to.is_empty() { "" } else { "," });
        let _ = write_text(to, format_args!("{name}"));
        to.push(':');
        let _ = write(to);
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        match value.is_finite() {
            true => self.plain(field.name(), value),
            false => self.text(field.name(), format_args!("{value}")),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field.name(), value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field.name(), format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field.name(), format_args!("{value:?}"));
    }
}

/// Writes a text: <https://www.rfc-editor.org/rfc/rfc8259#section-7>.
fn write_text(to: &mut impl Write, text: fmt::Arguments<'_>) -> fmt::Result {
    to.write_char('"')?;
    // What cannot be shown to its end ends all the same: a line that is no JSON would be worse.
    let written = Escaped(to).write_fmt(text);
    to.write_char('"')?;
    written
}

/// Escapes what is written.
struct Escaped<'a, W>(&'a mut W);

impl<W: Write> Write for Escaped<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|letter| match letter {
            '"' => self.0.write_str("\\\""),
            '\\' => self.0.write_str("\\\\"),
            '\n' => self.0.write_str("\\n"),
            '\r' => self.0.write_str("\\r"),
            '\t' => self.0.write_str("\\t"),
            // What Rust shows as it is can be seen, and so can this.
            '\'' => self.0.write_char(letter),
            _ if letter.escape_debug().len() == 1 => self.0.write_char(letter),
            _ => letter.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(self.0, "\\u{unit:04x}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_text_holds_it_is_one_line_with_nothing_to_obey() {
        let all: String = (0..0x1_2000).chain(0xe_0000..0xe_0200).filter_map(char::from_u32).collect();
        let mut written = String::new();
        write_text(&mut written, format_args!("{all}")).unwrap();
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), all);
        assert!(!written.contains(|letter: char| letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter)));
        written.clear();
        write_text(&mut written, format_args!("Grüße, 'ä' \"{}\" \u{1b}[2J\u{202e}\u{1f600}", 1)).unwrap();
        assert_eq!(written, "\"Grüße, 'ä' \\\"1\\\" \\u001b[2J\\u202e\u{1f600}\"");
    }

    #[test]
    fn a_line_that_is_no_event() {
        let line = line(Level::WARN, "rikki::log", "a \"b\"\nc", |fields| {
            fields.plain("left_out", 5);
            fields.text("more", format_args!("\u{1b}"));
        });
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        assert_eq!((&value["level"], &value["target"]), (&"WARN".into(), &"rikki::log".into()));
        assert_eq!((&value["message"], &value["fields"]["left_out"]), (&"a \"b\"\nc".into(), &5.into()));
        assert_eq!(value["fields"]["more"], "\u{1b}");
    }

    #[test]
    fn a_value_that_cannot_be_shown_to_its_end_leaves_the_line_whole() {
        struct Broken;

        impl fmt::Display for Broken {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("half a \"")?;
                Err(fmt::Error)
            }
        }

        let line = line(Level::WARN, "rikki", "", |fields| {
            fields.text("message", format_args!("{Broken}"));
            fields.text("broken", format_args!("{Broken}"));
            fields.plain("next", 1);
        });
        let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!((&value["message"], &value["fields"]["broken"]), (&"half a \"".into(), &"half a \"".into()));
        assert_eq!(value["fields"]["next"], 1);
    }
}
