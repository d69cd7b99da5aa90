//! Who waits for room is told when there is some, for the end when that has come, and for a pong.

use std::future::poll_fn;
use std::pin::pin;

use super::*;
use crate::SendError;
use crate::error::Deadline;
use crate::stream::WebSocket;
use crate::tracker::Tracker;

/// Sends the numbers up to 100, as far as there is room each time.
struct Count {
    next: u32,
    calls: usize,
}

impl Count {
    fn send(&mut self, socket: &mut Socket<'_>) {
        while self.next <= 100 && socket.send(format!("{:05}", self.next)).is_ok() {
            self.next += 1;
        }
    }
}

impl Consumer for Count {
    fn message(&mut self, _: &mut Socket<'_>, _: Message<'_>) -> Result<Flow, Panicked> {
        Ok(Flow::Continue)
    }

    fn writable(&mut self, socket: &mut Socket<'_>) -> Result<(), Panicked> {
        assert!(socket.queued() <= 35, "half of what may wait, at most");
        self.calls += 1;
        self.send(socket);
        Ok(())
    }

    fn closed(&mut self, _: Closed) {}
}

fn driver(script: Script, config: Config) -> Driver<Script> {
    let terms = Terms::from(config);
    terms.counts().websockets.up();
    Driver::new(script, &[], terms.server(), Arc::new(terms), Trace::untold())
}

/// Ten messages of seven bytes wait at most, and a peer takes five of them at a time, or all.
#[tokio::test]
async fn who_sends_much_goes_on_when_there_is_room() {
    for (overflow, takes, most) in
        [(Overflow::Pause, 35, 19), (Overflow::DropNewest, 35, 19), (Overflow::Pause, 9999, 10)]
    {
        let script = Script { takes: 0, ..Script::new([]) };
        let mut driver = driver(script, Config::default().write_queue(70).overflow(overflow));
        let mut count = Count { next: 1, calls: 0 };
        driver.with_socket(Waker::noop(), |socket| count.send(socket));
        assert_eq!(count.next, 11);
        let wakes = Arc::<Wakes>::default();
        let waker = Waker::from(wakes.clone());
        for polls in 0.. {
            assert!(polls < 50, "{} of 700 bytes", driver.line.io.written.len());
            if driver.line.io.written.len() == 700 {
                break;
            }
            // Either the peer takes something, or it comes back by itself.
            driver.line.io.takes = takes;
            let called = count.calls;
            assert!(driver.poll(&mut Context::from_waker(&waker), &mut count).is_pending());
            assert!(count.calls <= called + 1, "others have their turns");
            let is_done = driver.line.io.written.len() == 700;
            assert!(driver.backlog.is_some() || driver.ticket.is_some() || is_done, "nobody would poll it");
            let turns = driver.line.alarm.clock().turns();
            while driver.ticket.is_some_and(|ticket| !turns.has_come(ticket)) {
                tokio::task::yield_now().await;
            }
        }
        let expected: Vec<u8> = (1..=100).flat_map(|number| format!("\0\x05{number:05}").into_bytes()).collect();
        let written = driver.line.io.written.iter().map(|byte| if *byte == 0x81 { 0 } else { *byte });
        assert!(written.eq(expected), "{overflow:?}");
        assert!((1..=most).contains(&count.calls), "{overflow:?}, {takes}: {}", count.calls);
    }
}

/// The peer takes something again just after a refusal: nobody else wakes the connection then.
#[tokio::test]
async fn room_that_comes_at_once_is_not_missed() {
    let mut driver = driver(Script { balks_at: 1, ..Script::new([]) }, Config::default().write_queue(70));
    let mut count = Count { next: 1, calls: 0 };
    driver.with_socket(Waker::noop(), |socket| count.send(socket));
    let waker = Waker::from(Arc::<Wakes>::default());
    for (next, writes) in [(21, 2), (31, 1)] {
        driver.line.io.balks_at = driver.line.io.write_calls + writes;
        assert!(driver.poll(&mut Context::from_waker(&waker), &mut count).is_pending());
        assert_eq!(
            (count.next, driver.line.io.written.len(), driver.ticket.is_some()),
            (next, 7 * (next as usize - 1), true)
        );
        while driver.ticket.is_some_and(|ticket| !driver.line.alarm.clock().turns().has_come(ticket)) {
            tokio::task::yield_now().await;
        }
    }
}

