//! Clients that go away while they are answered: who has sent all is answered whole, who resets is given up at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::routing::get;
use futures_util::{StreamExt, stream};
use rikki::Server;
use tokio::io::AsyncWriteExt;

use crate::talk::Talk;
use crate::wire::{BOTH, Running, soon};

/// How many handlers of `/wait` are at work, which never answer.
#[derive(Clone, Default)]
struct AtWork(Arc<AtomicUsize>);

struct Work(AtWork);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AtWork {
    fn server(&self) -> Server {
        let at_work = self.clone();
        let wait = get(async move || {
            at_work.0.fetch_add(1, Ordering::Relaxed);
            let _work = Work(at_work);
            std::future::pending::<()>().await;
        });
        let slow = get(async || {
            tokio::time::sleep(Duration::from_millis(100)).await;
            "slow"
        });
        Server::new().route("/wait", wait).route("/slow", slow)
    }

    async fn come_to(&self, expected: usize, what: &str) {
        soon(what, async {
            while self.0.load(Ordering::Relaxed) != expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

fn ask(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")
}

/// What ends a connection with RST when it is dropped.
async fn reset(mut talk: Talk) {
    talk.stream.tcp().set_zero_linger().unwrap();
}

/// A request is over where its framing says so, and never by the end of what is sent:
/// <https://www.rfc-editor.org/rfc/rfc9112#section-6.3>
#[tokio::test]
async fn who_has_sent_all_is_answered_whole() {
    const LENGTH: usize = 8 << 20;
    let folder = std::env::temp_dir().join(format!("rikki-gone-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("listed")).unwrap();
    std::fs::write(folder.join("large"), vec![b'x'; LENGTH]).unwrap();
    std::fs::write(folder.join("listed/entry"), "").unwrap();
    let server = Running::start(AtWork::default().server().files(&folder)).await;
    for via in BOTH {
        let check = async |requests: String, least: usize, end: &str| {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(requests).await;
            talk.stream.shutdown().await.unwrap();
            let answer = talk.text().await;
            assert!(answer.len() >= least, "{via:?}: {} of {least} bytes", answer.len());
            assert!(answer.ends_with(end), "{via:?}: {answer:?}");
        };
        check(ask("/large", "Connection: close\r\n"), LENGTH, "xxx").await;
        check(ask("/slow", ""), 4, "slow").await;
        check(ask("/listed/", "Accept: application/json\r\n"), 4, "\r\n0\r\n\r\n").await;
        check([ask("/slow", ""), ask("/large", ""), ask("/slow", "")].concat(), LENGTH, "slow").await;
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn who_resets_is_given_up() {
    let at_work = AtWork::default();
    let server = Running::start(at_work.server()).await;
    let behind = [ask("/wait", ""), ask("/wait", ""), "GET / HTTP/1.1\r\nX: ".to_owned()];
    for via in BOTH {
        for (what, more, half_closed) in [
            ("an answer", String::new(), false),
            ("an answer with requests behind it", behind.concat(), false),
            ("an answer with more behind it than is read", behind.concat() + &"x".repeat(1 << 20), false),
            ("an answer to who has sent all", String::new(), true),
            ("an answer to who has sent all, with requests behind it", behind.concat(), true),
        ] {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(ask("/wait", "")).await;
            at_work.come_to(1, "a handler").await;
            // More than buffers take is not written to its end.
            let _ = tokio::time::timeout(Duration::from_millis(200), talk.stream.write_all(more.as_bytes())).await;
            if half_closed {
                talk.stream.shutdown().await.unwrap();
                // Seen by the server before what comes next.
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert_eq!(at_work.0.load(Ordering::Relaxed), 1, "{via:?}: {what} goes on");
            }
            reset(talk).await;
            at_work.come_to(0, &format!("the end of {what}, {via:?}")).await;
        }
    }
}

/// A page that shows events has been closed when the browser has sent all: its handler learns of that at once, while an
/// answer that ends by itself is made to its end.
#[tokio::test]
async fn a_stream_without_an_end_ends_with_the_half_of_its_client() {
    let at_work = AtWork::default();
    let stream = |at_work: &AtWork, kind: &'static str, ends: bool| {
        let at_work = at_work.clone();
        get(async move || {
            at_work.0.fetch_add(1, Ordering::Relaxed);
            let work = Work(at_work);
            let later = async move {
                let _work = work;
                let wait = if ends { Duration::from_millis(1500) } else { Duration::MAX };
                tokio::time::sleep(wait).await;
                Ok::<_, std::convert::Infallible>("last")
            };
            let body = stream::iter([Ok("first")]).chain(stream::once(later));
            ([("content-type", kind)], Body::from_stream(body))
        })
    };
    let server = at_work.server();
    let server = server.route("/events", stream(&at_work, "text/event-stream; charset=utf-8", false));
    let server = Running::start(server.route("/report", stream(&at_work, "text/plain", true))).await;
    for via in BOTH {
        for (path, end) in [("/events", ""), ("/report", "last\r\n0\r\n\r\n")] {
            let mut talk = Talk::connect(&server, via).await;
            talk.send(ask(path, "")).await;
            talk.head().await;
            talk.bytes(b"5\r\nfirst\r\n".len()).await;
            assert_eq!(at_work.0.load(Ordering::Relaxed), 1);
            let since = std::time::Instant::now();
            talk.stream.shutdown().await.unwrap();
            at_work.come_to(0, &format!("the end of {path}, {via:?}")).await;
            if path == "/events" {
                assert!(since.elapsed() < Duration::from_millis(1000), "{:?}", since.elapsed());
            } else {
                assert!(talk.text().await.ends_with(end), "{via:?}: {path} is whole");
            }
        }
    }
}
