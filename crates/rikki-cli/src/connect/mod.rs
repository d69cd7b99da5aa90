//! `rikki connect URL`: a WebSocket in the terminal. Lines of stdin are sent, messages are printed to stdout, and
//! everything else is a line on stderr. Where people type and read, an editor makes the lines, and everything is shown
//! above the one being typed.
//!
//! The connection is the library's client (`request`, `link`: one, or one after the other). Stdin and stdout have a
//! thread each (`input`, `output`), and one future moves messages between them and the connection (`session`). The
//! `editor` knows no terminal, and `terminal` no line.

mod args;
mod command;
mod controls;
#[cfg(unix)]
mod editor;
mod exec;
mod input;
mod json;
mod lines;
mod link;
mod logged;
mod output;
mod request;
mod requests;
#[cfg(unix)]
mod screen;
mod session;
mod shown;
mod signals;
#[cfg(unix)]
mod terminal;

use std::fs::File;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use rikki::client::{ConnectError, HandshakeError};
use rikki::ws::Message;
use tokio::time::timeout;
use tracing::Level;

use crate::args::UsageError;
use crate::{Failure, log, tell};
use controls::Controls;
use exec::Exec;
use input::{Form, Input};
use lines::Lines;
use link::Link;
use logged::Logged;
use output::Output;
use request::Request;
use requests::Requests;
use session::{Parts, Session, Terms};
use shown::{Look, Style};
use signals::{Asked, Signals};

pub(crate) use args::ConnectArgs;

/// How long messages that have to come are waited for, unless it is said.
const WAIT: Duration = Duration::from_secs(10);

/// Where what is said goes.
#[derive(Clone, Copy, PartialEq)]
enum Reports {
    Stderr,
    /// Above the line being typed.
    Screen,
}

/// Connects, and talks until the connection ends.
pub(crate) fn connect(args: &ConnectArgs) -> Result<ExitCode, Failure> {
    let reports = reports(args);
    let (writer, logged) = logged::logged();
    let log = match reports {
        Reports::Screen => log::start_on(&args.log, writer),
        Reports::Stderr => log::start(&args.log),
    };
    let _log = log.map_err(unable)?;
    let request = request::request(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unable)?;
    let ended = runtime.block_on(talk(request, args, reports, logged));
    // A host name that is still being looked up is not waited for.
    runtime.shutdown_background();
    ended
}

async fn talk(mut request: Request, args: &ConnectArgs, reports: Reports, logged: Logged) -> Result<ExitCode, Failure> {
    let is_edited = is_edited(args);
    // Before signals no longer end the process: a named pipe is opened when somebody reads from it.
    let output = output(args, is_edited)?;
    let mut signals = Signals::new(is_edited).map_err(unable)?;
    let mut controls = Controls::default();
    if args.show_pings {
        (controls, request.builder) = Controls::of(request.builder);
    }
    #[cfg(unix)]
    let terminal = if is_edited { Some(terminal::Raw::enter().map_err(unable)?) } else { None };
    let parts = Parts {
        link: Link::new(&request, args.reconnect),
        input: input(args, is_edited).map_err(unable)?,
        output,
        reports,
        logged,
        exec: args.exec.as_ref().map(|command| Exec::new(command, args.exec_timeout, reports)),
        controls,
        requests: Requests::new(args.max_message),
    };
    let mut session = Session::new(parts, terms(args, is_edited));
    #[cfg(unix)]
    if terminal.is_some() {
        session.output.push(terminal::BEGIN.as_bytes());
    }
    let ended = loop {
        let asked = tokio::select! {
            all_well = session.run() => break all_well.map(code),
            asked = signals.next() => asked,
        };
        match asked {
            Asked::End(code) => {
                if session.was_connected() {
                    interrupt(&mut session, &mut signals, args.close_timeout).await;
                }
                break Ok(code);
            }
            #[cfg(unix)]
            asked => session.obey_terminal(&asked, terminal.as_ref()).await,
            #[cfg(not(unix))]
            _ => {}
        }
    };
    #[cfg(unix)]
    if terminal.is_some() {
        session.leave_screen().await;
    } else if reads_stdin(args, is_edited) {
        terminal::forget_typed();
    }
    ended
}