/// Others have all the memory: who fills nothing is not asked again and again.
#[tokio::test]
async fn who_finds_no_memory_does_not_keep_the_thread() {
    struct Large(usize);
    impl Consumer for Large {
        fn message(&mut self, socket: &mut Socket<'_>, _: Message<'_>) -> Result<Flow, Panicked> {
            assert_eq!(socket.send(vec![0; 100_000]), Err(SendError::Full));
            Ok(Flow::Continue)
        }
        fn writable(&mut self, socket: &mut Socket<'_>) -> Result<(), Panicked> {
            self.0 += 1;
            self.message(socket, "".into()).map(|_flow| ())
        }
        fn closed(&mut self, _: Closed) {}
    }
    let mut driver = driver(Script::new([frame(0x81, b"a")]), Config::default());
    driver.terms.live.queue_memory(50_000);
    let mut others = driver.terms.queues().share();
    others.set(40_000);
    let wakes = Arc::<Wakes>::default();
    let waker = Waker::from(wakes.clone());
    let mut large = Large(0);
    for _ in 0..3 {
        assert!(driver.poll(&mut Context::from_waker(&waker), &mut large).is_pending());
        assert_eq!((large.0, wakes.0.load(Relaxed), driver.ticket.is_some()), (0, 0, false));
    }
}

fn is_pending<F: Future>(future: Pin<&mut F>) -> bool {
    future.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

#[tokio::test]
async fn senders_wait_for_room_and_for_the_end() {
    let script = Script { takes: 0, ..Script::new([]) };
    let mut fixture = Fixture::new(script, Config::default().write_queue(1000), quiet);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    assert_eq!(sender.writable().await, Ok(()), "at once");
    assert!(fixture.poll().is_pending());
    while sender.send([7; 98].as_slice()).is_ok() {}
    let other = sender.clone();
    let (mut closed, mut writable) = (pin!(sender.closed()), pin!(async { other.writable().await.unwrap() }));
    while is_pending(writable.as_mut()) {
        assert!(other.queued() > 500 && !fixture.driver.has_written_all(), "{}", other.queued());
        fixture.driver.line.io.takes = 100;
        assert!(fixture.poll().is_pending());
        fixture.turn().await;
        assert!(fixture.poll().is_pending());
    }
    assert!((1..=500).contains(&other.queued()), "{}", other.queued());
    assert!(is_pending(closed.as_mut()));
    other.close(CloseCode::NORMAL, "").unwrap();
    closed.await;
    assert_eq!(sender.writable().await, Err(SendError::Closed));
    // What waits for nothing more than room learns of the end as well, however it comes.
    let mut fixture = Fixture::new(Script { takes: 0, ..Script::new([]) }, Config::default().write_queue(10), quiet);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    sender.send([7; 98].as_slice()).unwrap();
    let (mut writable, mut closed, mut asked) =
        (pin!(sender.writable()), pin!(sender.closed()), pin!(sender.round_trip()));
    assert!(is_pending(writable.as_mut()) && is_pending(closed.as_mut()));
    assert!(matches!(asked.as_mut().await, Err(Error::Send(SendError::Full))));
    drop(fixture);
    closed.await;
    assert_eq!(writable.await, Err(SendError::Closed));
}

fn pong(number: u64) -> Vec<u8> {
    frame(0x8a, &number.to_be_bytes())
}

#[tokio::test(start_paused = true)]
async fn a_pong_answers_its_ping_and_those_before_it() {
    let mut fixture = Fixture::new(Script::new([]), Config::default().pong_timeout(Duration::from_secs(10)), quiet);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    let mut asked: Vec<_> = (0..16).map(|_| Box::pin(sender.round_trip())).collect();
    asked.iter_mut().for_each(|asked| assert!(is_pending(asked.as_mut())));
    assert!(matches!(sender.round_trip().await, Err(Error::Send(SendError::Full))), "one too many");
    assert!(fixture.poll().is_pending());
    let pings: Vec<u8> = (1..=16u64).flat_map(|number| [&b"\x89\x08"[..], &number.to_be_bytes()].concat()).collect();
    assert_eq!(fixture.driver.line.io.written, pings);
    tokio::time::advance(Duration::from_millis(70)).await;
    // Pongs that nobody has asked for, and one for several.
    fixture.driver.line.io.reads.extend([frame(0x8a, b""), pong(99), frame(0x8a, b"12345678"), pong(3), pong(2)]);
    assert!(fixture.poll().is_pending());
    fixture.turn().await;
    assert!(fixture.poll().is_pending());
    let mut unanswered = asked.split_off(3);
    for asked in asked {
        assert_eq!(asked.await.unwrap(), Duration::from_millis(70));
    }
    unanswered.truncate(2);
    let [one, other] = &mut *unanswered else { panic!() };
    assert!(is_pending(one.as_mut()) && is_pending(other.as_mut()));
    // Who has given up leaves room.
    assert!(is_pending(pin!(sender.round_trip())));
    assert!(matches!(one.as_mut().await, Err(Error::TimedOut(Deadline::RoundTrip))), "in time");
    drop(fixture);
    assert!(matches!(other.as_mut().await, Err(Error::Send(SendError::Closed) | Error::TimedOut(_))));
}

fn websocket(script: Script, config: Config) -> (WebSocket, Arc<Terms>) {
    let terms = Arc::new(Terms::from(config));
    terms.counts().websockets.up();
    let (connection, tracker) = (terms.server(), Tracker::default());
    (WebSocket::new(Box::new(script), &[], connection, terms.clone(), None, tracker, Trace::untold()), terms)
}

async fn next(socket: &mut WebSocket) -> Option<Result<Message<'static>, Error>> {
    poll_fn(|cx| futures_core::Stream::poll_next(Pin::new(&mut *socket), cx)).await
}

