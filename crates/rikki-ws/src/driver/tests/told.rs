//! Connections that somebody who looks inside tells to close, one by one or by their endpoint.

use super::*;
use crate::meters::Carrier;
use crate::opening::Opening;

/// A driver that somebody may look into.
fn watched(script: Script, terms: &Arc<Terms>) -> (Driver<Script>, u64) {
    terms.counts().websockets.up();
    let parts = Box::new(http::Request::new(()).into_parts().0);
    let opening = Opening { parts, peer: None, subprotocol: None, is_compressed: false };
    let mut trace = Trace::untold();
    let id = trace.id.get();
    trace.seen = Some(Seen::new(trace.id, (&terms.live, &terms.meters), &opening, None));
    (Driver::new(script, &[], terms.server(), terms.clone(), trace), id)
}

/// One that was let in just before its endpoint was closed.
#[tokio::test]
async fn whoever_begins_where_nobody_is_let_in_is_closed() {
    let terms = Terms::from(Config::default()).at(Some("/a"), Carrier::Tcp);
    assert_eq!(terms.live.close_endpoint("/a", true), Some(Vec::new()));
    let (mut driver, _) = watched(Script::new([]), &terms);
    let mut consumer = Answers { answer: quiet, messages: 0, closed: None };
    assert!(driver.poll(&mut Context::from_waker(Waker::noop()), &mut consumer).is_pending());
    assert_eq!(driver.line.io.written, b"\x88\x02\x03\xe9");
}

/// And those beside it on its thread are not. One of the two waits, the other has had no turn yet.
#[tokio::test]
async fn whoever_is_told_to_close_does() {
    let terms = Terms::from(Config::default()).at(Some("/a"), Carrier::Tcp);
    let mut others = Fixture::new(Script::new([]), Config::default(), echo);
    assert!(others.poll().is_pending());
    let mut consumer = Answers { answer: quiet, messages: 0, closed: None };
    for has_waited in [true, false] {
        let (mut driver, id) = watched(Script::new([]), &terms);
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(wakes.clone());
        let mut poll = |driver: &mut Driver<Script>| driver.poll(&mut Context::from_waker(&waker), &mut consumer);
        if has_waited {
            assert!(poll(&mut driver).is_pending());
        }
        assert!(terms.live.close(id, CloseCode::POLICY_VIOLATION));
        assert_eq!(wakes.0.load(Relaxed), usize::from(has_waited));
        assert!(poll(&mut driver).is_pending());
        assert_eq!(driver.line.io.written, b"\x88\x02\x03\xf0", "{has_waited}");
        assert!(others.poll().is_pending());
        assert!(driver.line.alarm.clock().any_is_to_close() && others.driver.line.io.written.is_empty());
        drop(driver);
        assert!(!others.driver.line.alarm.clock().any_is_to_close(), "nobody looks any longer");
    }
}

/// While it is about to wait for the first time: nobody knows yet whom to wake.
#[tokio::test]
async fn whoever_is_told_to_close_as_it_begins_to_wait_does() {
    let terms = Terms::from(Config::default()).at(Some("/a"), Carrier::Tcp);
    let (mut driver, id) = watched(Script::new([]), &terms);
    driver.line.io.tells = Some((terms.live.clone(), id));
    let mut consumer = Answers { answer: quiet, messages: 0, closed: None };
    let waker = Waker::from(Arc::new(Wakes(AtomicUsize::new(0))));
    assert!(driver.poll(&mut Context::from_waker(&waker), &mut consumer).is_pending());
    assert_eq!(driver.line.io.written, b"\x88\x02\x03\xf0");
}
