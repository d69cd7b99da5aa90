//! Floods of requests over HTTP/1.1.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Addresses, Done};
use crate::Result;
use crate::case::LARGE;
use crate::client::in_time;

/// How long a request needs to be read, beside whatever else runs: what is reset before that is no request.
pub(crate) const READ: Duration = Duration::from_millis(20);

pub(crate) async fn ask(address: SocketAddr, path: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("write: {error}"))?;
    Ok(stream)
}

/// Asks over a connection of its own, and gives all of the answer.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = ask(address, path).await?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    in_time("an answer", async { read.await.map_err(|error| format!("read: {error}")) }).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Asks for a large listing and resets.
pub(crate) async fn abandon(server: SocketAddr, done: Done) -> Result<()> {
    let stream = ask(server, "/many/").await?;
    stream.set_zero_linger().map_err(|error| format!("SO_LINGER: {error}"))?;
    tokio::time::sleep(READ).await;
    done.add(1);
    Ok(())
}

/// Asks for a listing that is long, and reads it.
pub(crate) async fn read_listing(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let mut stream = ask(http, "/hostile/").await?;
    let mut buffer = vec![0; 256 << 10];
    let first = stream.read(&mut buffer).await.map_err(|error| format!("read: {error}"))?;
    if !buffer[..first].starts_with(b"HTTP/1.1 200 ") {
        return Err("no listing".to_owned());
    }
    done.add(1);
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    Ok(())
}

/// Asks for a file on a disk that hangs, and waits.
pub(crate) async fn ask_hung(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let mut stream = ask(http, "/remote/hung/file").await?;
    done.add(1);
    stream.read_to_end(&mut Vec::new()).await.map(drop).map_err(|error| format!("read: {error}"))
}

/// Reads a large file as fast as it comes, again and again; counts MiB.
pub(crate) async fn read_large(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let mut stream = TcpStream::connect(http).await.map_err(|error| format!("connect: {error}"))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let asked = stream.write_all(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        asked.map_err(|error| format!("write: {error}"))?;
        // The head of the answer is not worth more.
        let mut read = 0;
        while read < LARGE {
            let length = stream.read(&mut buffer).await.map_err(|error| format!("read: {error}"))?;
            if length == 0 {
                return Err("the server ended the connection".to_owned());
            }
            done.add((read % (1 << 20) + length) >> 20);
            read += length;
        }
    }
}

/// Asks for what is logged, again and again.
pub(crate) async fn ask_on(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let mut stream = TcpStream::connect(http).await.map_err(|error| format!("connect: {error}"))?;
    let mut answer = [0; 1024];
    loop {
        let asked = stream.write_all(b"GET /rest HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        asked.map_err(|error| format!("write: {error}"))?;
        if !stream.read(&mut answer).await.is_ok_and(|read| answer[..read].starts_with(b"HTTP/1.1 200 ")) {
            return Err("no answer".to_owned());
        }
        done.add(1);
    }
}
