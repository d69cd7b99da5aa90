//! Large files over plain TCP and HTTP/1, which the system sends without reading them: nothing that a client sees tells
//! the difference.

use std::sync::{Arc, Mutex};

use axum::middleware::map_response;
use axum::response::Response;
use rikki::Server;
use rustix::fs::{Advice, fadvise};
use tokio::net::TcpSocket;

use super::*;
use crate::talk::Talk;
use crate::wire::{Running, Via, soon};

/// More than is kept, and no whole number of blocks.
const LENGTH: usize = 3 * BLOCK * 8 + 12_345;

/// More than the buffers of both systems hold.
const LARGE: usize = 24 << 20;

/// Text, without a byte of 0, which is what a client must never get in the place of another.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|index| b' ' + (index % 89) as u8).collect()
}

/// On a disk, which the folder for temporary files may not be.
fn fixture() -> Fixture {
    let fixture = Fixture::below(env!("CARGO_TARGET_TMPDIR").as_ref());
    fixture.write("file", content(LENGTH));
    fixture
}

fn server(fixture: &Fixture) -> Server {
    Server::new().mount("/", fixture.files())
}

/// The head and the body of the next answer.
async fn answer(talk: &mut Talk, has_body: bool) -> (String, Vec<u8>) {
    let head = talk.head().await;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().unwrap());
    let body = if has_body { talk.bytes(length).await } else { Vec::new() };
    let told = head.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n");
    (told, body)
}

