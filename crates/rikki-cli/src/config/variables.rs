//! Settings of the environment: `RIKKI_MAX_MESSAGE` for `--max-message`.

use std::ffi::OsString;

use clap::{Arg, Command};

use rikki_limits::Excerpt;

use super::{Setting, Source, Tables, check, find, is_optional, is_repeatable, is_switch, key, meant, plain};

const PREFIX: &str = "RIKKI_";

/// The variable by which platforms tell a server its port.
pub(super) const PORT: &str = "PORT";

/// The port that this variable names: never an address.
pub(super) fn port(value: &OsString) -> Result<Setting, String> {
    let is_port = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    match value.to_str().filter(is_port) {
        Some(text) => Ok(Setting {
            name: super::PORT.to_owned(),
            values: vec![text.into()],
            tables: Tables::default(),
            source: Source::Variable(PORT.to_owned()),
        }),
        None => {
            let given = value.to_string_lossy();
            Err(format!("{PORT}: expected a port, a number from 0 to 65535, not \"{}\"", Excerpt::of(&*given)))
        }
    }
}

/// What Kubernetes sets in each container for a Service that is called rikki, for which `RIKKI_PORT` is a URL
/// (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>).
fn is_of_kubernetes(name: &str, value: &OsString) -> bool {
    let is_url = || value.to_str().is_some_and(|value| value.contains("://"));
    (name == "RIKKI_PORT" && is_url()) || name.starts_with("RIKKI_PORT_") || name.starts_with("RIKKI_SERVICE_")
}

/// The name of a flag's variable.
pub(super) fn variable(flag: &str) -> String {
    format!("{PREFIX}{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// Each setting that a variable has. An empty one is as good as none.
pub(super) fn read(
    flags: &Command,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    errors: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Vec<Setting> {
    let mut settings = Vec::new();
    let names: Vec<_> = flags.get_arguments().filter_map(key).map(|flag| (variable(flag), flag)).collect();
    let mut variables: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_str()?.to_owned(), value)))
        .filter(|(name, value)| name.starts_with(PREFIX) && !is_of_kubernetes(name, value) && !value.is_empty())
        .collect();
    variables.sort();
    for (name, value) in variables {
        let Some((_, flag)) = names.iter().find(|(known, _)| *known == name) else {
            let hint = meant(&name, names.iter().map(|(known, _)| known.as_str()));
            let hint = hint.map(|hint| format!(", did you mean {hint}?")).unwrap_or_default();
            warnings.push(plain(&format!("unknown variable {name}{hint}")));
            continue;
        };
        match find(flags, flag).map_or(Ok(Vec::new()), |arg| values(arg, value)) {
            Ok(values) => {
                let source = Source::Variable(name);
                settings.push(Setting { name: (*flag).to_owned(), values, tables: Tables::default(), source });
            }
            Err(why) => errors.push(plain(&format!("{name}: {why}"))),
        }
    }
    settings
}

/// The values of a variable: that of a flag that may be repeated has one in each line.
fn values(arg: &Arg, value: OsString) -> Result<Vec<OsString>, String> {
    if is_switch(arg) {
        return match value.to_str() {
            Some("true" | "false") => Ok(vec![value]),
            _ => Err("expected true or false".to_owned()),
        };
    }
    let values = match value.to_str() {
        Some("false") if is_optional(arg) => Vec::new(),
        Some(text) if is_repeatable(arg) => text.lines().filter(|line| !line.is_empty()).map(OsString::from).collect(),
        _ => vec![value],
    };
    values.iter().try_for_each(|value| check(arg, value))?;
    Ok(values)
}
