//! Clients that ask and then take nothing, which others must not notice.

use std::future::ready;

use axum::middleware::map_response;
use axum::response::Response;
use rikki::Server;
use tokio::net::TcpSocket;

use super::*;
use crate::talk::Talk;
use crate::wire::{Running, Via, soon};

const MEMORY: usize = 4 << 20;

/// What a chunked page ends with.
const LAST: &str = "</html>\n\r\n0\r\n\r\n";

/// A folder whose listing is 2 MB, of which 290 KB are in memory, and 1.4 MB while it is made; another one, and files.
fn fixture() -> Fixture {
    let fixture = Fixture::empty();
    for (folder, entries, name) in [("large", 1000, "'".repeat(240)), ("small", 300, "a".repeat(240))] {
        fs::create_dir(fixture.root().join(folder)).unwrap();
        for index in 0..entries {
            File::create(fixture.root().join(format!("{folder}/{index}-{name}"))).unwrap();
        }
    }
    fixture.write("huge", [b"x".repeat(4 << 20), b"y".to_vec()].concat());
    fixture.write("file", "ok");
    fixture
}

async fn ask(mut talk: Talk, target: &str) -> (Talk, String) {
    talk.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
    let head = talk.head().await;
    (talk, head.lines().next().unwrap_or_default().to_owned())
}

/// Asks, takes the head of the answer, and has no room for much more.
async fn begin(server: &Running, target: &str) -> (Talk, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let connection = soon("a connection", socket.connect(server.address(Via::Tcp))).await.unwrap();
    ask(Talk::from(connection), target).await
}

/// So many clients of each target take nothing, while others want something of everything. Then the first ones go on,
/// and so many of them are cut.
async fn check(clients: usize, targets: &[&str], cut: usize) {
    let fixture = fixture();
    // With a layer around them files are read, on plain TCP too.
    let server =
        Server::new().mount("/", fixture.files().cache(0).read_memory(MEMORY)).layer(map_response(ready::<Response>));
    let server = Running::start(server).await;
    let mut held = Vec::new();
    for index in 0..clients {
        for target in targets {
            let (talk, status) = begin(&server, target).await;
            assert_eq!(status, "HTTP/1.1 200 OK", "{target} of client {index}");
            held.push(talk);
        }
    }
    for (target, end) in
        [("/large/", LAST), ("/large/?sort=size", LAST), ("/small/", LAST), ("/huge", "y"), ("/file", "ok")]
    {
        let (mut talk, status) = ask(Talk::connect(&server, Via::Tcp).await, target).await;
        assert_eq!(status, "HTTP/1.1 200 OK", "{target} beside {clients} that take nothing of {targets:?}");
        let rest = talk.text().await;
        let is_whole = rest.ends_with(end);
        assert!(is_whole, "{target} ends after {} bytes", rest.len());
    }
    for talk in held.iter_mut().take(cut) {
        let rest = talk.text().await;
        assert!(!rest.ends_with(LAST), "nothing is missing of {} bytes", rest.len());
    }
    assert_eq!(server.handle.counters().closed_slow, cut as u64);
}

#[tokio::test]
async fn listings_of_which_nothing_is_taken_hold_up_nobody() {
    check(14, &["/large/"], 2).await;
    check(5, &["/large/?sort=size", "/large/?sort=-size", "/large/?sort=-name", "/small/"], 2).await;
}

#[tokio::test]
async fn files_of_which_nothing_is_taken_hold_up_no_listing() {
    check(40, &["/huge"], 0).await;
}

#[tokio::test]
async fn the_listing_that_is_taken_gives_way_last() {
    let fixture = fixture();
    let files = fixture.files().read_memory(MEMORY);
    let begin = async |target: &str| {
        let mut response = start(files.clone(), request("GET", target)).await;
        assert_eq!(response.status(), 200, "{target}");
        response.body_mut().frame().await.unwrap().unwrap();
        response.into_body()
    };
    let mut taken = begin("/large/").await;
    let mut others = Vec::new();
    for index in 0..40 {
        others.push(begin(if index % 2 == 0 { "/large/" } else { "/large/?sort=-name" }).await);
        taken.frame().await.unwrap().expect("the next piece");
    }
    let rest = taken.collect().await.expect("all pieces").to_bytes();
    assert!(rest.ends_with(b"</html>\n"));
    let mut whole = Vec::new();
    for (index, other) in others.into_iter().enumerate() {
        match other.collect().await {
            Ok(_) => whole.push(index),
            Err(error) => assert!(error.to_string().contains("memory"), "{error}"),
        }
    }
    let last = 40 - whole.len();
    assert!(last > 20 && whole.iter().copied().eq(last..40), "{whole:?} of 40 that stalled, the last ones first");
}

#[tokio::test]
async fn a_monitor_tells_what_each_folder_holds() {
    let (fixture, docs) = (fixture(), Fixture::empty());
    let server = Server::new()
        .mount("/docs", docs.files().read_memory(MEMORY))
        .mount("/", fixture.files().cache(7).read_memory(MEMORY));
    let monitor = server.monitor();
    let of_folders =
        || monitor.budgets().into_iter().filter_map(|budget| Some((budget.mount?, budget.name, budget.used)));
    assert_eq!(of_folders().count(), 0, "before the server starts");
    let server = Running::start(server).await;
    let names: Vec<_> = of_folders().map(|(mount, name, _)| (mount, name)).collect();
    let each = |mount: &str| ["read-memory", "file-cache"].map(|name| (mount.to_owned(), name));
    assert_eq!(names, [each("/docs"), each("/")].concat());
    let most = |mount: &str, name: &str| {
        monitor
            .budgets()
            .iter()
            .find(|budget| budget.mount.as_deref() == Some(mount) && budget.name == name)
            .unwrap()
            .most
    };
    assert_eq!((most("/docs", "read-memory"), most("/", "read-memory"), most("/", "file-cache")), (MEMORY, MEMORY, 7));
    let used = || of_folders().filter(|(.., used)| *used > 0).map(|(mount, name, _)| (mount, name)).collect::<Vec<_>>();
    let becomes = async |expected: &[(String, &str)]| {
        let all = async {
            while used() != expected {
                tokio::task::yield_now().await;
            }
        };
        soon("the monitor tells", all).await;
    };
    let (talk, status) = begin(&server, "/large/").await;
    assert_eq!(status, "HTTP/1.1 200 OK");
    becomes(&each("/")[..1]).await;
    drop(talk);
    becomes(&[]).await;
}
