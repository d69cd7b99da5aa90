//! Floods of WebSocket messages.

use std::future::pending;
use std::sync::LazyLock;

use tokio::io::AsyncWriteExt as _;
use zlib_rs::{Deflate, DeflateFlush};

use super::{Addresses, Done};
use crate::Result;
use crate::client::{BINARY, Client, ECHO, frame, next_frame, raw_frame};

/// The largest message that the server takes, by default.
const LARGEST: usize = 4 << 20;

/// What says that a message is compressed (<https://www.rfc-editor.org/rfc/rfc7692#section-6>).
const COMPRESSED: u8 = 0x40;
const FIN: u8 = 0x80;

static PLAIN: LazyLock<Vec<u8>> = LazyLock::new(|| frame(BINARY, &vec![0; LARGEST]));
static DEFLATED: LazyLock<Vec<u8>> = LazyLock::new(zeros);
static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| raw_frame(FIN | COMPRESSED | BINARY, &*DEFLATED));

/// The largest message, of zeros, as permessage-deflate has it: about 4 KiB.
fn zeros() -> Vec<u8> {
    let mut small = vec![0; 64 << 10];
    let mut deflate = Deflate::new(9, false, 15);
    // What it cannot take is missing in the message, whose echo would tell.
    let _ = deflate.compress(&vec![0; LARGEST], &mut small, DeflateFlush::SyncFlush);
    small.truncate(deflate.total_out() as usize);
    // The empty block at the end: https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1
    small.truncate(small.len().saturating_sub(4));
    small
}

/// Sends a message of 4 MiB to be echoed, as far as it is taken, and reads nothing.
pub(crate) async fn read_nothing(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let mut client = Client::connect(http, ECHO).await?;
    let (begin, rest) = PLAIN.split_at(64 << 10);
    client.stream.write_all(begin).await.map_err(|error| format!("write: {error}"))?;
    done.add(1);
    client.stream.write_all(rest).await.map_err(|error| format!("write: {error}"))?;
    pending().await
}

/// Sends 4 MiB of zeros in 4 KiB to be echoed, again and again, and reads what comes.
pub(crate) async fn inflate(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let (mut stream, mut buffer) = Client::connect_compressing(http, ECHO).await?.into_parts();
    let (mut read, mut write) = stream.split();
    let writing = async { while write.write_all(&SMALL).await.is_ok() {} };
    let reading = async {
        while let Ok(Some(frame)) = next_frame(&mut read, &mut buffer).await {
            done.add(usize::from(frame.fin && frame.opcode <= BINARY));
        }
    };
    tokio::join!(writing, reading);
    Err("the server ended the connection".to_owned())
}

/// Begins a compressed message and does not end it.
pub(crate) async fn begin_compressed(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let mut client = Client::connect_compressing(http, ECHO).await?;
    // Not all of a block.
    let begin = raw_frame(COMPRESSED | BINARY, DEFLATED.get(..32).unwrap_or_default());
    client.stream.write_all(&begin).await.map_err(|error| format!("write: {error}"))?;
    wait(client, done).await
}

/// Sends all of a message of 4 MiB but its last byte.
pub(crate) async fn begin_large(Addresses { http, .. }: Addresses, done: Done) -> Result<()> {
    let mut client = Client::connect(http, ECHO).await?;
    let begin = PLAIN.split_last().map(|(_, rest)| rest).unwrap_or_default();
    client.stream.write_all(begin).await.map_err(|error| format!("write: {error}"))?;
    wait(client, done).await
}

/// Counts a message, and waits until the server gives it up.
async fn wait(mut client: Client, done: Done) -> Result<()> {
    done.add(1);
    while client.next().await?.is_some() {}
    Err("the server ended the connection".to_owned())
}
