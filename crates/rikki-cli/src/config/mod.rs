//! Where settings come from: flags, `RIKKI_*` variables, a file and defaults, in this order of weight.
//!
//! All of them are read by the parsers of the flags: each value by itself, so that each that is wrong is told with its
//! place, and then what counts as one command line. What values mean together is judged there and by `settings`.

mod file;
mod print;
mod tables;
#[cfg(test)]
mod tests;
mod variables;

use std::error::Error as _;
use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, Id};

use crate::args::{Args, EndpointArg, ListenArg, MountArg, UsageError, one_line};

pub(crate) use print::print;

/// The positional argument, which has no long flag.
const ROOT: &str = "root";

/// The flag that names the file, and no key of it.
pub(crate) const CONFIG: &str = "config";

/// A setting that is not a default.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    /// The name of its flag, without the dashes.
    name: String,
    /// What its flag would be given, once for each value; `true` or `false` for a switch.
    values: Vec<OsString>,
    /// What a file has in the place of these, since no flag can say it.
    tables: Tables,
    source: Source,
}

/// The flag that a variable of others gives too.
const PORT: &str = "port";

/// What was written in tables.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tables {
    mounts: Vec<MountArg>,
    endpoints: Vec<EndpointArg>,
    listeners: Vec<ListenArg>,
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Flag,
    /// The name of a variable.
    Variable(String),
    /// A file and the line in it.
    File(String, usize),
}

/// What was set, and by whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Origins {
    /// Each setting once: that which counts.
    settings: Vec<Setting>,
    /// What is odd and no error, in a line each.
    pub(crate) warnings: Vec<String>,
}

/// What counts of the flags of a command line, of the variables and of the file that either names. Each line of the
/// error tells of a value.
pub(crate) fn gather(
    flags: &Command,
    given: &ArgMatches,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Origins, Vec<String>> {
    let mut errors = Vec::new();
    let variables: Vec<_> = variables.into_iter().collect();
    let port = variables.iter().find(|(name, value)| name == variables::PORT && !value.is_empty());
    let port = port.map(|(_, value)| value.clone());
    let mut origins = Origins { settings: of_command_line(flags, given), warnings: Vec::new() };
    let set = variables::read(flags, variables, &mut errors, &mut origins.warnings);
    origins.settings.extend(set);
    let config = origins.settings.iter().find(|setting| setting.name == CONFIG);
    if let Some(path) = config.and_then(|config| config.values.first()).cloned() {
        match file::read(flags, Path::new(&path)) {
            Ok(settings) => origins.settings.extend(settings),
            Err(lines) => errors.extend(lines),
        }
    }
    let names_listener =
        |setting: &Setting| [tables::LISTEN, PORT].contains(&&*setting.name) && !setting.values.is_empty();
    if !origins.settings.iter().any(names_listener)
        && let Some(port) = port
    {
        match variables::port(&port) {
            Ok(setting) => origins.settings.insert(0, setting),
            Err(why) => errors.push(why),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut seen: Vec<String> = vec![CONFIG.to_owned()];
    origins.settings.retain(|setting| {
        let is_new = !seen.contains(&setting.name);
        seen.push(setting.name.clone());
        is_new
    });
    Ok(origins)
}

/// The flags, each by itself: what they need of each other or exclude is judged when all of them are known.
pub(crate) fn apart(command: Command) -> Command {
    command.mut_args(|arg| {
        let none = || Resettable::<Id>::Reset;
        arg.requires(none()).conflicts_with(none()).group(none())
    })
}

impl Origins {
    /// What counts as one command line, the program's name first.
    pub(crate) fn command_line(&self, flags: &Command) -> Vec<OsString> {
        let mut line = vec!["rikki".into()];
        let mut root = None;
        for Setting { name, values, .. } in &self.settings {
            let is_switch = find(flags, name).is_some_and(is_switch);
            match values.as_slice() {
                [value] if name == ROOT => root = Some(value.clone()),
                [value] if is_switch && value == "true" => line.push(format!("--{name}").into()),
                _ if is_switch => {}
                values => line.extend(values.iter().map(|value| joined(name, value))),
            }
        }
        line.extend(root.into_iter().flat_map(|root| ["--".into(), root]));
        line
    }

    /// Adds what only a file can say, where it is its word that counts.
    pub(crate) fn add_tables(&self, args: &mut Args) {
        for Setting { tables, .. } in &self.settings {
            args.files.mounts.extend_from_slice(&tables.mounts);
            args.endpoints.extend_from_slice(&tables.endpoints);
            args.listeners.extend_from_slice(&tables.listeners);
        }
    }

    /// Whether a variable or a file says this, and not a flag.
    pub(crate) fn has_elsewhere(&self, name: &str) -> bool {
        self.settings.iter().any(|setting| setting.name == name && setting.source != Source::Flag)
    }

    /// An error that names flags, with where those come from that are none.
    pub(crate) fn explain(&self, UsageError(text): UsageError) -> UsageError {
        let is_named = |name: &str| {
            let is_letter = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
            text.split(|letter| !is_letter(letter)).any(|word| word.strip_prefix("--") == Some(name))
        };
        let elsewhere =
            self.settings.iter().filter(|setting| setting.source != Source::Flag && is_named(&setting.name));
        let places: String = elsewhere.map(|Setting { name, source, .. }| format!("; {source} has {name}")).collect();
        UsageError(text + &places)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Variable(name) => f.write_str(name),
            Self::File(path, line) => write!(f, "{path}:{line}"),
        }
    }
}

fn of_command_line(flags: &Command, given: &ArgMatches) -> Vec<Setting> {
    let is_given = |arg: &&Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    let mut args: Vec<_> = flags.get_arguments().filter(is_given).collect();
    // In the order in which they were given, which errors keep.
    args.sort_by_key(|arg| given.index_of(arg.get_id().as_str()));
    let setting = |arg: &Arg| {
        let values = given.get_raw(arg.get_id().as_str()).into_iter().flatten().map(Into::into).collect();
        Some(Setting {
            name: key(arg)?.to_owned(),
            values: if is_switch(arg) { vec!["true".into()] } else { values },
            tables: Tables::default(),
            source: Source::Flag,
        })
    };
    args.into_iter().filter_map(setting).collect()
}

/// What an argument is called in a file; `None` for what asks for a text, such as the help.
fn key(arg: &Arg) -> Option<&str> {
    let is_setting = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append | ArgAction::SetTrue);
    is_setting.then(|| arg.get_long().unwrap_or_else(|| arg.get_id().as_str()))
}

fn find<'a>(flags: &'a Command, name: &str) -> Option<&'a Arg> {
    flags.get_arguments().find(|arg| key(arg) == Some(name))
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

