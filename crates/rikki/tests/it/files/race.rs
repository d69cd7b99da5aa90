//! Names that lead elsewhere from one moment to the next.

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;

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
