use std::fs;
use std::path::{Path, PathBuf};

use super::{answer, get, json, request, until};
use crate::talk::Talk;
use crate::wire::{Running, Via};

#[path = "../../../examples/upload.rs"]
#[allow(dead_code, reason = "it has a `main` of its own")]
mod example;

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("upload-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn head(name: &str, length: u64) -> String {
    format!("PUT /upload/{name} HTTP/1.1\r\nContent-Length: {length}\r\n")
}

#[tokio::test]
async fn a_file_is_there_as_a_whole() {
    let folder = Folder::new("whole");
    let server = Running::start(example::server(&folder.0).unwrap()).await;
    let mut progress = Talk::open(&server, Via::Tcp, "/topics/progress").await;
    let body = "0123456789".repeat(30_000);
    for content in [body.as_bytes(), b"another"] {
        assert_eq!(request(&server, &head("a.txt", content.len() as u64), content).await.0, 201);
        assert_eq!(folder.names(), ["a.txt"]);
        assert_eq!(get(&server, "/a.txt").await, (200, content.to_vec()));
    }
    let mut told = 0;
    while told < body.len() as u64 {
        let next = json(&progress.frame().await.unwrap());
        assert_eq!(next["name"], "a.txt");
        assert!(next["bytes"].as_u64().unwrap() > told, "{next}");
        told = next["bytes"].as_u64().unwrap();
    }
}

/// Whatever else has a URL here.
#[tokio::test]
async fn no_name_is_taken_by_a_route() {
    let folder = Folder::new("names");
    let server = Running::start(example::server(&folder.0).unwrap()).await;
    for name in ["progress", "topics", "upload"] {
        assert_eq!(request(&server, &head(name, 4), b"mine").await.0, 201, "{name}");
        assert_eq!(get(&server, &format!("/{name}")).await, (200, b"mine".to_vec()), "{name}");
    }
}

#[tokio::test]
async fn what_is_cut_off_leaves_nothing() {
    let folder = Folder::new("cut");
    let server = Running::start(example::server(&folder.0).unwrap()).await;
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    talk.send(format!("{}Host: localhost\r\n\r\nhalf", head("a.txt", 8))).await;
    until("it has begun", async || folder.names().iter().any(|name| name.ends_with(".part"))).await;
    let part = folder.names().remove(0);
    assert_eq!(get(&server, &format!("/{part}")).await.0, 404);
    drop(talk);
    until("it is gone", async || folder.names().is_empty()).await;
}

#[tokio::test]
async fn refuses_what_is_too_long_or_has_another_name() {
    let folder = Folder::new("refused");
    let server = Running::start(example::server(&folder.0).unwrap()).await;
    // Before anything of it is sent.
    assert_eq!(request(&server, &head("a.txt", example::MOST + 1), b"").await.0, 413);
    for name in [".hidden", "..%2fa", "a%2fb", "a%00", "caf%C3%A9", &"x".repeat(101)] {
        assert_eq!(request(&server, &head(name, 1), b"x").await.0, 400, "{name}");
    }
    // Without a length it is counted.
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    talk.send("PUT /upload/a.txt HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..example::MOST >> 20 {
        talk.send([b"100000\r\n", &*chunk, b"\r\n"].concat()).await;
    }
    talk.send("1\r\nx\r\n").await;
    assert_eq!(answer(&mut talk).await.0, 413);
    until("it is gone", async || folder.names().is_empty()).await;
}
