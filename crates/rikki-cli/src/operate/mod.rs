//! `rikki admin`: what there is to see of a server that runs, and what it is told to do.

mod exchange;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use tracing::Level;

use crate::args::{UsageError, log_filter, unix_place};
use crate::{Failure, print, tell};
use exchange::{Answer, Place};

// The help is written for 80 columns: clap wraps nothing.
/// See what a server that runs with --admin does, and tell it what to do.
#[derive(Debug, Parser)]
#[command(
    name = "rikki admin",
    bin_name = "rikki admin",
    override_usage = "rikki admin [--admin PLACE] COMMAND",
    after_help = "What changes anything takes a Unix socket. An answer is printed. Exit code: 0 if\n\
                  it was done, 1 if not, 2 for a wrong command line."
)]
pub(crate) struct AdminArgs {
    /// Where the server has it: unix:PATH, or http://HOST:PORT
    #[arg(long, value_name = "PLACE")]
    admin: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the status, as JSON
    Status,
    /// Print the metrics, as Prometheus reads them
    Metrics,
    /// Print what is known of one WebSocket, as JSON
    Connection { id: u64 },
    /// Close one WebSocket, with 1008 or this code
    Close { id: u64, code: Option<u16> },
    /// Let the server end, or let nobody in at one endpoint
    Drain { endpoint: Option<String> },
    /// Let them in again there
    Undrain { endpoint: String },
    /// Let other lines into the log, until settings are read again
    Log {
        #[arg(value_parser = log_filter)]
        filter: String,
    },
    /// Read the settings again, as SIGHUP does
    Reload,
}

/// Asks, and prints what was answered.
pub(crate) fn operate(args: &AdminArgs) -> Result<ExitCode, Failure> {
    let place = args.admin.clone().or_else(|| std::env::var("RIKKI_ADMIN").ok().filter(|place| !place.is_empty()));
    let place = place.ok_or_else(|| {
        UsageError("where the server is to be looked into: write --admin PLACE, or set RIKKI_ADMIN".to_owned())
    })?;
    let place = match unix_place(&place) {
        Some(path) => Place::Unix(path.into()),
        None => Place::tcp(&place).map_err(UsageError)?,
    };
    let answer = match &args.command {
        Command::Status => place.get("/status"),
        Command::Metrics => place.get("/metrics"),
        Command::Connection { id } => place.get(&format!("/status/connections/{id}")),
        Command::Close { id, code } => place.post("close", &format!("{id} {}", code.unwrap_or(CLOSE_CODE))),
        Command::Drain { endpoint } => place.post("drain", endpoint.as_deref().unwrap_or_default()),
        Command::Undrain { endpoint } => place.post("undrain", endpoint),
        Command::Log { filter } => place.post("log", filter),
        Command::Reload => place.post("reload", ""),
    };
    let Answer { status, text } = answer.map_err(|error| Failure::Runtime(format!("{place}: {error}")))?;
    if status == 200 {
        print(&if text.ends_with('\n') { text } else { text + "\n" });
        return Ok(ExitCode::SUCCESS);
    }
    tell(Level::ERROR, &format!("{} ({status})", text.trim_end()));
    Ok(ExitCode::FAILURE)
}

/// Who is closed by an operator is not to come back by itself.
const CLOSE_CODE: u16 = 1008;
