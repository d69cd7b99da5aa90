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
