//! Feeds: taken as the peer takes them, never while it does not, and to their end before a drain closes.

use std::sync::Mutex;

use rikki_proto::PreparedMessage;

use super::*;
use crate::feeds::{Fed, Feeds, Outlet};

/// A feed of numbered messages of so many bytes each.
struct Numbers {
    /// How many there are.
    there: Arc<Mutex<usize>>,
    /// How many have been sent.
    sent: usize,
    until: Option<usize>,
    length: usize,
    closes: bool,
}

impl Feeds for Numbers {
    fn poll_feed(&mut self, _: &mut Context<'_>, outlet: &mut Outlet<'_>) -> Fed {
        loop {
            if self.closes {
                outlet.close(CloseCode::TRY_AGAIN_LATER, "too slow");
                return Fed::Full;
            }
            if self.sent == self.until.unwrap_or(usize::MAX).min(*self.there.lock().unwrap()) {
                return Fed::Waiting;
            }
            if outlet.is_full() {
                return Fed::Full;
            }
            outlet.send(&PreparedMessage::new(vec![7; self.length])).unwrap();
            self.sent += 1;
        }
    }

    fn seal(&mut self) -> bool {
        let until = *self.until.get_or_insert(*self.there.lock().unwrap());
        self.sent == until
    }
}

type Quiet = Fixture<fn(&mut Socket<'_>, Message<'_>)>;

/// A connection with a feed, and how many messages that has.
fn fed(script: Script, length: usize) -> (Quiet, Arc<Mutex<usize>>) {
    let mut fixture = Fixture::new(script, Config::default(), quiet as fn(&mut Socket<'_>, Message<'_>));
    let there = Arc::new(Mutex::new(0));
    let numbers = Numbers { there: there.clone(), sent: 0, until: None, length, closes: false };
    fixture.driver.with_socket(Waker::noop(), |socket| *socket.feeds() = Some(Box::new(numbers)));
    (fixture, there)
}

fn numbers(driver: &mut Driver<Script>) -> &mut Numbers {
    let feeds = driver.extras.as_mut().unwrap().feeds.as_mut().unwrap();
    (&mut **feeds as &mut dyn std::any::Any).downcast_mut().unwrap()
}

#[tokio::test]
async fn taken_as_the_peer_takes_them() {
    let (mut fixture, there) = fed(Script::new([]), 100);
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written, b"");
    *there.lock().unwrap() = 3;
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.driver.line.io.written.len(), fixture.driver.line.io.write_calls), (3 * 102, 1));
    // A peer that takes nothing costs what was framed before that was known, and no more.
    fixture.driver.line.io.takes = 0;
    *there.lock().unwrap() = 10_000;
    for _ in 0..5 {
        assert!(fixture.poll().is_pending());
    }
    let framed = (16 * 1024_usize).next_multiple_of(102);
    assert!(fixture.driver.unsent() <= framed, "{} bytes", fixture.driver.unsent());
    let sent = numbers(&mut fixture.driver).sent;
    assert_eq!(sent - 3, fixture.driver.unsent() / 102);
    fixture.driver.line.io.takes = usize::MAX;
    while numbers(&mut fixture.driver).sent < 10_000 {
        assert!(fixture.poll().is_pending());
        fixture.turn().await;
    }
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written.len(), 10_000 * 102);
    assert!(fixture.driver.backlog.is_none());
}

/// A feed with much in it holds up nobody else on the thread.
#[tokio::test]
async fn others_run_in_between() {
    let (mut fixture, there) = fed(Script::new([]), 1);
    *there.lock().unwrap() = 1000;
    for (sent, reads) in [(128, 1), (256, 2), (384, 3)] {
        assert!(fixture.poll().is_pending());
        assert_eq!(numbers(&mut fixture.driver).sent, sent);
        assert_eq!(fixture.driver.line.io.read_calls, reads, "what the peer says is heard all the same");
        assert!(fixture.driver.ticket.is_some(), "it has to come back by itself");
        fixture.turn().await;
    }
}

#[tokio::test]
async fn to_their_end_before_a_drain_closes() {
    let (mut fixture, there) = fed(Script { takes: 0, ..Script::new([]) }, 1000);
    *there.lock().unwrap() = 50;
    assert!(fixture.poll().is_pending());
    let clock = Clock::current();
    clock.drain(CloseCode::GOING_AWAY, Duration::ZERO).await;
    assert!(numbers(&mut fixture.driver).sent < 50, "more than is framed at once");
    // It waits for its peer, and does not come back by itself meanwhile.
    let wakes = fixture.wakes();
    assert!(fixture.poll().is_pending());
    *there.lock().unwrap() = 70;
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.wakes(), wakes);
    fixture.driver.line.io.takes = usize::MAX;
    assert!(fixture.poll().is_pending());
    let written = &fixture.driver.line.io.written;
    assert_eq!(written.len(), 50 * 1004 + 4, "what comes later is not sent");
    assert!(written.ends_with(&[0x88, 2, 3, 0xe9]), "{:02x?}", &written[50 * 1004..]);
    assert!(fixture.driver.extras.as_ref().unwrap().feeds.is_none());
}

/// Behind a Close of ours nothing is taken of them.
#[tokio::test]
async fn closed_by_a_callback() {
    let (mut fixture, there) = fed(Script::new([]), 100);
    *there.lock().unwrap() = 5;
    fixture.driver.with_socket(Waker::noop(), |socket| socket.close(CloseCode::NORMAL, "").unwrap());
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written, [0x88, 2, 3, 0xe8]);
    assert!(fixture.driver.extras.as_ref().unwrap().feeds.is_none());
}

#[tokio::test]
async fn closed_by_a_feed() {
    for has_sender in [false, true] {
        let (mut fixture, there) = fed(Script::new([]), 100);
        let sender = has_sender.then(|| fixture.driver.with_socket(Waker::noop(), |socket| socket.sender()));
        *there.lock().unwrap() = 1;
        assert!(fixture.poll().is_pending());
        if let Some(sender) = &sender {
            sender.send("first").unwrap();
        }
        numbers(&mut fixture.driver).closes = true;
        assert!(fixture.poll().is_pending());
        let behind =
            if has_sender { &b"\x81\x05first\x88\x0a\x03\xf5too slow"[..] } else { b"\x88\x0a\x03\xf5too slow" };
        assert_eq!(fixture.driver.line.io.written[102..].escape_ascii().to_string(), behind.escape_ascii().to_string());
        assert!(fixture.driver.extras.as_ref().unwrap().feeds.is_none());
        assert!(sender.is_none_or(|sender| sender.is_closed()));
    }
}
