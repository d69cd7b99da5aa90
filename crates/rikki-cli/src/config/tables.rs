//! What a file says in tables: folders, topics and more WebSockets.

use std::ffi::OsString;

use clap::Arg;
use rikki::topics::TopicConfig;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::args::{EndpointArg, Given, ListenArg, MountArg, Table, mount, single_path, topic, topic_option};
#[cfg(feature = "nats")]
use crate::args::{OfOwnStreams, own_stream};

use super::file::{Document, kind, text};

pub(super) const MOUNT: &str = "mount";
pub(super) const ENDPOINT: &str = "endpoint";
pub(super) const TOPIC: &str = "topic";
pub(super) const LISTEN: &str = "listen";
#[cfg(feature = "nats")]
pub(super) const OWN_STREAM: &str = "broker-own-stream";

/// The options of a topic that are no limits.
const POLICY: &str = "policy";
const PRESENCE: &str = "presence";
const SWITCHES: [&str; 4] = [PRESENCE, "last", "keys", "publish"];

const PATH: &str = "path";
const FOLDER: &str = "folder";
const URL: &str = "url";
#[cfg(feature = "nats")]
const NAME: &str = "name";

type Value<'a> = Spanned<DeValue<'a>>;

impl Document<'_> {
    /// A folder: what `--mount` has, or a table with a path, a folder and limits of its own.
    pub(super) fn mount(&mut self, value: &Value<'_>) -> Option<MountArg> {
        let table = match value.get_ref() {
            DeValue::Table(table) => table,
            DeValue::String(text) => {
                let read = mount(text);
                return read.map_err(|why| self.refuse(value.span(), &format!("{MOUNT}: {why}"))).ok();
            }
            other => return self.refuse_item(MOUNT, value, other),
        };
        let path = self.required(MOUNT, PATH, table, value);
        let folder = self.required(MOUNT, FOLDER, table, value);
        let limits = self.limits(&[PATH, FOLDER], table);
        Some(MountArg { path: path?, folder: folder?.into(), limits })
    }

    /// A listener: what `--listen` has, or a table with a URL and limits of its own.
    pub(super) fn listener(&mut self, arg: &Arg, value: &Value<'_>) -> Option<ListenArg> {
        match value.get_ref() {
            DeValue::Table(table) => {
                let url = self.required(LISTEN, URL, table, value);
                let limits = self.limits(&[URL], table);
                let written = url?;
                Some(ListenArg { url: written.clone(), written, limits })
            }
            DeValue::String(_) => {
                let url = self.value(arg, value)?.into_string().ok()?;
                Some(ListenArg { written: url.clone(), url, limits: Given::none() })
            }
            other => self.refuse_item(LISTEN, value, other),
        }
    }

    /// One more WebSocket: a table with a path and limits of its own.
    pub(super) fn endpoint(&mut self, value: &Value<'_>) -> Option<EndpointArg> {
        let DeValue::Table(table) = value.get_ref() else {
            self.refuse(value.span(), &format!("{ENDPOINT}: expected a table, not {}", kind(value.get_ref())));
            return None;
        };
        let path = self.required(ENDPOINT, PATH, table, value);
        let wrong = path.as_ref().and_then(|path| single_path(path).err());
        if let (Some(why), Some(path)) = (wrong, table.get(PATH)) {
            self.refuse(path.span(), &format!("{PATH}: {why}"));
        }
        let limits = self.limits(&[PATH], table);
        Some(EndpointArg { path: path?, limits })
    }

    /// The keys of a table that are limits, which all are but for a few.
    fn limits<T: Table>(&mut self, others: &[&'static str], table: &DeTable<'_>) -> Given<T> {
        let mut limits = Given::none();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if others.contains(&name) {
                continue;
            }
            let Some(limit) = T::limits().find(|limit| limit.name == name) else {
                self.refuse_key(key, others.iter().copied().chain(T::limits().map(|limit| limit.name)));
                continue;
            };
            let read = text(limit.unit.word(), value.get_ref())
                .and_then(|text| limits.add(limit, text).map_err(|error| error.to_string()));
            if let Err(why) = read {
                self.refuse(value.span(), &format!("{name}: {why}"));
            }
        }
        limits
    }

    /// A topic, as `--topic` has it: a table with a path and options comes to the same.
    pub(super) fn topic(&mut self, value: &Value<'_>) -> Option<OsString> {
        let table = match value.get_ref() {
            DeValue::Table(table) => table,
            DeValue::String(text) => {
                let read = topic(text).map(|_| text.to_string().into());
                return read.map_err(|why| self.refuse(value.span(), &format!("{TOPIC}: {why}"))).ok();
            }
            other => return self.refuse_item(TOPIC, value, other),
        };
        let mut whole = self.required(TOPIC, PATH, table, value);
        // A comma would begin an option.
        let wrong = whole.as_ref().and_then(|path| match path.split_once(',') {
            Some(_) => Some("the path cannot have a comma: options are keys".to_owned()),
            None => topic(path).err(),
        });
        if let (Some(why), Some(path)) = (wrong, table.get(PATH)) {
            self.refuse(path.span(), &format!("{PATH}: {why}"));
        }
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if name == PATH {
                continue;
            }
            if !options().any(|known| known == name) {
                self.refuse_key(key, [PATH].into_iter().chain(options()));
                continue;
            }
            match (option(name, value.get_ref()), &mut whole) {
                (Ok(Some(option)), Some(whole)) => *whole += &format!(",{option}"),
                (Ok(_), _) => {}
                (Err(why), _) => self.refuse(value.span(), &format!("{name}: {why}")),
            }
        }
        whole.map(OsString::from)
    }

    /// A stream of its own, as `--broker-own-stream` has it: a table with a path, a name and limits comes to the same.
    #[cfg(feature = "nats")]
    pub(super) fn own_stream(&mut self, value: &Value<'_>) -> Option<OsString> {
        let whole = match value.get_ref() {
            DeValue::Table(table) => {
                let path = self.required(OWN_STREAM, PATH, table, value);
                let name = self.required(OWN_STREAM, NAME, table, value);
                let limits: Given<OfOwnStreams> = self.limits(&[PATH, NAME], table);
                let (path, name) = (path?, name?);
                // One would begin an option.
                if path.contains(',') || name.contains(',') {
                    self.refuse(value.span(), &format!("{OWN_STREAM}: path and name cannot have a comma"));
                    return None;
                }
                let options = limits.texts().map(|(limit, text)| format!(",{}={text}", limit.name));
                format!("{path},{NAME}={name}{}", options.collect::<String>())
            }
            DeValue::String(text) => text.to_string(),
            other => return self.refuse_item(OWN_STREAM, value, other),
        };
        match own_stream(&whole) {
            Ok(_) => Some(whole.into()),
            Err(why) => {
                self.refuse(value.span(), &format!("{OWN_STREAM}: {why}"));
                None
            }
        }
    }

    fn refuse_item<T>(&mut self, name: &str, value: &Value<'_>, found: &DeValue<'_>) -> Option<T> {
        self.refuse(value.span(), &format!("{name}: expected a string or a table, not {}", kind(found)));
        None
    }

    /// A text that a table cannot be without.
    fn required(&mut self, table: &str, name: &str, keys: &DeTable<'_>, whole: &Value<'_>) -> Option<String> {
        match keys.get(name) {
            None => self.refuse(whole.span(), &format!("{table}: {name} is missing")),
            Some(value) => match value.get_ref() {
                DeValue::String(text) if text.is_empty() => {
                    self.refuse(value.span(), &format!("{name}: it must not be empty"));
                }
                DeValue::String(text) => return Some(text.to_string()),
                other => self.refuse(value.span(), &format!("{name}: expected a string, not {}", kind(other))),
            },
        }
        None
    }
}

/// All options of a topic.
fn options() -> impl Iterator<Item = &'static str> {
    TopicConfig::limits().map(|limit| limit.name).chain([POLICY]).chain(SWITCHES)
}

/// An option of a topic as `--topic` has it; `None` for one that is turned off.
fn option(name: &str, value: &DeValue<'_>) -> Result<Option<String>, String> {
    let value = match value {
        DeValue::Boolean(false) if SWITCHES.contains(&name) => return Ok(None),
        DeValue::Boolean(true) if SWITCHES.contains(&name) => None,
        DeValue::String(text) if name == PRESENCE => Some(text.to_string()),
        other if name == PRESENCE => return Err(format!("expected true, false or \"counts\", not {}", kind(other))),
        other if SWITCHES.contains(&name) => return Err(format!("expected true or false, not {}", kind(other))),
        other => match TopicConfig::limits().find(|limit| limit.name == name) {
            Some(limit) => {
                let number = text(limit.unit.word(), other)?;
                limit.parse(&number).map_err(|error| error.to_string())?;
                Some(number)
            }
            None => Some(text("", other)?),
        },
    };
    topic_option(name, value.as_deref())?;
    Ok(Some(value.map_or_else(|| name.to_owned(), |value| format!("{name}={value}"))))
}
