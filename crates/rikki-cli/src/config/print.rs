//! The settings as a file that says the same, with where each comes from.

use std::ffi::OsStr;
use std::fmt::Write as _;

use clap::{Arg, Command};
use rikki::topics::TopicsConfig;
use rikki::{Files, Limit, Server};

use super::{CONFIG, is_optional, is_repeatable, is_switch, key, tables, word};
use crate::args::{Args, EndpointArg, Given, ListenArg, MountArg, Table};

/// A line for each setting. A default is a comment, so that it stays one: some depend on what else is set.
pub(crate) fn print(command: &Command, args: &Args) -> String {
    let mut text = String::new();
    let roots = command.get_arguments().filter(|arg| arg.is_positional());
    for arg in roots.chain(command.get_arguments().filter(|arg| !arg.is_positional())) {
        let Some(name) = key(arg).filter(|name| *name != CONFIG) else { continue };
        let setting = args.origins.settings.iter().find(|setting| setting.name == name);
        // Writing to a String cannot fail.
        let _ = match setting {
            None if name == tables::LISTEN => {
                let urls = list(args.listen.iter().map(|url| Some(quoted(url)))).unwrap_or_default();
                writeln!(text, "# {name} = {urls}  # default")
            }
            None => writeln!(text, "# {}  # default", default(arg, name)),
            Some(setting) => {
                let value = match name {
                    tables::MOUNT => list(args.files.mounts.iter().map(mount)),
                    tables::LISTEN => list(setting.values.iter().map(|url| listener(url.to_str()?, &args.listeners))),
                    #[cfg(feature = "nats")]
                    "broker" => setting.values.last().and_then(|url| url.to_str()).map(broker),
                    _ => written(arg, setting.values.iter().map(|value| value.as_os_str())),
                };
                let source = &setting.source;
                match value {
                    Some(value) => writeln!(text, "{name} = {value}  # {source}"),
                    None => writeln!(text, "# {name} is not UTF-8, and cannot stand in a file  # {source}"),
                }
            }
        };
    }
    if let Some(setting) = args.origins.settings.iter().find(|setting| setting.name == tables::ENDPOINT) {
        let endpoints = list(args.endpoints.iter().map(endpoint)).unwrap_or_default();
        let _ = writeln!(text, "{} = {endpoints}  # {}", tables::ENDPOINT, setting.source);
    }
    text
}

/// The URL of a broker without what lets us in there: a file that is shown around has none of it.
#[cfg(feature = "nats")]
fn broker(url: &str) -> String {
    quoted(&rikki_nats::NatsConfig::new(url).shown())
}

fn default(arg: &Arg, name: &str) -> String {
    let limits = Server::limits().chain(Files::limits()).chain(TopicsConfig::limits());
    #[cfg(feature = "nats")]
    let limits = limits.chain(rikki_nats::NatsConfig::limits());
    let mut limits = limits;
    let limit = limits.find(|limit| limit.name == name);
    let values = match limit.and_then(|limit| limit.default) {
        Some(default) => vec![OsStr::new(default)],
        None => arg.get_default_values().iter().map(|value| value.as_os_str()).collect(),
    };
    if is_switch(arg) {
        return format!("{name} = false");
    }
    if !values.is_empty() || is_repeatable(arg) {
        return format!("{name} = {}", written(arg, values.into_iter()).unwrap_or_default());
    }
    match limit.map(|limit| limit.otherwise) {
        Some(otherwise) => format!("{name} is not set: {otherwise}"),
        None => format!("{name} is not set"),
    }
}

/// A value, or an array of them where there may be several; `None` for what is no text.
fn written<'a>(arg: &Arg, values: impl Iterator<Item = &'a OsStr>) -> Option<String> {
    if is_repeatable(arg) {
        return list(values.map(|value| value.to_str().map(quoted)));
    }
    let value = values.last().map_or(Some("false"), OsStr::to_str)?;
    let is_bare = is_optional(arg) && ["true", "false"].contains(&value);
    Some(if is_switch(arg) || is_bare { value.to_owned() } else { scalar(word(arg), value) })
}

/// A number where the file has to have one, or else a string.
fn scalar(word: &str, text: &str) -> String {
    match text.parse::<u64>() {
        Ok(number) if ["N", "CODE"].contains(&word) => number.to_string(),
        _ => quoted(text),
    }
}

fn mount(MountArg { path, folder, limits }: &MountArg) -> Option<String> {
    Some(table(&format!("path = {}, folder = {}", quoted(path), quoted(folder.to_str()?)), limits))
}

fn listener(url: &str, listeners: &[ListenArg]) -> Option<String> {
    let own = listeners.iter().find(|listener| listener.written == url);
    Some(own.map_or_else(|| quoted(url), |own| table(&format!("url = {}", quoted(url)), &own.limits)))
}

fn endpoint(EndpointArg { path, limits }: &EndpointArg) -> Option<String> {
    Some(table(&format!("path = {}", quoted(path)), limits))
}

/// A table on one line.
fn table<T: Table>(begin: &str, limits: &Given<T>) -> String {
    let limit = |(limit, text): (&Limit, &str)| format!(", {} = {}", limit.name, scalar(limit.unit.word(), text));
    format!("{{ {begin}{} }}", limits.texts().map(limit).collect::<String>())
}

fn list(items: impl Iterator<Item = Option<String>>) -> Option<String> {
    Some(format!("[{}]", items.collect::<Option<Vec<_>>>()?.join(", ")))
}

/// A basic string (<https://toml.io/en/v1.1.0#string>).
fn quoted(text: &str) -> String {
    let mut string = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => string.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(string, "\\u{:04X}", u32::from(letter));
            }
            letter => string.push(letter),
        }
    }
    string + "\""
}
