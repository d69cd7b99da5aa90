//! The load generator: makes a server work, checks every answer, and says in one line of JSON what it cost.
//!
//! It speaks to loopback only and ends by itself. Starting servers, pinning to cores and repeating is left to
//! `cargo xtask bench`.

mod apps;
mod args;
mod connect;
mod connection;
mod deflate;
mod exchange;
mod frame;
mod idle;
mod listener;
mod meter;
mod pause;
mod talk;
mod tls;

use std::process::ExitCode;

use serde_json::Value;

use crate::args::{Args, Mode};

/// What went wrong, in a sentence.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let args = Args::read(std::env::args()).unwrap_or_else(|error| error.exit());
    match perform(&args) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn perform(args: &Args) -> Result<Value> {
    match args.mode {
        Mode::Echo | Mode::Push | Mode::Raw | Mode::Http => talk::run(args),
        Mode::Connect | Mode::Handshake => connect::run(args),
        Mode::Idle => idle::run(args),
        Mode::Chat => apps::chat(args),
        Mode::Ticker => apps::ticker(args),
    }
}
