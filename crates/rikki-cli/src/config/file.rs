//! Settings of a TOML file, whose keys are flags. All that is wrong with it is told at once, each with its place.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use clap::{Arg, Command};
use rikki_limits::Excerpt;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::{
    CONFIG, Setting, Source, Tables, check, find, is_optional, is_repeatable, is_switch, key, meant, plain, tables,
    word,
};

/// The longest file, in bytes: what flags say takes a few lines.
const LONGEST: usize = 1 << 20;

/// How many faults are told, and how many letters of each: what is no file of settings has one in every line.
const MOST_LINES: usize = 100;
const LONGEST_LINE: usize = 500;

/// The settings of a file, or a line for each thing that is wrong with it.
pub(super) fn read(flags: &Command, path: &Path) -> Result<Vec<Setting>, Vec<String>> {
    let shown = plain(&path.display().to_string());
    let refused = |why: &str| vec![format!("cannot read the settings in {shown}: {why}")];
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        if file.metadata()?.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        file.take(LONGEST as u64 + 1).read_to_end(&mut bytes)
    });
    match read {
        Err(error) => Err(refused(&error.to_string())),
        Ok(length) if length > LONGEST => Err(refused(&format!("more than {LONGEST} bytes"))),
        Ok(_) => parse(flags, &shown, &bytes),
    }
}

/// The settings of what a file has.
pub(super) fn parse(flags: &Command, shown: &str, bytes: &[u8]) -> Result<Vec<Setting>, Vec<String>> {
    let (text, broken) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => {
            let sound = bytes.get(..error.valid_up_to()).and_then(|sound| std::str::from_utf8(sound).ok());
            (sound.unwrap_or_default(), true)
        }
    };
    let mut document = Document { flags, shown, text, errors: Vec::new() };
    if broken {
        document.refuse(text.len()..text.len(), "not UTF-8");
        return Err(document.lines());
    }
    match DeTable::parse(text) {
        Ok(table) => {
            let settings = table.get_ref().iter().filter_map(|(key, value)| document.setting(key, value)).collect();
            if document.errors.is_empty() { Ok(settings) } else { Err(document.lines()) }
        }
        Err(error) => {
            document.refuse(error.span().unwrap_or_default(), &error.message().replace('\n', "; "));
            Err(document.lines())
        }
    }
}

/// A file, and what was found to be wrong with it.
pub(super) struct Document<'a> {
    flags: &'a Command,
    shown: &'a str,
    text: &'a str,
    errors: Vec<(usize, String)>,
}

