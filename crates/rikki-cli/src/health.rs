//! `rikki health`: whether a server answers, for scripts and containers.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rikki::client::{Builder, ClientTls, ConnectError};
use rikki_limits::Excerpt;
use rikki_limits::units;

use crate::args::UsageError;
#[cfg(unix)]
use crate::args::unix_place;
use crate::{Failure, print, tell};

/// What is asked where the URL has no path.
const READY: &str = "/readyz";

// The help is written for 80 columns: clap wraps nothing.
/// Tell whether a server answers: exit code 0 if it does, or else 1.
#[derive(Debug, Parser)]
#[command(
    name = "rikki health",
    bin_name = "rikki health",
    override_usage = "rikki health [OPTIONS] URL",
    after_help = "URL has http, https, ws or wss, or is unix:PATH, as --admin has it. What is\n\
                  asked is its path, or /readyz. Good is a status from 200 to 299, or 101 for\n\
                  a WebSocket. Exit code: 0 for good, 1 for bad, 2 for a wrong command line."
)]
pub(crate) struct HealthArgs {
    /// http://HOST:PORT[/PATH], or unix:PATH
    #[arg(value_name = "URL")]
    url: String,
    /// What is asked instead of the path of the URL
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// Longest wait for the answer
    #[arg(long, value_name = "DUR", default_value = "5s", value_parser = units::duration)]
    timeout: Duration,
    /// Authorities to trust instead of the system's, PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<std::path::PathBuf>,
    /// Check no certificate
    #[arg(short = 'k', long, conflicts_with = "ca")]
    insecure: bool,
}

/// Asks, and says what came of it.
pub(crate) fn health(args: &HealthArgs) -> Result<ExitCode, Failure> {
    let builder = asking(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    // A WebSocket is asked for: whatever answers has answered, and one that is opened is closed with the process.
    let answer = runtime.block_on(async { tokio::time::timeout(args.timeout, builder.connect()).await });
    runtime.shutdown_background();
    let told = match answer {
        Ok(Ok(_)) => Ok("101".to_owned()),
        Ok(Err(ConnectError::Refused(response))) => {
            let (status, text) = (response.status(), Excerpt::of(response.body().trim_ascii()));
            let told = format!("{} {text}", status.as_str());
            if status.is_success() { Ok(told) } else { Err(told) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {:?}", args.timeout)),
    };
    Ok(match told {
        Ok(told) => {
            print(&format!("{}\n", told.trim_end()));
            ExitCode::SUCCESS
        }
        Err(why) => {
            tell(why.trim_end());
            ExitCode::FAILURE
        }
    })
}

fn asking(args: &HealthArgs) -> Result<Builder, Failure> {
    let timeout = args.timeout;
    #[cfg(unix)]
    if let Some(path) = unix_place(&args.url) {
        let url = format!("ws://localhost{}", args.path.as_deref().unwrap_or(READY));
        return Ok(Builder::new(&url).unix_socket(path).connect_timeout(timeout));
    }
    let Some((scheme, rest)) = args.url.split_once("://") else {
        return Err(UsageError(format!("{} is no URL: write http://HOST:PORT or unix:PATH", args.url)).into());
    };
    let scheme = match &*scheme.to_ascii_lowercase() {
        "http" | "ws" => "ws",
        "https" | "wss" => "wss",
        _ => return Err(UsageError(format!("{scheme} is no scheme for this: write http or https")).into()),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = args.path.as_deref().unwrap_or(if path.is_empty() { READY } else { path });
    let builder = Builder::new(format!("{scheme}://{authority}{path}")).connect_timeout(timeout);
    Ok(match (&args.ca, args.insecure) {
        _ if scheme == "ws" => builder,
        (Some(ca), _) => builder.tls(ClientTls::ca(ca)?),
        (None, true) => builder.tls(ClientTls::insecure()?),
        (None, false) => builder,
    })
}
