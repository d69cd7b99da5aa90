//! Compressing while sending: what is kept, how many at once, and what cannot be finished.

use std::io::Read;

use super::*;

fn ask(method: &str, target: &str) -> http::Request<axum::body::Body> {
    let mut request = request(method, target);
    request.headers_mut().insert("accept-encoding", "br".parse().unwrap());
    request
}

fn decode(coded: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    brotli::Decompressor::new(coded, 4096).read_to_end(&mut plain).unwrap();
    plain
}

/// A file that has not changed for a while: one that was written by the test would not be kept.
#[tokio::test]
async fn what_was_compressed_once_is_kept() {
    let folder = env!("CARGO_MANIFEST_DIR");
    let plain = fs::read(format!("{folder}/Cargo.toml")).unwrap();
    let files = Files::new(folder).unwrap();
    let first = send(&files, ask("GET", "/Cargo.toml")).await;
    assert_eq!(first.headers.get("content-length"), None);
    assert_eq!(decode(&first.body), plain);
    let second = send(&files, ask("GET", "/Cargo.toml")).await;
    assert_eq!(second.headers["content-length"], first.body.len().to_string());
    assert_eq!((&second.headers["etag"], &second.body), (&first.headers["etag"], &first.body));
    assert_eq!(send(&files, ask("HEAD", "/Cargo.toml")).await.headers, second.headers);
    // The plain file is another variant.
    assert_eq!(get(&files, "/Cargo.toml").await.body, plain);

    let files = Files::new(folder).unwrap().cache(0);
    for _ in 0..2 {
        assert_eq!(send(&files, ask("GET", "/Cargo.toml")).await.headers.get("content-length"), None);
    }
}

#[tokio::test]
async fn too_many_at_once_are_sent_plain() {
    let fixture = Fixture::empty();
    fixture.write("a.txt", "a".repeat(10_000));
    let files = fixture.files();
    let mut unread = Vec::new();
    let plain = loop {
        let response = start(files.clone(), ask("GET", "/a.txt")).await;
        if !response.headers().contains_key("content-encoding") {
            break response;
        }
        unread.push(response);
        assert!(unread.len() < 1000, "there must be a bound");
    };
    assert_eq!(plain.headers()["content-length"], "10000");
    assert_eq!(plain.headers()["vary"], "accept-encoding");
    let tag = &unread[0].headers()["etag"];
    assert_ne!(&plain.headers()["etag"], tag);
    // What the client has takes no compressing.
    let mut known = ask("GET", "/a.txt");
    known.headers_mut().insert("if-none-match", tag.clone());
    assert_eq!(send(&files, known).await.status, StatusCode::NOT_MODIFIED);
    // There is room again when one of them is gone.
    drop(unread.pop());
    assert_eq!(send(&files, ask("GET", "/a.txt")).await.headers["content-encoding"], "br");
}

#[tokio::test]
async fn how_many_at_once() {
    let fixture = Fixture::empty();
    fixture.write("a.txt", "a".repeat(10_000));
    for most in [0, 1, 3] {
        let files = fixture.files().max_compressions(most);
        let mut unread = Vec::new();
        for _ in 0..most + 2 {
            unread.push(start(files.clone(), ask("GET", "/a.txt")).await);
        }
        let coded = unread.iter().filter(|response| response.headers().contains_key("content-encoding"));
        assert_eq!(coded.count(), most);
    }
}

#[tokio::test]
async fn from_which_size_on() {
    let fixture = Fixture::empty();
    fixture.write("a.txt", "a".repeat(1024));
    let check = async |files: Files, expected: bool| {
        let answer = send(&files, ask("GET", "/a.txt")).await;
        assert_eq!(answer.headers.contains_key("content-encoding"), expected);
    };
    check(fixture.files(), true).await;
    check(fixture.files().compress_above(1025), false).await;
    check(fixture.files().compress_above(0), true).await;
    check(fixture.files().compress_above(None), false).await;
}

#[tokio::test]
async fn a_file_that_is_truncated_meanwhile() {
    let fixture = Fixture::empty();
    let path = fixture.write("a.txt", "a".repeat(8 * BLOCK));
    let body = start(fixture.files(), ask("GET", "/a.txt")).await.into_body();
    File::options().write(true).open(path).unwrap().set_len(BLOCK as u64 + 1).unwrap();
    assert!(body.collect().await.is_err(), "the connection must be cut short");
}

/// Each state of the two files is looked at anew.
#[tokio::test]
async fn a_sibling_that_becomes_another_one() {
    let fixture = Fixture::empty();
    let coded = |content: &[u8]| {
        let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
        encoder.write_all(content).unwrap();
        encoder.into_inner()
    };
    let files = fixture.files();
    let check = async |plain: &[u8], sibling: &[u8], expected: bool| {
        fixture.write("a.bin", plain);
        fixture.write("a.bin.br", coded(sibling));
        for _ in 0..2 {
            let answer = send(&files, ask("GET", "/a.bin")).await;
            assert_eq!(answer.headers.contains_key("content-encoding"), expected, "{sibling:?} beside {plain:?}");
            let body = if expected { decode(&answer.body) } else { answer.body.to_vec() };
            assert_eq!(body, plain);
        }
    };
    check(b"one", b"one", true).await;
    check(b"two", b"one", false).await;
    check(b"two", b"two", true).await;
    check(b"two", b"tw0", false).await;
    let never = files.clone().precompressed(false);
    fixture.write("a.bin.br", coded(b"two"));
    assert!(!send(&never, ask("GET", "/a.bin")).await.headers.contains_key("content-encoding"));
}
