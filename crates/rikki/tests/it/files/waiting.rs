//! What has to wait for the disk: how many may, who loses a place, and what is done once for many.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use http::Response;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tower_service::Service;

use super::*;

/// Runs on a runtime with one thread for blocking work.
fn run(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap().block_on(test);
}

/// Keeps that thread busy until the sender is dropped.
async fn be_busy() -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel::<()>();
    let (busy, is_busy) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        busy.send(()).unwrap();
        let _ = released.recv();
    });
    is_busy.await.unwrap();
    release
}

type Asking = Pin<Box<dyn Future<Output = Result<Response<Body>, std::convert::Infallible>> + Send>>;

/// A request that was begun, and the status of its answer if that is there at once.
fn begin(files: &Files, target: &str) -> (Asking, Option<u16>) {
    let mut asking = files.clone().call(request("GET", target));
    match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => (asking, Some(response.status().as_u16())),
        Poll::Pending => (asking, None),
    }
}

/// Names that were never looked up have to be waited for.
#[test]
fn there_are_places_for_those_who_wait() {
    let fixture = Fixture::full();
    let files = fixture.files();
    run(async {
        let release = be_busy().await;
        let asked: Vec<_> = (0..3000).map(|index| begin(&files, &format!("/missing-{index}"))).collect();
        let refused = asked.iter().filter(|(_, status)| *status == Some(503)).count();
        assert_eq!(refused, 3000 - 1024, "refused of 3000 that wait");
        let (_, status) = begin(&files, "/missing-too");
        assert_eq!(status, Some(503));
        // What is in memory waits for nothing.
        assert_eq!(get(&files, "/ok.txt").await.status, 200);
        // Who has gone waits no more, and nothing is done for them.
        drop(asked);
        let (honest, status) = begin(&files, "/missing-honest");
        assert_eq!(status, None, "there is a place again");
        drop(release);
        assert_eq!(honest.await.unwrap().status(), 404);
        let _release = be_busy().await;
        let done = (0..3000).filter(|index| begin(&files, &format!("/missing-{index}")).1 == Some(404)).count();
        assert_eq!(done, 0, "looked up for those who have gone");
    });
}

/// How often the folder was read.
fn readings(watch: impl std::os::fd::AsFd) -> usize {
    let mut buffer = [MaybeUninit::uninit(); 1 << 16];
    let mut reader = inotify::Reader::new(watch, &mut buffer);
    // Opening and closing lie between two of them; those of one are reported as one.
    std::iter::from_fn(|| reader.next().ok().map(|event| event.events()))
        .filter(|events| events.contains(ReadFlags::ACCESS))
        .count()
}

#[test]
fn a_listing_is_made_once_for_all_who_ask() {
    let fixture = Fixture::empty();
    fixture.write("a", "");
    let watch = inotify::init(CreateFlags::NONBLOCK).unwrap();
    let events = WatchFlags::ACCESS | WatchFlags::OPEN | WatchFlags::CLOSE;
    let files = fixture.files();
    run(async {
        // That there is no index.html is known from then on.
        assert_eq!(get(&files, "/").await.status, 200);
        let release = be_busy().await;
        inotify::add_watch(&watch, fixture.root(), events).unwrap();
        let first = begin(&files, "/");
        // Nobody misses what was there when they asked.
        fixture.write("b", "");
        let asked = (0..100).map(|_| begin(&files, "/")).chain([first]).map(|(asking, _)| asking);
        let mut answers = asked.collect::<JoinSet<_>>();
        drop(release);
        while let Some(answer) = answers.join_next().await {
            let (head, body) = answer.unwrap().unwrap().into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let body = String::from_utf8_lossy(&body);
            assert!(head.status == 200 && body.contains("<a href=\"./b\""), "{head:?} {body}");
        }
        assert_eq!(readings(&watch), 1, "times that the folder was read for 101 listings");
    });
}
