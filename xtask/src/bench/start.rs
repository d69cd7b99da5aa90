//! What is measured without a load: how soon the server answers after its start, and how large it is.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use super::Bench;
use super::cases::Case;
use super::samples::{BYTES, MILLISECONDS, Samples};
use super::server::{Peer, Server};
use crate::Result;

/// Starts in a round.
const STARTS: usize = 5;

const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// From the start of the process, `taskset` included, to the first byte of an answer to a request that is sent as soon
/// as the server says that it listens.
pub(super) fn time(bench: &Bench, case: &Case, samples: &mut Samples) -> Result<()> {
    for _ in 0..STARTS {
        let began = Instant::now();
        let server = Server::start(bench, Peer::Rikki, case, &[])?;
        ask(server.port).map_err(|error| format!("the first request: {error}"))?;
        samples.add(MILLISECONDS, began.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(())
}

/// The release build as it is: its profile strips it.
pub(super) fn size(bench: &Bench, samples: &mut Samples) -> Result<()> {
    let metadata = fs::metadata(&bench.rikki).map_err(|error| format!("{}: {error}", bench.rikki.display()))?;
    samples.add(BYTES, metadata.len() as f64);
    Ok(())
}

fn ask(port: u16) -> std::io::Result<()> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(ANSWER_LIMIT))?;
    socket.write_all(b"GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    socket.read_exact(&mut status)?;
    if status == *b"HTTP/1.1 200" { Ok(()) } else { Err(std::io::Error::other("it is not answered with 200")) }
}
