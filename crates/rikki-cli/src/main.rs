//! The `rikki` command: a WebSocket echo, a JSON endpoint and static files on one port, and a WebSocket client.

mod advice;
mod args;
mod banner;
#[cfg(feature = "nats")]
mod broker;
mod check;
mod config;
mod connect;
mod descriptors;
mod folders;
mod follow;
mod health;
mod hints;
mod inside;
mod json_lines;
mod lines;
mod log;
mod network;
mod operate;
mod origin;
#[cfg(unix)]
mod passed;
#[cfg(not(unix))]
#[path = "unpassed.rs"]
mod passed;
mod qr;
mod recent;
mod reload;
mod routes;
mod secret;
mod serve;
mod settings;
mod topics;
mod tutorial;

use std::io::Write as _;
use std::process::ExitCode;

use tracing::Level;

use args::UsageError;
use settings::Settings;

/// The default allocator of most systems keeps more for each idle connection. Without huge pages, with which what waits
/// for slow peers takes twice its size.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why the command ends without having served or connected.
enum Failure {
    /// The command line is wrong.
    Usage(UsageError),
    /// It is right, and cannot be carried out here.
    Runtime(String),
    /// So too, with a command line that can be copied.
    Advice { told: String, line: String },
    /// Variables, or a file of settings, are wrong: a line for each fault.
    Settings(Vec<String>),
}

fn main() -> ExitCode {
    lines::look_at_clock();
    match run() {
        Ok(code) => code,
        Err(failure) => {
            let line = failure.line().map(str::to_owned);
            let (code, lines) = failure.lines();
            lines.iter().for_each(|line| tell(Level::ERROR, line));
            match line {
                Some(line) if json_lines::are_wanted() => tell(Level::ERROR, &line),
                Some(line) => _ = writeln!(std::io::stderr(), "    {}", config::plain(&line)),
                None => {}
            }
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    // First of all, since it takes descriptors by their numbers.
    let passed = passed::Passed::take();
    match args::read(std::env::args_os(), std::env::vars_os())? {
        args::Request::Print(text) => print(&text),
        args::Request::Check(args, print) => check::check(*args, print)?,
        args::Request::Run(args) => {
            json_lines::set_format(args.log_format);
            args.origins.warnings.iter().for_each(|line| tell(Level::WARN, line));
            let mut settings = Settings::from_args(*args)?;
            if let Some(lowered) = descriptors::share_out(&mut settings) {
                tell(Level::WARN, &lowered);
            }
            serve::serve(settings, passed)?;
        }
        args::Request::Connect(args) => return connect::connect(&args),
        args::Request::Health(args) => return health::health(&args),
        args::Request::Admin(args) => return operate::operate(&args),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a line to stderr, where a path may have any letter; nobody is left to tell if that is closed too.
fn tell(level: Level, text: &str) {
    let text = config::plain(text);
    let line = match json_lines::are_wanted() {
        true => json_lines::line(level, "rikki", &text, |_| ()),
        false => format!("rikki: {text}\n"),
    };
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Writes to stdout, which may be closed: `println!` would panic.
fn print(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

impl Failure {
    /// What to type instead.
    fn line(&self) -> Option<&str> {
        match self {
            Self::Advice { line, .. } => Some(line),
            _ => None,
        }
    }

    /// The exit code, and what there is to say.
    fn lines(self) -> (u8, Vec<String>) {
        match self {
            Self::Usage(error) => (2, vec![error.to_string()]),
            Self::Runtime(error) | Self::Advice { told: error, .. } => (1, vec![error]),
            Self::Settings(lines) => (2, lines),
        }
    }
}

impl From<Vec<UsageError>> for Failure {
    /// One by itself may be a slip on the command line, for which the help is offered.
    fn from(mut errors: Vec<UsageError>) -> Self {
        match (errors.pop(), errors.is_empty()) {
            (Some(error), true) => Self::Usage(error),
            (last, _) => Self::Settings(errors.into_iter().chain(last).map(|UsageError(text)| text).collect()),
        }
    }
}

impl From<UsageError> for Failure {
    fn from(error: UsageError) -> Self {
        Self::Usage(error)
    }
}