#[tokio::test(start_paused = true)]
async fn a_ping_keeps_the_messages_before_its_answer() {
    let reads = [frame(0x81, b"a"), [frame(0x81, b"b"), frame(0x81, b"c"), pong(1)].concat(), frame(0x81, b"d")];
    let (mut socket, terms) = websocket(Script::new(reads), Config::default());
    assert!(socket.round_trip().await.unwrap() < Duration::from_secs(1));
    assert!(terms.queues().used() > 0, "they are counted");
    for text in ["a", "b", "c", "d"] {
        assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::from(text));
    }
    assert_eq!(terms.queues().used(), 0);
    assert!(is_pending(pin!(next(&mut socket))), "and reading goes on");
    assert!(matches!(socket.round_trip().await, Err(Error::TimedOut(Deadline::RoundTrip))));

    // No more is kept than may be unsent.
    let reads = [frame(0x82, &[7; 3000]).repeat(9), pong(1)];
    let (mut socket, terms) = websocket(Script::new(reads), Config::default().write_queue(7000));
    assert!(matches!(socket.round_trip().await, Err(Error::TimedOut(Deadline::RoundTrip))));
    assert!(terms.queues().used() < 9 * 3050 + 3050, "{}", terms.queues().used());
    for _ in 0..9 {
        assert_eq!(next(&mut socket).await.unwrap().unwrap().as_bytes().len(), 3000);
    }

    // The end comes in between.
    let (mut socket, _) = websocket(Script { eof: true, ..Script::new([frame(0x81, b"a")]) }, Config::default());
    assert!(matches!(socket.round_trip().await, Err(Error::Send(SendError::Closed))));
    assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::from("a"));
    assert!(matches!(next(&mut socket).await, Some(Err(Error::Io(_)))));
    assert!(next(&mut socket).await.is_none() && socket.sender().is_none());
    assert!(matches!(socket.round_trip().await, Err(Error::Send(SendError::Closed))));
}

#[tokio::test(start_paused = true)]
async fn a_close_is_awaited_to_its_end() {
    let reads = [frame(0x81, b"late"), frame(0x88, b"\x0f\xa0bye")];
    let (mut socket, _) = websocket(Script { eof: true, ..Script::new(reads) }, Config::default());
    assert!(matches!(
        socket.close_with(CloseCode(1005), "").await,
        Err(Error::Send(SendError::InvalidCloseCode(1005)))
    ));
    assert!(socket.closed().is_none());
    socket.close_with(CloseCode(4001), "no such room").await.unwrap();
    let closed = socket.closed().unwrap();
    assert_eq!((closed.code, &*closed.reason), (CloseCode(4000), "bye"));
    assert!(next(&mut socket).await.is_none());
    socket.close_with(CloseCode(4001), "again").await.unwrap();

    // A peer that answers nothing, or talks on, has as long as it may.
    for reads in [vec![], vec![frame(0x81, b"on and on").repeat(5000)]] {
        let config = Config::default().close_timeout(Duration::from_secs(3));
        let (mut socket, _) = websocket(Script::new(reads), config);
        let began = tokio::time::Instant::now();
        assert!(matches!(socket.close_with(CloseCode(4001), "").await, Err(Error::TimedOut(Deadline::Close))));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

/// Nor does anything else that the connection has to do.
#[tokio::test(start_paused = true)]
async fn what_is_sent_does_not_wait_until_all_that_was_kept_is_read() {
    let reads = [[frame(0x81, b"a"), frame(0x81, b"b"), frame(0x81, b"c"), pong(1)].concat()];
    let (mut socket, _terms) = websocket(Script::new(reads), Config::default());
    socket.round_trip().await.unwrap();
    let sender = socket.sender().unwrap();
    for (text, is_last) in [("a", false), ("b", false), ("c", true)] {
        sender.send("an answer").unwrap();
        assert_eq!(next(&mut socket).await.unwrap().unwrap(), Message::from(text));
        assert_eq!(sender.queued() == 0, !is_last, "{text}");
    }
}