fn ask(method: &str, target: &str, more: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

/// With TLS they are read and written: both answers are the same.
#[tokio::test]
async fn what_is_sent_is_what_is_written_otherwise() {
    let fixture = fixture();
    fixture.write("small", "small");
    let server = Running::start(server(&fixture)).await;
    let mut talks = [Talk::connect(&server, Via::Tcp).await, Talk::connect(&server, Via::Tls).await];
    let file = content(LENGTH);
    let last = format!("Range: bytes={}-\r\n", LENGTH - 1);
    let requests = [
        (ask("GET", "/file", ""), &file[..]),
        (ask("HEAD", "/file", ""), b""),
        (ask("GET", "/small", ""), b"small"),
        (ask("GET", "/file", "Range: bytes=1-2000000\r\n"), &file[1..=2_000_000]),
        (ask("GET", "/file", "Range: bytes=-300000\r\n"), &file[LENGTH - 300_000..]),
        (ask("GET", "/file", &last), &file[LENGTH - 1..]),
        (ask("HEAD", "/file", "Range: bytes=1-2000000\r\n"), b""),
        (ask("GET", "/file", "If-Modified-Since: Fri, 31 Dec 9999 23:59:59 GMT\r\n"), b""),
        (ask("GET", "/file", "Accept-Encoding: identity\r\n"), &file[..]),
    ];
    // One after the other, and all at once.
    for rounds in 0..2 {
        for (index, (request, _)) in requests.iter().enumerate() {
            if rounds == 1 && index == 0 {
                let all: String = requests.iter().map(|(request, _)| request.as_str()).collect();
                for talk in &mut talks {
                    talk.send(&all).await;
                }
            }
            let mut answers = Vec::new();
            for talk in &mut talks {
                if rounds == 0 {
                    talk.send(request).await;
                }
                answers.push(answer(talk, !request.starts_with("HEAD")).await);
            }
            assert_eq!(answers[0].0, answers[1].0, "{request}");
            for (_, body) in &answers {
                let expected = requests[index].1;
                assert!(body.as_slice() == expected, "{request}: {} of {} bytes", body.len(), expected.len());
            }
        }
    }
    let boundary = |head: &str| head.split("boundary=").nth(1).unwrap().lines().next().unwrap().to_owned();
    let request = ask("GET", "/file", "Range: bytes=0-499999,1000000-1499999\r\n");
    let mut bodies = Vec::new();
    for talk in &mut talks {
        talk.send(&request).await;
        let (head, body) = answer(talk, true).await;
        assert!(body.windows(1000).any(|piece| piece == &file[1_499_000..1_500_000]), "{head}");
        bodies.push(String::from_utf8_lossy(&body).replace(&boundary(&head), ""));
    }
    assert!(bodies[0] == bodies[1]);
}

/// Takes the head of an answer, and has room for little more.
async fn begin(server: &Running, target: &str) -> Talk {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut talk = Talk::from(soon("a connection", socket.connect(server.address(Via::Tcp))).await.unwrap());
    talk.send(ask("GET", target, "Connection: close\r\n")).await;
    assert!(talk.head().await.starts_with("HTTP/1.1 200 "));
    talk
}

/// Each client takes all that comes, whatever has become of the file meanwhile.
#[tokio::test]
async fn a_file_that_changes_while_it_is_sent() {
    let fixture = fixture();
    let server = Running::start(server(&fixture)).await;
    let large = content(LARGE);
    for (name, length) in [("truncated", LARGE / 2), ("emptied", 0), ("grown", 2 * LARGE), ("removed", LARGE)] {
        let path = fixture.write(name, &large);
        let mut talk = begin(&server, &format!("/{name}")).await;
        match name {
            "removed" => fs::remove_file(&path).unwrap(),
            _ => File::options().write(true).open(&path).unwrap().set_len(length as u64).unwrap(),
        }
        let received = talk.text().await;
        let received = received.as_bytes();
        // What was on its way when the file lost it may come, but nothing in its place.
        let is_whole = received.len() == LARGE;
        assert_eq!(is_whole, length >= LARGE, "{} bytes of a file that is {name}", received.len());
        assert!(received == &large[..received.len()], "of a file that is {name}");
    }
}

/// What has to be read from the disk is read before it is sent.
#[tokio::test]
async fn a_file_that_is_not_in_memory() {
    let fixture = fixture();
    let server = Running::start(server(&fixture)).await;
    let file = File::open(fixture.root().join("file")).unwrap();
    file.sync_all().unwrap();
    for kept in [0, BLOCK, 2 * BLOCK + 5000] {
        // The system forgets what is behind that.
        fadvise(&file, kept as u64, None, Advice::DontNeed).unwrap();
        let mut talk = begin(&server, "/file").await;
        assert!(talk.bytes(LENGTH).await == content(LENGTH), "beyond {kept} bytes");
    }
}

/// How many descriptors of this process are of this file.
fn descriptors(path: &std::path::Path) -> usize {
    let all = fs::read_dir("/proc/self/fd").unwrap();
    all.filter(|entry| fs::read_link(entry.as_ref().unwrap().path()).is_ok_and(|target| target == path)).count()
}

/// Reading takes memory of the folder as long as its client takes nothing, and sending does not: neither keeps a file
/// open whose client is gone.
#[tokio::test]
async fn a_client_that_leaves_gives_all_back() {
    let fixture = fixture();
    let path = fixture.write("large", content(LARGE)).canonicalize().unwrap();
    let server = Running::start(server(&fixture)).await;
    let held = || server.handle.monitor().budgets().iter().find(|budget| budget.name == "read-memory").unwrap().used;
    let mut clients = Vec::new();
    for _ in 0..20 {
        clients.push(begin(&server, "/large").await);
    }
    assert_eq!((descriptors(&path), held()), (20, 0));
    drop(clients);
    let gone = async {
        while descriptors(&path) > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the files are closed", gone).await;
    // Others are served all the same.
    let mut talk = begin(&server, "/large").await;
    assert!(talk.bytes(LARGE).await == content(LARGE));
}

/// A layer sees the bytes of the file, and so does whoever serves the folder by hand.
#[tokio::test]
async fn what_comes_between_has_the_content() {
    let fixture = fixture();
    let seen = Arc::new(Mutex::new(None));
    let sees = map_response({
        let seen = seen.clone();
        move |response: Response| {
            let seen = seen.clone();
            async move {
                let (head, body) = response.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                *seen.lock().unwrap() = Some(body.clone());
                Response::from_parts(head, axum::body::Body::from(body))
            }
        }
    });
    let by_hand = Server::new().merge(Router::new().fallback_service(fixture.files()));
    for (server, is_layered) in [(server(&fixture).layer(sees), true), (by_hand, false)] {
        let server = Running::start(server).await;
        let mut talk = Talk::connect(&server, Via::Tcp).await;
        talk.send(ask("GET", "/file", "")).await;
        assert!(answer(&mut talk, true).await.1 == content(LENGTH));
        assert_eq!(seen.lock().unwrap().take().is_some_and(|seen| seen == content(LENGTH)), is_layered);
    }
}

#[tokio::test]
async fn a_drain_waits_for_what_is_being_sent() {
    let fixture = fixture();
    fixture.write("large", content(LARGE));
    let server = Running::start(server(&fixture)).await;
    let mut talk = begin(&server, "/large").await;
    let handle = server.handle.clone();
    let drain = tokio::spawn(async move { handle.shutdown().await });
    assert!(talk.bytes(LARGE).await == content(LARGE));
    assert_eq!(talk.text().await, "");
    soon("the drain", drain).await.unwrap();
}
