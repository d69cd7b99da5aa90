//! Floods over TLS: of HTTP/2, and of handshakes.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::files::READ;
use super::{Addresses, Done};
use crate::Result;
use crate::http2::{CANCEL, END_HEADERS, END_STREAM, Http2, Kind, fields, fields_for, frame};

/// SETTINGS_INITIAL_WINDOW_SIZE (<https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2>).
const INITIAL_WINDOW: u16 = 4;

/// The largest window there is (section 6.9.1).
const ALL: u32 = (1 << 31) - 1;

/// As many streams as a connection may have.
pub(crate) const STREAMS: usize = 100;

/// The numbers of so many streams, of which others come before.
fn numbers(round: usize) -> impl Iterator<Item = u32> {
    (0..STREAMS).map(move |index| 2 * (STREAMS * round + index) as u32 + 1)
}

/// A request for `path` on each stream.
fn requests(host: &str, path: &str, round: usize) -> Vec<u8> {
    let mut requests = Vec::new();
    for stream in numbers(round) {
        frame(&mut requests, Kind::Headers, END_STREAM | END_HEADERS, stream, &fields_for(host, "GET", path));
    }
    requests
}

/// Asks for listings on streams and takes it back, until as many are `done` or the connection ends.
pub(crate) async fn take_back(server: SocketAddr, done: Done, most: usize) -> Result<()> {
    let mut connection = Http2::connect(server).await?;
    for round in 0.. {
        if done.get() >= most {
            break;
        }
        let mut resets = Vec::new();
        for stream in numbers(round) {
            frame(&mut resets, Kind::Reset, 0, stream, &CANCEL.to_be_bytes());
        }
        connection.send(&requests("localhost", "/many/", round)).await?;
        // Begun before they are taken back: more than a few that are not end the connection.
        tokio::time::sleep(READ).await;
        connection.send(&resets).await?;
        done.add(STREAMS);
    }
    Ok(())
}

/// Asks for large files on all streams, lets the server send without an end, and reads nothing.
pub(crate) async fn read_nothing(server: SocketAddr) -> Result<Http2> {
    let mut connection = Http2::connect_with(server, &[(INITIAL_WINDOW, ALL)]).await?;
    let mut frames = Vec::new();
    frame(&mut frames, Kind::WindowUpdate, 0, 0, &(ALL - 65_535).to_be_bytes());
    frames.extend(requests("localhost", "/large", 0));
    connection.send(&frames).await?;
    Ok(connection)
}

/// Asks for large files on all streams, of which the server may send nothing.
pub(crate) async fn hold_files(server: SocketAddr) -> Result<Http2> {
    let mut connection = Http2::connect_with(server, &[(INITIAL_WINDOW, 0)]).await?;
    connection.send(&requests("localhost", "/large", 0)).await?;
    Ok(connection)
}

/// Holds what was asked for; counts streams.
pub(crate) async fn hold(connection: impl Future<Output = Result<Http2>>, done: Done) -> Result<()> {
    let _held = connection.await?;
    done.add(STREAMS);
    pending().await
}

/// Asks for a foreign host, on all streams of a connection.
pub(crate) async fn be_refused(Addresses { https, .. }: Addresses, done: Done) -> Result<()> {
    let answers = Http2::connect(https).await?.answers(&requests("evil.test", "/", 0), STREAMS as u64).await?;
    done.add(answers as usize);
    Ok(())
}

/// Asks on when it is told to go away.
pub(crate) async fn stay(Addresses { https, .. }: Addresses, done: Done) -> Result<()> {
    let (answered, _) = Http2::connect(https).await?.ask_on("/rest", 100_000).await;
    done.add(answered);
    Ok(())
}

/// Gives room for one byte, again and again, to a file that is being sent.
pub(crate) async fn give_bytes(Addresses { https, .. }: Addresses, done: Done) -> Result<()> {
    const UPDATES: usize = 1200;
    let connection = Http2::connect_with(https, &[(INITIAL_WINDOW, 0)]).await?;
    let mut request = Vec::new();
    frame(&mut request, Kind::Headers, END_STREAM | END_HEADERS, 1, &fields("GET", "/large"));
    let mut updates = Vec::new();
    for stream in [0, 1].repeat(UPDATES / 2) {
        frame(&mut updates, Kind::WindowUpdate, 0, stream, &1_u32.to_be_bytes());
    }
    let chunks = std::iter::once(request).chain(std::iter::repeat_with(move || {
        done.add(UPDATES);
        updates.clone()
    }));
    Err(format!("{:?}", connection.flood(chunks).await))
}

/// Sends the first message of a TLS handshake, whose answer is signed.
pub(crate) async fn shake_hands(Addresses { https, .. }: Addresses, done: Done) -> Result<()> {
    let hello = hello()?;
    loop {
        let mut stream = TcpStream::connect(https).await.map_err(|error| format!("connect: {error}"))?;
        stream.write_all(&hello).await.map_err(|error| format!("write: {error}"))?;
        // A server that has no time for it cuts the connection in the end.
        if stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
            done.add(1);
        }
    }
}

fn hello() -> Result<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(RootCertStore::empty());
    let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
    let mut client =
        ClientConnection::new(Arc::new(config.with_no_client_auth()), name).map_err(|error| error.to_string())?;
    let mut hello = Vec::new();
    client.write_tls(&mut hello).map_err(|error| error.to_string())?;
    Ok(hello)
}
