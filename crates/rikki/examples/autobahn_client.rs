//! The client for the Autobahn test suite's fuzzing server: one connection for each case, on which everything comes
//! back. A tool of this project's tests (`cargo xtask autobahn`).
//!
//! ```text
//! cargo run --release --package rikki --example autobahn_client -- ws://127.0.0.1:9001 rikki
//! ```
//!
//! It takes the URL of the suite and the name for its reports, and writes to stderr which case it is at.

use std::error::Error;
use std::io::{Write as _, stderr};

use futures_util::StreamExt as _;
use rikki::client::{Builder, ConnectError};
use rikki::ws::{Compression, Config, Message};

/// Cases send messages of up to 16 MiB, and 4 MiB in 65,536 fragments.
const MAX_MESSAGE: usize = 64 << 20;
const MAX_FRAGMENTS: u32 = 1 << 17;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(suite), Some(agent)) = (arguments.next(), arguments.next()) else {
        return Err("usage: autobahn_client URL AGENT".into());
    };
    let settings = Config::default()
        // Small messages too: they are most of what the cases are about.
        .compression(Compression::dedicated().threshold(1))
        .max_message_size(MAX_MESSAGE)
        .max_fragments(MAX_FRAGMENTS);
    let connect = |resource: String| Builder::new(format!("{suite}/{resource}")).config(settings.clone());

    let cases = count(&connect("getCaseCount".to_owned())).await?;
    for case in 1..=cases {
        writeln!(stderr(), "case {case} of {cases}")?;
        if let Err(error) = echo(&connect(format!("runCase?case={case}&agent={agent}"))).await {
            writeln!(stderr(), "case {case}: {error}")?;
        }
    }
    Ok(echo(&connect(format!("updateReports?agent={agent}"))).await?)
}

/// The number of cases: the only message of its connection.
async fn count(connection: &Builder) -> Result<usize, Box<dyn Error>> {
    let (mut socket, _) = connection.connect().await?;
    match socket.next().await {
        Some(Ok(Message::Text(number))) => Ok(number.parse()?),
        other => Err(format!("the suite says {other:?} instead of how many cases there are").into()),
    }
}

/// Sends back what comes until the connection ends. How it ends is the suite's to judge: most cases break a rule.
async fn echo(connection: &Builder) -> Result<(), ConnectError> {
    let (mut socket, _) = connection.connect().await?;
    while let Some(Ok(message)) = socket.next().await {
        if socket.send(message).await.is_err() {
            break;
        }
    }
    Ok(())
}
