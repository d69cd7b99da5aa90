//! `rikki connect URL`: a WebSocket in the terminal. Lines of stdin are sent, messages are printed to stdout, and
//! everything else is a line on stderr.
//!
//! The connection is the library's client (`link`: one, or one after the other). Stdin and stdout have a thread each
//! (`input`, `output`), and one future moves messages between them and the connection (`session`).

mod args;
mod input;
mod lines;
mod link;
mod output;
mod session;
mod shown;
mod signals;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use rikki::client::{Builder, ClientTls, ConnectError, HandshakeError};
use rikki::ws::{Compression, Config};
use tokio::time::timeout;

use crate::args::{CompressionMode, UsageError};
use crate::settings::is_secure;
use crate::{Failure, log, tell};
use input::Input;
use link::Link;
use output::Output;
use session::Session;
use signals::Signals;

pub(crate) use args::ConnectArgs;

/// Connects, and talks until the connection ends.
pub(crate) fn connect(args: &ConnectArgs) -> Result<ExitCode, Failure> {
    let _log = log::start(&args.log).map_err(unable)?;
    let builder = configure(args)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unable)?;
    let ended = runtime.block_on(talk(&builder, args));
    // A host name that is still being looked up is not waited for.
    runtime.shutdown_background();
    ended
}

fn configure(args: &ConnectArgs) -> Result<Builder, Failure> {
    let compression = match args.compression {
        CompressionMode::Shared => Some(Compression::shared()),
        CompressionMode::Dedicated => Some(Compression::dedicated()),
        CompressionMode::Off => None,
    };
    let config = Config::default()
        .compression(compression)
        .max_message_size(args.max_message)
        .ping_interval(args.ping)
        // The session has its own, unless what comes after the end is another connection.
        .close_timeout(if args.reconnect { args.close_timeout } else { Duration::MAX });
    let mut builder = Builder::new(&args.url)
        .protocols(args.subprotocols.iter().map(String::as_str))
        .config(config)
        .connect_timeout(args.connect_timeout);
    for (name, value) in &args.headers {
        builder = builder.header(name, value);
    }
    builder = match &args.proxy {
        Some(proxy) => builder.proxy(proxy),
        None => builder.proxy_from_env(),
    };
    #[cfg(unix)]
    if let Some(path) = &args.unix_socket {
        builder = builder.unix_socket(path);
    }
    Ok(match tls(args)? {
        Some(tls) => builder.tls(tls),
        None => builder,
    })
}

/// Whom to trust and how to identify, if it is not the default.
fn tls(args: &ConnectArgs) -> Result<Option<ClientTls>, Failure> {
    if args.ca.is_none() && args.cert.is_none() {
        return Ok(None);
    }
    // Refused, for whoever gives a certificate takes the connection to be encrypted.
    if !is_secure(&args.url) {
        return Err(UsageError(format!("--ca and --cert need a wss URL, not {}", args.url)).into());
    }
    let tls = match &args.ca {
        Some(ca) => ClientTls::ca(ca)?,
        None => ClientTls::system()?,
    };
    match (&args.cert, &args.key) {
        (Some(certificate), Some(key)) => Ok(Some(tls.certificate(certificate, key)?)),
        _ => Ok(Some(tls)),
    }
}

async fn talk(builder: &Builder, args: &ConnectArgs) -> Result<ExitCode, Failure> {
    let mut signals = Signals::new().map_err(unable)?;
    let link = tokio::select! {
        connected = Link::open(builder, args) => connected?,
        code = signals.next() => return Ok(code),
    };
    let input = Input::start(args.binary, args.max_message).map_err(unable)?;
    let output = Output::start(args.binary).map_err(unable)?;
    let mut session = Session::new(link, input, output, args.close_timeout);
    let code = tokio::select! {
        all_well = session.run() => return Ok(if all_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
        code = signals.next() => code,
    };
    session.interrupt();
    let end = async {
        if timeout(SOON, session.run()).await.is_err() {
            note("waiting for the server to close; once more ends at once");
            let _ = timeout(args.close_timeout.saturating_sub(SOON), session.run()).await;
        }
    };
    // Who asks twice does not want to wait.
    tokio::select! {
        () = end => {}
        _ = signals.next() => {}
    }
    Ok(code)
}

/// A wait that is longer needs an explanation.
const SOON: Duration = Duration::from_millis(500);

/// One line on stderr, which may quote the server.
fn note(text: &str) {
    tell(&shown::line(text));
}

fn unable(error: io::Error) -> Failure {
    Failure::Runtime(error.to_string())
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let text = shown::line(&error.to_string());
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
