//! The help: what most people need on one screen, and all of it.

use clap::builder::Resettable;
use clap::{Arg, ArgAction, Command};

/// How wide a screen is, in columns, and where what is said of a flag begins.
const WIDTH: usize = 80;
const INDENT: usize = 10;

/// The flag that asks for the short help.
pub(super) const SHORT: &str = "short-help";

pub(super) const USAGE: &str = "rikki [OPTIONS] [ROOT]\n       rikki check [OPTIONS] [ROOT]\n       rikki connect [OPTIONS] URL\n       rikki health [OPTIONS] URL\n       rikki admin [--admin PLACE] COMMAND";

pub(super) const AFTER: &str = "\
SIZE is a number of bytes, or of B, KiB, MiB, GiB, KB, MB or GB, as in 64KiB.
DUR is a number of ms, s, m or h, as in 30s.
OPTION is history=N, age=DUR, bytes=SIZE, last, keys, presence,
presence=counts, publish or policy=gap|latest|close; /rooms/* is all below.
--listen, --allow-host, --trust, --cert with --key, --acme, --subprotocol,
--allow-origin, --topic, --broadcast, --mount, --type and --header may be
repeated.
A variable RIKKI_MAX_MESSAGE sets --max-message, and so on for each flag; a
flag counts before a variable, and that before the file of --config, where
max-message = \"2MiB\" does so.
SIGHUP has all of them read again, and connections stay.
The spelling -url URL -cert FILE -key FILE -ca FILE works too.
Whether settings are good is told by rikki check (see rikki check --help).
A client is rikki connect (see rikki connect --help). Scripts ask rikki health
whether a server answers; rikki admin looks into one that runs with --admin.
rikki man prints a page of the manual, rikki completions SHELL what a shell
completes by.";

pub(super) const AFTER_CHECK: &str = "\
The flags are those of rikki (see rikki --help). Nothing listens; files that
are named, such as keys, are read, and folders opened. Exit code: 0 if the
server could start but for its ports, 2 with a line for each fault if not.
--print writes a line for each setting, with where it comes from. No key is
ever shown, only the path of its file.";

/// What most people need, for a screen of 24 lines.
pub(super) fn short() -> String {
    "\
Serve a folder, WebSockets and topics: rikki [OPTIONS] [ROOT]
A WebSocket client in the terminal:    rikki connect [OPTIONS] URL
  -p, --port N             Port to listen on [default: 8000]
      --listen PLACE       PORT, HOST:PORT, a URL or unix:PATH; repeatable
      --lan                Let phones and others on the local network in
      --tls-self-signed    Use https with a certificate made now; =DIR keeps it
      --cert FILE          Use https with this certificate and its --key FILE
      --dev                Help with a page under construction: see what happens
      --show-messages      Show each message of WebSockets
  -q, --quiet              Show no requests
      --websocket PATH     Where the echo is [default: /websocket]
      --topic PATH,publish Pass on what is sent to PATH to all who listen there
      --allow-origin URL   Let pages of another site open WebSockets
      --mount PATH=FOLDER  Serve one more folder at PATH
      --spa                Answer pages that are not found with index.html
      --config FILE        Take settings from a TOML file; rikki check judges it
      --help, --version    Print all flags, or the version
Examples:
  rikki www                             the folder www on http://localhost:8000
  rikki --lan                           this folder for phones, with a QR code
  rikki --lan --tls-self-signed=certs   the same with https
  rikki --dev --topic /chat,publish     a chat for a page under construction
  rikki connect ws://localhost:8000/websocket
"
    .to_owned()
}

/// The command with `-h` for the short help, and `--help` for all.
pub(super) fn with_short(command: Command) -> Command {
    let short = Arg::new(SHORT).short('h').action(ArgAction::SetTrue).help("Print the help in short");
    let all = Arg::new("help").long("help").action(ArgAction::Help).help("Print all of the help");
    let reset = || Resettable::<clap::builder::Str>::Reset;
    command.disable_help_flag(true).arg(short.help_heading(reset())).arg(all.help_heading(reset()))
}

/// Lays out what is said of each flag for 80 columns: clap wraps nothing.
pub(super) fn wrapped(command: Command) -> Command {
    command.next_line_help(true).mut_args(|arg| {
        let mut text = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() {
            text += &format!(" [default: {}]", defaults.join(", "));
        }
        let is_told = !defaults.is_empty();
        let arg = arg.help(lines(&text));
        if is_told { arg.hide_default_value(true) } else { arg }
    })
}

fn lines(text: &str) -> String {
    // A default stays in one piece.
    let text = text.replace("[default: ", "[default:\u{a0}").replace('`', "");
    let mut wrapped = String::new();
    let mut column = 0;
    for word in text.split([' ', '\n']).filter(|word| !word.is_empty()) {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH - INDENT {
            wrapped.push('\n');
            column = 0;
        }
        if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped += word;
        column += length;
    }
    wrapped.replace('\u{a0}', " ")
}