fn code(all_well: bool) -> ExitCode {
    if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is said goes to the screen where lines are edited, unless stderr is somewhere else.
fn reports(args: &ConnectArgs) -> Reports {
    let is_on_screen = is_edited(args) && io::IsTerminal::is_terminal(&io::stderr());
    if is_on_screen { Reports::Screen } else { Reports::Stderr }
}

/// Closes, and waits for the end; whoever asks twice does not want to.
async fn interrupt(session: &mut Session, signals: &mut Signals, close_timeout: Duration) {
    session.interrupt();
    let end = async {
        match timeout(SOON, session.run()).await {
            Ok(ended) => return ended,
            Err(_) => session.say("waiting for the server to close; once more ends at once"),
        }
        timeout(close_timeout.saturating_sub(SOON), session.run()).await.unwrap_or(Ok(false))
    };
    tokio::select! {
        ended = end => if let Err(failure) = ended {
            failure.lines().1.iter().for_each(|line| session.say(line));
        },
        _ = signals.end() => {}
    }
}

/// A wait that is longer needs an explanation.
const SOON: Duration = Duration::from_millis(500);

/// Whether an editor makes the lines: not where all that is to be sent is in the command line, unless it stays after
/// that.
fn is_edited(args: &ConnectArgs) -> bool {
    #[cfg(unix)]
    return terminal::is_for_people() && !args.binary && reads_stdin(args, true);
    #[cfg(not(unix))]
    return false;
}

fn reads_stdin(args: &ConnectArgs, is_for_people: bool) -> bool {
    args.send.is_empty() || (args.keep_open && is_for_people)
}

fn terms(args: &ConnectArgs, is_edited: bool) -> Terms {
    let usual = if args.messages.is_some() && !is_edited { WAIT } else { Duration::ZERO };
    let wait = if args.keep_open && !is_edited { None } else { Some(args.wait.unwrap_or(usual)) };
    Terms { wait, messages: args.messages, close_timeout: args.close_timeout }
}

fn output(args: &ConnectArgs, is_edited: bool) -> Result<Output, Failure> {
    let is_terminal = io::IsTerminal::is_terminal(&io::stdout());
    let style = match (args.binary, is_terminal) {
        (true, _) => Style::Bytes,
        (false, true) => Style::Terminal,
        (false, false) => Style::Lines,
    };
    let colours = is_edited && log::wants_colours();
    let look = Look { style, json: args.json, time: args.time, marks: is_edited, colours };
    let file = match &args.output {
        Some(path) => {
            let file = File::create(path);
            let file =
                file.map_err(|error| Failure::Runtime(format!("cannot write to {}: {error}", path.display())))?;
            Some((path.clone(), file))
        }
        None => None,
    };
    Output::start(look, file, is_edited).map_err(unable)
}

fn input(args: &ConnectArgs, is_edited: bool) -> io::Result<Input> {
    let given = args.send.iter().map(|text| match args.binary {
        true => Message::from(text.clone().into_bytes()),
        false => Message::from(text.clone()),
    });
    let form = match (args.binary, is_edited) {
        _ if !reads_stdin(args, is_edited) => None,
        #[cfg(unix)]
        (_, true) => Some(Form::keys(editor(args))),
        (true, _) => Some(Form::Bytes),
        (false, _) => Some(Form::Lines(Lines::new(args.max_message))),
    };
    Input::start(given.collect(), form, args.max_message)
}

#[cfg(unix)]
fn editor(args: &ConnectArgs) -> editor::Editor {
    let path = editor::path(|name| std::env::var_os(name).map(Into::into)).filter(|_| !args.no_history);
    let (history, error) = path.as_ref().map_or_else(Default::default, |path| editor::History::load(path.clone()));
    if let (Some(error), Some(path)) = (error, path) {
        note(&format!("lines are not kept in {}: {error}", path.display()));
    }
    editor::Editor::new(history, args.max_message, terminal::columns(), log::wants_colours())
}

/// One line on stderr, which may quote the server.
fn note(text: &str) {
    tell(Level::WARN, &shown::line(text));
}

fn unable(error: io::Error) -> Failure {
    Failure::Runtime(error.to_string())
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let mut text = shown::line(&error.to_string());
        if error.is_untrusted() {
            text += ": name its authority with --ca FILE, or check nothing with --insecure (-k)";
        }
        match error {
            ConnectError::BadUrl { .. }
            | ConnectError::BadHeader { .. }
            | ConnectError::BadProxy { .. }
            | ConnectError::Handshake(HandshakeError::Uri | HandshakeError::ReservedHeader(_)) => {
                Self::Usage(UsageError(text))
            }
            _ => Self::Runtime(text),
        }
    }
}
