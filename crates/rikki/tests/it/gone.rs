//! Clients that go away while they are answered: who has sent all is answered whole, who resets is given up at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::routing::get;
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