impl Document<'_> {
    /// Notes that what stands there is wrong.
    pub(super) fn refuse(&mut self, place: Range<usize>, why: &str) {
        self.errors.push((place.start, plain(&why.chars().take(LONGEST_LINE).collect::<String>())));
    }

    /// Notes that there is no such key, and which one may have been meant.
    pub(super) fn refuse_key<'k>(&mut self, key: &Spanned<impl AsRef<str>>, known: impl Iterator<Item = &'k str>) {
        let name = key.get_ref().as_ref();
        let hint = meant(name, known).map(|hint| format!(", did you mean {hint:?}?")).unwrap_or_default();
        self.refuse(key.span(), &format!("unknown key \"{}\"{hint}", Excerpt::of(name)));
    }

    /// What was wrong, in the order of the file.
    fn lines(mut self) -> Vec<String> {
        self.errors.sort();
        let more = self.errors.len().saturating_sub(MOST_LINES);
        self.errors.truncate(MOST_LINES);
        let line = |(place, why): &(usize, String)| {
            let (line, column) = position(self.text, *place);
            format!("{}:{line}:{column}: {why}", self.shown)
        };
        let more = (more > 0).then(|| format!("{}: {more} more", self.shown));
        self.errors.iter().map(line).chain(more).collect()
    }

    fn setting(&mut self, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) -> Option<Setting> {
        let name = key.get_ref().as_ref();
        if name == CONFIG {
            self.refuse(key.span(), "a file cannot name another one");
            return None;
        }
        let flags = self.flags;
        let (mut values, mut tables) = (Vec::new(), Tables::default());
        match (name, find(flags, name)) {
            (tables::MOUNT, _) => tables.mounts = self.items(name, value, Self::mount),
            (tables::ENDPOINT, _) => tables.endpoints = self.items(name, value, Self::endpoint),
            (tables::TOPIC, _) => values = self.items(name, value, Self::topic),
            #[cfg(feature = "nats")]
            (tables::OWN_STREAM, _) => values = self.items(name, value, Self::own_stream),
            (tables::LISTEN, Some(arg)) => {
                let listeners = self.items(name, value, |all, item| all.listener(arg, item));
                values = listeners.iter().map(|listener| listener.written.clone().into()).collect();
                tables.listeners = listeners.into_iter().filter(|listener| !listener.limits.is_empty()).collect();
            }
            (_, Some(arg)) if is_repeatable(arg) => values = self.items(name, value, |all, item| all.value(arg, item)),
            (_, Some(arg)) => values.extend(self.value(arg, value)),
            (_, None) => {
                let known = flags.get_arguments().filter_map(super::key).chain([tables::ENDPOINT]);
                self.refuse_key(key, known.filter(|known| *known != CONFIG));
                return None;
            }
        }
        let line = position(self.text, key.span().start).0;
        Some(Setting { name: name.to_owned(), values, tables, source: Source::File(self.shown.to_owned(), line) })
    }

    /// The items of an array, but for those that are wrong.
    fn items<T>(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        mut item: impl FnMut(&mut Self, &Spanned<DeValue<'_>>) -> Option<T>,
    ) -> Vec<T> {
        match value.get_ref() {
            DeValue::Array(items) => items.iter().filter_map(|value| item(self, value)).collect(),
            _ => {
                self.refuse(value.span(), &format!("{name}: expected an array, as in {}", example(name)));
                Vec::new()
            }
        }
    }

    /// What the flag would be given.
    pub(super) fn value(&mut self, arg: &Arg, value: &Spanned<DeValue<'_>>) -> Option<OsString> {
        let name = key(arg)?;
        let text = match value.get_ref() {
            value if is_switch(arg) => switch(value),
            // Its value may be left out, or it is not set.
            DeValue::Boolean(false) if is_optional(arg) => return None,
            DeValue::Boolean(true) if is_optional(arg) => Ok("true".to_owned()),
            value => text(word(arg), value),
        };
        let checked = text.and_then(|text| {
            let value = OsString::from(text);
            if !is_switch(arg) {
                check(arg, &value)?;
            }
            Ok(value)
        });
        checked.map_err(|why| self.refuse(value.span(), &format!("{name}: {why}"))).ok()
    }
}

fn switch(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::Boolean(is_on) => Ok(is_on.to_string()),
        other => Err(format!("expected true or false, not {}", kind(other))),
    }
}

/// The text of a value of this kind, as the help has it: `N`, `SIZE`, `DUR` and others.
pub(super) fn text(word: &str, value: &DeValue<'_>) -> Result<String, String> {
    match (word, value) {
        ("N" | "CODE" | "SIZE" | "DUR", DeValue::Integer(number)) => Ok(decimal(number)),
        ("N" | "CODE", other) => Err(format!("expected a whole number, not {}", kind(other))),
        (_, DeValue::String(text)) => Ok(text.to_string()),
        ("SIZE", other) => {
            Err(format!("expected a string, as in \"64KiB\", or a number of bytes, not {}", kind(other)))
        }
        ("DUR", other) => Err(format!("expected a string, as in \"30s\", not {}", kind(other))),
        (_, other) => Err(format!("expected a string, not {}", kind(other))),
    }
}

/// A number as flags have it. One that is too long to be read is left as it is, and then refused.
fn decimal(number: &DeInteger<'_>) -> String {
    i128::from_str_radix(number.as_str(), number.radix())
        .map_or_else(|_| number.to_string(), |number| number.to_string())
}

pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// How a flag that may be repeated is written.
fn example(name: &str) -> String {
    match name {
        tables::MOUNT => "[[mount]]".to_owned(),
        tables::TOPIC => "[[topic]]".to_owned(),
        tables::ENDPOINT => "[[endpoint]]".to_owned(),
        #[cfg(feature = "nats")]
        tables::OWN_STREAM => format!("[[{name}]]"),
        tables::LISTEN => format!("{name} = [\"...\"] or [[{name}]]"),
        _ => format!("{name} = [\"...\"]"),
    }
}

/// The line and column of a byte, both from 1; columns are letters.
fn position(text: &str, place: usize) -> (usize, usize) {
    let mut before = place.min(text.len());
    while !text.is_char_boundary(before) {
        before -= 1;
    }
    let before = text.get(..before).unwrap_or_default();
    let line = before.rsplit_once('\n').map_or(before, |(_, line)| line);
    (1 + before.matches('\n').count(), 1 + line.trim_start_matches('\u{feff}').chars().count())
}
