//! Files in a coding beside hot ones, which come, change and go.

use std::io::Read as _;
use std::path::PathBuf;
use std::time::Instant;

use axum::body::Body;
use http::Request;

use super::*;
use crate::files::fixture::Answer;

/// By when it is seen that a sibling has come, changed or gone.
const SEEN: Duration = Duration::from_secs(1);

const NONE: &str = "none";

fn ask(target: &str) -> Request<Body> {
    let mut request = request("GET", target);
    request.headers_mut().insert("accept-encoding", "br, zstd, gzip".parse().unwrap());
    request
}

fn coding(answer: &Answer) -> &str {
    answer.headers.get("content-encoding").map_or(NONE, |coding| coding.to_str().unwrap())
}

/// A content in each coding, at a level: at another one it is other bytes.
fn coded(extension: &str, plain: &[u8], level: i32) -> Vec<u8> {
    match extension {
        "br" => {
            let mut coded = Vec::new();
            brotli::CompressorReader::new(plain, 4096, level as u32, 20).read_to_end(&mut coded).unwrap();
            coded
        }
        // And a frame to be skipped, with the level in it: https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2
        "zst" => {
            [&zstd::bulk::compress(plain, 1).unwrap(), &[0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, level as u8][..]].concat()
        }
        // As far as anybody looks: the head, the level where the system stands, and the length.
        _ => {
            [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, level as u8, 3, 0, 0, 0, 0, 0], &(plain.len() as u32).to_le_bytes()[..]]
                .concat()
        }
    }
}

/// Puts it in the place of what is there at once, as a build would.
fn put(fixture: &Fixture, name: &str, content: Vec<u8>) -> PathBuf {
    let new = fixture.write("new", content);
    let path = fixture.root().join(name);
    fs::rename(new, &path).unwrap();
    path
}

/// Asks until the answer is the expected one. None that was asked for later than [`SEEN`] after now may be another.
async fn soon_is(files: &Files, target: &str, expected: (&str, &[u8])) {
    let changed = Instant::now();
    loop {
        let asked = changed.elapsed();
        let answer = send(files, ask(target)).await;
        if (coding(&answer), &*answer.body) == expected {
            return;
        }
        assert!(asked < SEEN, "{target}: {}, {} bytes after {asked:?}", coding(&answer), answer.body.len());
    }
}

/// One in each coding, beside a file that is kept and one that is not, both of which are asked for again and again.
#[tokio::test]
async fn a_sibling_of_a_hot_file_that_comes_changes_or_goes_is_seen_within_a_second() {
    let fixture = Fixture::empty();
    fixture.write("../secret", coded("br", CANARY.as_bytes(), 1));
    let files = fixture.files().compress_above(None);
    for length in [1000, 3 * BLOCK] {
        let plain: Vec<u8> = (0..length).map(|index| (index * index % 251) as u8).collect();
        let target = format!("/{length}.bin");
        fixture.write(&target[1..], &plain);
        for (extension, name) in [("br", "br"), ("zst", "zstd"), ("gz", "gzip")] {
            soon_is(&files, &target, (NONE, &plain)).await;
            let (first, second) = (coded(extension, &plain, 1), coded(extension, &plain, 5));
            assert!(first != second, "{name}");
            let path = put(&fixture, &format!("{length}.bin.{extension}"), first.clone());
            soon_is(&files, &target, (name, &first)).await;
            put(&fixture, &format!("{length}.bin.{extension}"), second.clone());
            soon_is(&files, &target, (name, &second)).await;
            // What is sent is judged each time, so this is never seen, not even for a moment.
            let link = fixture.root().join("link");
            symlink("../secret", &link).unwrap();
            fs::rename(link, &path).unwrap();
            let answer = send(&files, ask(&target)).await;
            assert_eq!((coding(&answer), &*answer.body), (NONE, &*plain), "{target} beside a link that leads out");
            put(&fixture, &format!("{length}.bin.{extension}"), first.clone());
            soon_is(&files, &target, (name, &first)).await;
            fs::remove_file(path).unwrap();
            soon_is(&files, &target, (NONE, &plain)).await;
        }
    }
}

/// What was not there a moment ago is not looked for again, so what comes is not seen at once.
#[tokio::test]
async fn siblings_that_are_not_there_are_not_looked_for_each_time() {
    let fixture = Fixture::empty();
    let (files, plain) = (fixture.files().compress_above(None), b"content");
    let coded = coded("br", plain, 1);
    // A round counts if it was short; on a machine that is busy not each is.
    for round in 0..100 {
        let name = format!("{round}.txt");
        fixture.write(&name, plain);
        let sibling = fixture.write("sibling", &coded);
        let begun = Instant::now();
        let first = send(&files, ask(&format!("/{name}"))).await;
        fs::rename(sibling, fixture.root().join(format!("{name}.br"))).unwrap();
        let second = send(&files, ask(&format!("/{name}"))).await;
        if begun.elapsed() < SEEN / 4 {
            assert_eq!((coding(&first), coding(&second)), (NONE, NONE), "in round {round}");
            return;
        }
    }
    panic!("no round was short");
}
