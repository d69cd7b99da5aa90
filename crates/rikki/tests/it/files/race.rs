//! Names that lead elsewhere from one moment to the next.

use rikki::Server;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;
use crate::talk::Talk;
use crate::wire::{Running, Via};

/// `swapped` is by turns a file of the root and a link to the secret. An answer may be one of two; it is never late
/// and never the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_link_that_is_swapped_under_a_request() {
    let fixture = Fixture::full();
    let files = fixture.files();
    let (file, link) = (fixture.root().join("swapped"), fixture.root().join("swap-link"));
    fixture.write("swapped", "ok");
    symlink("../secret", &link).unwrap();
    let done = AtomicBool::new(false);
    let (mut served, mut refused) = (0, 0);
    let swap = || {
        while !done.load(Ordering::Relaxed) {
            renameat_with(CWD, &file, CWD, &link, RenameFlags::EXCHANGE).unwrap();
        }
    };
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let swapping = scope.spawn(swap);
            for _ in 0..100_000 {
                let answer = handle.block_on(get(&files, "/swapped"));
                match (answer.status.as_u16(), answer.text()) {
                    (200, "ok") => served += 1,
                    (404, "404 Not Found\n") => refused += 1,
                    // Opened anew each time the name has changed meanwhile, it may have changed each time.
                    (503, "503 Service Unavailable\n") => {}
                    (status, text) => {
                        done.store(true, Ordering::Relaxed);
                        panic!("{status} {text}");
                    }
                }
            }
            done.store(true, Ordering::Relaxed);
            swapping.join().unwrap();
        });
    });
    assert!(served > 1000 && refused > 1000, "the swap must be seen from both sides: {served} and {refused}");
}

/// A key below the root that is renewed by rename, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_key_that_is_renewed_under_a_request() {
    let fixture = Fixture::full();
    let key = fixture.write("key.pem", CANARY);
    let files = fixture.files().deny(&key).unwrap();
    let new = fixture.0.join("new.pem");
    let done = AtomicBool::new(false);
    let handle = tokio::runtime::Handle::current();
    let (mut leaked, mut served) = (0, 0);
    tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    fs::write(&new, CANARY).unwrap();
                    fs::rename(&new, &key).unwrap();
                }
            });
            for _ in 0..20_000 {
                leaked += usize::from(handle.block_on(get(&files, "/key.pem")).text().contains(CANARY));
                served += usize::from(handle.block_on(get(&files, "/ok.txt")).status == 200);
            }
            done.store(true, Ordering::Relaxed);
        });
    });
    assert_eq!(leaked, 0, "of 20000 answers had the key");
    assert!(served > 10_000, "{served} of 20000 others were served");
}

/// Two folders change places again and again, each with a file that is kept. Many ask for it all the time, so that there
/// is always a check that was made for somebody else: who asks after a change sees it.
#[tokio::test]
async fn who_asks_after_a_change_sees_it() {
    let fixture = Fixture::empty();
    let (now, then) = (fixture.root().join("now"), fixture.root().join("then"));
    fixture.write("now/file", "a");
    fixture.write("then/file", "b");
    // What has changed lately is not kept.
    let settled = tokio::time::Instant::now() + Duration::from_millis(2100);
    let server = Running::start_on(1, Server::new().mount("/", fixture.files())).await;
    let ask = async |talk: &mut Talk| {
        talk.send("GET /now/file HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        talk.head().await;
        talk.bytes(1).await[0]
    };
    let mut others = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let mut talk = Talk::connect(&server, Via::Tcp).await;
        others.spawn(async move {
            loop {
                ask(&mut talk).await;
            }
        });
    }
    tokio::time::sleep_until(settled).await;
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    for change in 0..2000 {
        let expected = if change % 2 == 0 { b'b' } else { b'a' };
        renameat_with(CWD, &now, CWD, &then, RenameFlags::EXCHANGE).unwrap();
        assert_eq!(ask(&mut talk).await, expected, "after change {change}");
    }
}
