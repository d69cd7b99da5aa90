//! What packages have beside the program: pages of the manual, and completions for shells. Both are made of the flags.

use std::ffi::OsString;
use std::io;

use clap::{Command, CommandFactory as _, Parser};
use clap_complete::Shell;
use clap_mangen::Man;

use super::errors::shown;
use super::{AdminArgs, ConnectArgs, HealthArgs, Request, UsageError, check_command, command};

/// A command beside the server: what it is called, its page, and its flags.
type Beside = (&'static str, &'static str, fn() -> Command);

const COMMANDS: [Beside; 4] = [
    ("admin", "rikki-admin", AdminArgs::command),
    ("check", "rikki-check", check_command),
    ("connect", "rikki-connect", ConnectArgs::command),
    ("health", "rikki-health", HealthArgs::command),
];

/// Print a page of the manual: that of rikki, or of one of its commands.
#[derive(Debug, Parser)]
#[command(name = "rikki man", bin_name = "rikki man")]
struct ManArgs {
    /// The command
    #[arg(value_parser = COMMANDS.map(|(name, ..)| name))]
    command: Option<String>,
}

/// Print what a shell completes rikki by.
#[derive(Debug, Parser)]
#[command(name = "rikki completions", bin_name = "rikki completions")]
struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// `rikki man`, with what follows it.
pub(super) fn man(args: impl IntoIterator<Item = OsString>) -> Result<Request, UsageError> {
    let ManArgs { command } = match ManArgs::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => return shown(&error),
    };
    let asked = command.and_then(|asked| COMMANDS.into_iter().find(|(name, ..)| *name == asked));
    let page = match asked {
        None => page(whole()),
        Some((_, title, of_command)) => page(of_command().name(title)),
    };
    page.map(Request::Print).map_err(|error| UsageError(error.to_string()))
}

/// `rikki completions`, with what follows it.
pub(super) fn completions(args: impl IntoIterator<Item = OsString>) -> Result<Request, UsageError> {
    let CompletionArgs { shell } = match CompletionArgs::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => return shown(&error),
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut whole(), "rikki", &mut script);
    Ok(Request::Print(String::from_utf8_lossy(&script).into_owned()))
}

/// The server's flags, and the commands, which are no subcommands of clap.
fn whole() -> Command {
    command().subcommands(COMMANDS.map(|(name, _, of_command)| of_command().name(name)))
}

/// A page, whose synopsis is short: the flags are many.
fn page(command: Command) -> io::Result<String> {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines().map(|line| line.trim().replace('-', "\\-"));
    let synopsis = usage.collect::<Vec<_>>().join("\n.br\n");
    let pages = COMMANDS.iter().map(|(_, title, _)| *title);
    let others: Vec<_> = ["rikki"].into_iter().chain(pages).filter(|page| *page != command.get_name()).collect();
    let others = others.join("(1), ").replace('-', "\\-");
    let man = Man::new(command).manual("rikki").source(concat!("rikki ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    page.extend(format!(".SH SYNOPSIS\n{synopsis}\n").into_bytes());
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_extra_section(&mut page)?;
    page.extend(format!(".SH SEE ALSO\n{others}(1)\n").into_bytes());
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn printed(line: &str) -> String {
        match parse(line.split(' ').map(Into::into)) {
            Ok(Request::Print(text)) => text,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// What there is, as a shell and a page write it.
    #[test]
    fn every_flag_is_on_its_page_and_completed() {
        let pages = COMMANDS.map(|(name, _, of_command)| (of_command(), printed(&format!("rikki man {name}"))));
        let pages = [(command(), printed("rikki man"))].into_iter().chain(pages);
        let shells = ["bash", "zsh", "fish", "elvish", "powershell"].map(|shell| {
            let script = printed(&format!("rikki completions {shell}"));
            assert!(script.contains("connect") && script.contains("check"), "{shell}");
            script
        });
        for (command, page) in pages {
            assert!(page.contains("\n.SH SEE ALSO\nrikki"), "{page}");
            for flag in command.get_arguments().filter_map(|arg| arg.get_long()) {
                assert!(page.contains(&format!("\\-\\-{}", flag.replace('-', "\\-"))), "{flag} has no line");
                for script in &shells {
                    assert!(script.contains(flag), "{flag} is not completed");
                }
            }
        }
        assert!(parse(["rikki", "man", "nonsense"].map(Into::into)).is_err());
        assert!(parse(["rikki", "completions"].map(Into::into)).is_err());
    }
}
