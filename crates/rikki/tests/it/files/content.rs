//! The content of files, while they change.

use std::path::Path;

use rikki::Server;
use tokio::io::AsyncReadExt;

use super::*;
use crate::talk::Talk;
use crate::wire::{BOTH, Running, Via, soon};

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[tokio::test]
async fn files_of_every_size() {
    let fixture = Fixture::empty();
    for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5] {
        fixture.write("file", content(length));
        let answer = get(&fixture.files(), "/file").await;
        assert_eq!(answer.headers["content-length"], length.to_string());
        assert!(answer.body == content(length), "{length} bytes");
    }
}

#[tokio::test]
async fn a_file_that_changes_while_it_is_sent() {
    let fixture = Fixture::empty();
    let length = 8 * BLOCK;
    let open = async |name: &str| {
        fixture.write(name, content(length));
        start(fixture.files(), request("GET", &format!("/{name}"))).await.into_body()
    };

    let grown = open("grown").await;
    File::options().append(true).open(fixture.root().join("grown")).unwrap().write_all(b"more").unwrap();
    assert!(grown.collect().await.unwrap().to_bytes() == content(length));

    let replaced = open("replaced").await;
    fixture.write("new", "new");
    fs::rename(fixture.root().join("new"), fixture.root().join("replaced")).unwrap();
    assert!(replaced.collect().await.unwrap().to_bytes() == content(length));

    let deleted = open("deleted").await;
    fs::remove_file(fixture.root().join("deleted")).unwrap();
    assert!(deleted.collect().await.unwrap().to_bytes() == content(length));

    let mut truncated = open("truncated").await;
    File::options().write(true).open(fixture.root().join("truncated")).unwrap().set_len(BLOCK as u64 + 1).unwrap();
    let mut sent = 0;
    while let Ok(frame) = truncated.frame().await.expect("an error: the connection must be cut short") {
        sent += frame.into_data().unwrap().len();
    }
    assert!(sent <= BLOCK + 1);
    assert!(truncated.frame().await.is_none());
}

/// Where reading cannot be tried without waiting, as on tmpfs.
#[tokio::test]
async fn files_of_every_size_in_memory() {
    if !Path::new("/dev/shm").is_dir() {
        return;
    }
    let fixture = Fixture::below(Path::new("/dev/shm"));
    for length in [0, 1, BLOCK, 3 * BLOCK + 5] {
        fixture.write("file", content(length));
        assert!(get(&fixture.files(), "/file").await.body == content(length), "{length} bytes");
    }
}

/// With every setting of what is held in memory.
#[tokio::test]
async fn without_a_cache_and_without_memory_to_read_into() {
    let fixture = Fixture::empty();
    for length in [0, 1, 4 * 1024 + 1, 2 * BLOCK + 5] {
        fixture.write("file", content(length));
        for files in [fixture.files().cache(0), fixture.files().read_memory(0), fixture.files().cache(0).read_memory(0)]
        {
            assert!(get(&files, "/file").await.body == content(length), "{length} bytes");
        }
    }
}

/// Larger than what the buffers of the system hold.
const LARGE: usize = 24 << 20;

/// A connection on which the head of the response has come, and its body is on its way.
async fn downloading(server: &Running, via: Via) -> Talk {
    let mut talk = Talk::connect(server, via).await;
    talk.send("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let head = talk.head().await;
    assert!(head.contains(&format!("content-length: {LARGE}\r\n")), "{head}");
    talk
}

#[tokio::test]
async fn a_file_that_is_truncated_while_it_is_downloaded() {
    let fixture = Fixture::empty();
    let server = Running::start(Server::new().files(fixture.root())).await;
    for via in BOTH {
        let path = fixture.write("large", content(LARGE));
        let mut talk = downloading(&server, via).await;
        File::options().write(true).open(path).unwrap().set_len(100_000).unwrap();
        let mut received = Vec::new();
        // TLS without its own end is an error; what matters is that nobody takes this for the whole file.
        let _ = soon("the end of the connection", talk.stream.read_to_end(&mut received)).await;
        assert!(received.len() < LARGE / 2, "{} bytes", received.len());
    }
}

#[tokio::test]
async fn a_file_that_grows_while_it_is_downloaded() {
    let fixture = Fixture::empty();
    let server = Running::start(Server::new().files(fixture.root())).await;
    for via in BOTH {
        let path = fixture.write("large", content(LARGE));
        let mut talk = downloading(&server, via).await;
        File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
        assert!(talk.bytes(LARGE).await == content(LARGE));
        // Another response follows, and nothing before it.
        talk.send("HEAD /large HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains(&(LARGE + 4).to_string()), "{head}");
    }
}
