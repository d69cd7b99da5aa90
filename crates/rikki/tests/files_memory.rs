//! What responses with files cost, counted for the whole process: hence a test binary of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use rikki::Files;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tower_service::Service as _;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// One test is counted at a time.
fn count() -> (dhat::Profiler, MutexGuard<'static, ()>) {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    (dhat::Profiler::builder().testing().build(), one)
}

/// A folder to serve, gone when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rikki-costs-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn get(files: &Files, target: &str, coding: &str) -> impl Future<Output = Response<Body>> + Send + 'static {
    let request = Request::builder().uri(target).header("accept-encoding", coding).body(Body::empty());
    let answer = files.clone().call(request.unwrap());
    async { answer.await.unwrap() }
}

/// In bytes, since `before`, which is what was held then.
fn peak(before: usize) -> usize {
    dhat::HeapStats::get().max_bytes.saturating_sub(before)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// With 500 files. Each name is listed as 250 times `%27` and 250 times `&#39;`.
fn hostile_names(name: &str) -> Folder {
    let folder = Folder::new(name);
    for index in 0..500 {
        fs::write(folder.0.join(format!("{index:03}{}", "'".repeat(250))), "").unwrap();
    }
    folder
}

#[test]
fn a_listing_is_never_in_memory_as_a_page() {
    let _counting = count();
    let folder = hostile_names("listing");
    let files = Files::new(&folder.0).unwrap();
    runtime().block_on(async {
        let before = dhat::HeapStats::get().curr_bytes;
        let answers: Vec<_> = (0..64).map(|_| get(&files, "/", "identity")).collect::<JoinSet<_>>().join_all().await;
        assert!(answers.iter().all(|answer| answer.status() == 200));
        let mut sent = 0;
        for mut body in answers.into_iter().map(Response::into_body) {
            while let Some(piece) = body.frame().await {
                sent += piece.unwrap().into_data().unwrap().len();
            }
        }
        assert!(sent > 64 * 500 * 250 * 8, "{sent} bytes");
        assert!(peak(before) < 4 << 20, "{} KiB at most for 64 listings", peak(before) / 1024);
    });
}

/// Each one asks when the one before it has its answer, of which it takes the first piece.
#[test]
fn listings_that_nobody_takes_give_back_their_memory() {
    let _counting = count();
    let folder = hostile_names("listings");
    let files = Files::new(&folder.0).unwrap().read_memory(2 << 20);
    runtime().block_on(async {
        let before = dhat::HeapStats::get().curr_bytes;
        let mut held = Vec::new();
        for index in 0..64 {
            let mut answer = get(&files, "/", "identity").await;
            assert_eq!(answer.status(), 200, "of listing {index}");
            answer.body_mut().frame().await.unwrap().unwrap();
            held.push(answer);
        }
        assert!(peak(before) < 3 << 20, "{} KiB at most for 64 listings", peak(before) / 1024);
    });
}

/// In MiB, as the table of flags has it.
fn told_of_compressions() -> usize {
    let table = include_str!("../../../docs/flags.md");
    let row = table.lines().find(|line| line.starts_with("| `--max-compressions`")).unwrap();
    let (_, figure) = row.split_once("up to ").unwrap();
    figure.split_once(" MiB").unwrap().0.parse().unwrap()
}

/// Of several texts the one that takes most.
#[test]
fn compressing_takes_what_is_told() {
    let _counting = count();
    let folder = Folder::new("compressing");
    let mut state = 1_u32;
    let text: String = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let letter = |shift: u32| char::from(b'a' + (state >> shift & 15) as u8);
        [letter(28), '.', letter(24)]
    })
    .take(700_000)
    .flatten()
    .collect();
    fs::write(folder.0.join("a.txt"), text).unwrap();
    let files = Files::new(&folder.0).unwrap();
    runtime().block_on(async {
        let before = dhat::HeapStats::get().curr_bytes;
        let answer = get(&files, "/a.txt", "br").await;
        assert_eq!(answer.headers()["content-encoding"], "br");
        answer.into_body().collect().await.unwrap();
        let (most, told) = (peak(before), told_of_compressions() << 20);
        assert!(most <= told, "{} KiB, and {} are told", most / 1024, told / 1024);
        assert!(most > told / 2, "only {} KiB of {}", most / 1024, told / 1024);
    });
}

/// As many ranges as a head has room for, and many requests for as many parts as there may be, none of which is read
/// on.
#[test]
fn floods_of_ranges_are_bounded() {
    let _counting = count();
    let folder = Folder::new("ranges");
    fs::File::create(folder.0.join("a.bin")).unwrap().set_len(4 << 20).unwrap();
    let files = Files::new(&folder.0).unwrap().read_memory(2 << 20).max_open(100);
    let ask = |ranges: String| {
        let request = Request::builder().uri("/a.bin").header("range", format!("bytes={ranges}")).body(Body::empty());
        let answer = files.clone().call(request.unwrap());
        async { answer.await.unwrap() }
    };
    runtime().block_on(async {
        let before = dhat::HeapStats::get().curr_bytes;
        for ranges in ["0-,".repeat(4000), "0-0,".repeat(4000), ",".repeat(16_000), format!("0-{}", "9".repeat(16_000))]
        {
            let answer = ask(ranges).await;
            assert!(matches!(answer.status().as_u16(), 200 | 206), "{}", answer.status());
        }
        assert!(peak(before) < 1 << 20, "{} KiB at most for one request", peak(before) / 1024);
        let parts: Vec<_> = (0..16).map(|part| format!("{}-{}", part << 18, (part << 18) + 200_000)).collect();
        let (mut unread, mut refused) = (Vec::new(), 0);
        for _ in 0..1000 {
            let answer = ask(parts.join(",")).await;
            match answer.status().as_u16() {
                206 => {
                    let mut body = answer.into_body();
                    // The head of a part, and the first of its content.
                    let begun = [body.frame().await, body.frame().await];
                    unread.push((begun, body));
                }
                status => {
                    assert_eq!(status, 503);
                    refused += 1;
                }
            }
        }
        assert_eq!((unread.len(), refused), (100, 900));
        assert!(peak(before) < 4 << 20, "{} KiB at most for many", peak(before) / 1024);
    });
}