/// Whether its value may be left out.
fn is_optional(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|count| count.min_values() == 0 && count.max_values() == 1)
}

fn is_repeatable(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Append)
}

/// What stands for a value in the help.
fn word(arg: &Arg) -> &str {
    arg.get_value_names().and_then(|names| names.first()).map_or("", |name| name.as_str())
}

fn joined(name: &str, value: &OsString) -> OsString {
    let mut arg = OsString::from(format!("--{name}="));
    arg.push(value);
    arg
}

/// Whether the flag can have this value, or why not, in words that do not repeat it.
fn check(arg: &Arg, value: &OsString) -> Result<(), String> {
    let value = arg.get_long().map_or_else(|| value.clone(), |name| joined(name, value));
    // Behind `--` stands what is no flag, whatever it begins with.
    let line = ["rikki".into()].into_iter().chain(arg.is_positional().then(|| "--".into())).chain([value]);
    match Command::new("rikki").arg(arg.clone()).try_get_matches_from(line) {
        Ok(_) => Ok(()),
        Err(error) => Err(reason(&error)),
    }
}

fn reason(error: &Error) -> String {
    match (error.source(), error.get(ContextKind::ValidValue)) {
        _ if error.kind() == ErrorKind::InvalidUtf8 => "not UTF-8".to_owned(),
        (Some(reason), _) => reason.to_string(),
        (None, Some(ContextValue::Strings(values))) if !values.is_empty() => format!("expected {}", values.join(", ")),
        _ if error.get(ContextKind::InvalidValue) == Some(&ContextValue::String(String::new())) => {
            "it must not be empty".to_owned()
        }
        _ => one_line(&error.render().to_string()),
    }
}

/// What somebody may have meant, as the end of a sentence.
pub(crate) fn meant<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// From 0 for what has nothing in common to 1 for what is the same.
    const ALIKE: f64 = 0.8;
    let alike = names.map(|name| (strsim::jaro(written, name), name)).filter(|(alike, _)| *alike >= ALIKE);
    alike.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, name)| name)
}

/// Fit for a terminal: in a file anything can be written.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|letter| if letter.is_control() { letter.escape_default().collect() } else { vec![letter] })
        .collect()
}
