//! What a connection does when nothing happens, or not the right thing, on a clock that only tests move.

use super::*;
use crate::error::Deadline;

async fn advance(duration: Duration) {
    // In ticks: the clock counts those it sees.
    let end = tokio::time::Instant::now() + duration;
    while tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_shuts_its_half_first_and_discards_until_the_end() {
    let mut fixture = Fixture::new(Script::new([frame(0x88, b"\x03\xe8")]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written, b"\x88\x02\x03\xe8");
    assert!(fixture.driver.line.io.shut_down);
    let closed = fixture.consumer.closed.as_ref().unwrap();
    assert!(closed.code == CloseCode::NORMAL && closed.error.is_none());
    // What still comes is discarded, and the end of the stream is the end.
    fixture.driver.line.io.reads.push_back(frame(0x81, b"late"));
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.consumer.messages, 0);
    fixture.driver.line.io.eof = true;
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
}

#[tokio::test(start_paused = true)]
async fn lingering_ends_though_the_peer_never_stops_sending() {
    let mut fixture = Fixture::new(Script::new([frame(0x88, b"")]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    advance(Duration::from_secs(2)).await;
    fixture.driver.line.io.reads.extend((0..100).map(|_| vec![0; 1000]));
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_peer_still_gets_what_is_unsent() {
    let mut script = Script::new([[frame(0x81, b"hello"), frame(0x88, b"")].concat()]);
    (script.takes, script.eof) = (3, true);
    let mut fixture = Fixture::new(script, Config::default(), echo);
    assert!(fixture.poll().is_pending());
    fixture.driver.line.io.takes = usize::MAX;
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
    assert_eq!(fixture.driver.line.io.written, b"\x81\x05hello\x88\x00");
    assert!(fixture.driver.line.io.shut_down);
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_close_ends_after_its_deadline() {
    let mut fixture = Fixture::new(Script::new([]), Config::default(), echo);
    fixture.driver.with_socket(Waker::noop(), |socket| socket.close(CloseCode::GOING_AWAY, "bye")).unwrap();
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written, b"\x88\x05\x03\xe9bye");
    advance(Duration::from_millis(4500)).await;
    assert!(fixture.poll().is_pending());
    advance(Duration::from_secs(2)).await;
    assert!(fixture.wakes() >= 1, "the clock wakes it");
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
    assert!(matches!(fixture.error(), Error::TimedOut(Deadline::Close)));
}

/// Though all of it is with the kernel, which may hold much.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_does_not_put_off_the_end_of_a_close() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket2::SockRef::from(&listener).set_tcp_notsent_lowat(crate::ahead::LEAST).unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    ours.set_nonblocking(true).unwrap();
    let ours = tokio::net::TcpStream::from_std(ours).unwrap();
    ours.writable().await.unwrap();

    let terms = Terms::from(Config::default());
    terms.counts().websockets.up();
    let mut driver = Driver::new(ours, &[], terms.server(), Arc::new(terms), Trace::untold());
    let Line { io, ahead, .. } = &mut driver.line;
    ahead.raise(io, 1 << 20);
    assert!(driver.line.ahead.is_raised());
    let waker = Waker::from(Arc::<Wakes>::default());
    let sent = driver.with_socket(&waker, |socket| {
        socket.send(vec![0; 600_000])?;
        socket.close(CloseCode::GOING_AWAY, "")
    });
    sent.unwrap();
    let mut consumer = Answers { answer: quiet, messages: 0, closed: None };
    let mut poll = |driver: &mut Driver<_>| driver.poll(&mut Context::from_waker(&waker), &mut consumer);
    assert!(poll(&mut driver).is_pending());
    assert!(driver.backlog.is_none(), "the kernel has all of it");
    for _ in 0..4 {
        advance(Duration::from_secs(1)).await;
        assert!(poll(&mut driver).is_pending());
    }
    advance(Duration::from_secs(2)).await;
    assert!(matches!(poll(&mut driver), Poll::Ready(Stopped::Ended)));
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn silence_is_pinged_and_an_unanswered_ping_is_the_end() {
    let mut fixture = Fixture::new(Script::new([]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    advance(Duration::from_secs(29)).await;
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.driver.line.io.written.len(), fixture.wakes()), (0, 0));
    advance(Duration::from_secs(2)).await;
    assert!(fixture.wakes() >= 1, "the clock wakes it");
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written, b"\x89\x00");
    // Any sign of life starts over.
    advance(Duration::from_secs(9)).await;
    fixture.driver.line.io.reads.push_back(frame(0x8a, b""));
    assert!(fixture.poll().is_pending());
    advance(Duration::from_secs(31)).await;
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written, b"\x89\x00\x89\x00");
    advance(Duration::from_secs(11)).await;
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
    assert!(matches!(fixture.error(), Error::TimedOut(Deadline::Pong)));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_waits_to_be_read_counts() {
    let mut fixture = Fixture::new(Script::new([]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    advance(Duration::from_secs(31)).await;
    assert!(fixture.poll().is_pending());
    // Its task was busy elsewhere for an hour, and meanwhile the pong came.
    advance(Duration::from_secs(3600)).await;
    fixture.driver.line.io.reads.push_back(frame(0x8a, b""));
    assert!(fixture.poll().is_pending());
    assert!(fixture.consumer.closed.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_judged_by_its_reading() {
    let mut script = Script::new([frame(0x82, &[1; 1000])]);
    script.takes = 10;
    let mut fixture = Fixture::new(script, Config::default().write_queue(100), echo);
    assert!(fixture.poll().is_pending());
    // A little progress every 20 s is enough, though no pong can arrive behind what it does not read.
    for _ in 0..5 {
        advance(Duration::from_secs(20)).await;
        fixture.driver.line.io.takes = 10;
        assert!(fixture.poll().is_pending());
        assert!(fixture.consumer.closed.is_none());
    }
    advance(Duration::from_secs(31)).await;
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
    assert!(matches!(fixture.error(), Error::TimedOut(Deadline::Write)));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_dribbles_in_has_a_deadline() {
    let message = frame(0x81, &[b'x'; 100]);
    let mut fixture = Fixture::new(Script::new([message[..6].to_vec()]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    for byte in message.iter().skip(6).take(4) {
        advance(Duration::from_secs(14)).await;
        fixture.driver.line.io.reads.push_back(vec![*byte]);
        assert!(fixture.poll().is_pending());
        assert!(fixture.consumer.closed.is_none());
    }
    advance(Duration::from_secs(6)).await;
    assert!(fixture.poll().is_pending());
    assert!(matches!(fixture.error(), Error::TimedOut(Deadline::Message)));
    assert!(fixture.driver.line.io.written.starts_with(b"\x88\x12\x03\xf0"), "{:?}", fixture.driver.line.io.written);
}

/// One that keeps up may take as long as it needs, in one frame or in many, and pings are no part of it.
#[tokio::test(start_paused = true)]
async fn a_message_is_judged_by_its_progress() {
    // In each second of six minutes, 25 bytes a second less or more than the rate.
    async fn check(per_second: usize, fragments: bool, expected: bool) {
        let whole = 360 * per_second;
        let mut header = vec![0x82, 0xff];
        header.extend((whole as u64).to_be_bytes());
        header.extend([0; 4]);
        let first = if fragments { frame(0x02, b"") } else { header };
        let mut fixture = Fixture::new(Script::new([first]), Config::default(), echo);
        assert!(fixture.poll().is_pending());
        for _ in 0..359 {
            advance(Duration::from_secs(1)).await;
            let piece = vec![b'x'; per_second];
            let piece = if fragments { frame(0x00, &piece) } else { piece };
            fixture.driver.line.io.reads.push_back(piece);
            if fragments {
                fixture.driver.line.io.reads.push_back(frame(0x8a, &[b'p'; 125]));
            }
            if fixture.poll().is_ready() {
                break;
            }
        }
        assert_eq!(fixture.consumer.closed.is_none(), expected, "{per_second} bytes a second, fragments: {fragments}");
        if expected {
            let last = vec![b'x'; per_second];
            fixture.driver.line.io.reads.push_back(if fragments { frame(0x80, &last) } else { last });
            let _ = fixture.poll();
            assert_eq!(fixture.consumer.messages, 1);
        } else {
            assert!(matches!(fixture.error(), Error::TimedOut(Deadline::Message)));
        }
    }
    for fragments in [false, true] {
        check(475, fragments, false).await;
        check(525, fragments, true).await;
        check(10_000, fragments, true).await;
    }
}

/// What we do not read cannot come.
#[tokio::test(start_paused = true)]
async fn a_message_that_waits_for_us_is_not_judged() {
    let message = frame(0x82, &[1; 1000]);
    let begun = [message.clone(), message[..100].to_vec()].concat();
    let mut script = Script::new([begun]);
    script.takes = 10;
    let settings = Config::default().write_timeout(Duration::from_secs(600)).write_queue(100);
    let mut fixture = Fixture::new(script, settings, echo);
    assert!(fixture.poll().is_pending());
    advance(Duration::from_secs(300)).await;
    // It takes all, and goes on with its own 50 s later.
    fixture.driver.line.io.takes = usize::MAX;
    assert!(fixture.poll().is_pending());
    advance(Duration::from_secs(50)).await;
    fixture.driver.line.io.reads.push_back(frame(0x8a, b""));
    let _ = fixture.poll();
    assert!(fixture.consumer.closed.is_none(), "{:?}", fixture.consumer.closed);
}

#[tokio::test(start_paused = true)]
async fn a_drain_wakes_idle_connections_and_closes_them() {
    let mut fixture = Fixture::new(Script::new([]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    Clock::current().drain(CloseCode::GOING_AWAY, Duration::ZERO).await;
    assert_eq!(fixture.wakes(), 1);
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written, b"\x88\x02\x03\xe9");
    let mut late = Fixture::new(Script::new([]), Config::default(), echo);
    assert!(late.poll().is_pending());
    assert_eq!(late.driver.line.io.written, b"\x88\x02\x03\xe9");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_falls_silent_has_to_end_its_messages_too() {
    let mut fixture = Fixture::new(Script::new([frame(0x01, b"open")]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    advance(Duration::from_secs(61)).await;
    fixture.driver.line.io.reads.extend((0..20).map(|_| frame(0x8a, b"")));
    assert!(fixture.poll().is_pending());
    assert!(matches!(fixture.error(), Error::TimedOut(Deadline::Message)));
}

#[tokio::test(start_paused = true)]
async fn deadlines_come_for_a_peer_that_floods_from_its_first_byte_alone_on_its_thread() {
    let mut fixture = Fixture::new(Script::new([frame(0x01, b"open")]), Config::default(), echo);
    // It is never seen to wait, so nothing but its floods can have started the clock.
    for _ in 0..70 {
        fixture.driver.line.io.reads.extend((0..8).map(|_| frame(0x8a, b"")));
        assert!(fixture.poll().is_pending());
        if fixture.consumer.closed.is_some() {
            break;
        }
        advance(Duration::from_secs(1)).await;
    }
    assert!(matches!(fixture.error(), Error::TimedOut(Deadline::Message)));
}

#[tokio::test(start_paused = true)]
async fn a_close_behind_a_long_queue_is_waited_for_while_the_peer_reads() {
    let mut script = Script::new([frame(0x82, &[1; 1000])]);
    script.takes = 10;
    let mut fixture = Fixture::new(script, Config::default(), echo);
    assert!(fixture.poll().is_pending());
    fixture.driver.with_socket(Waker::noop(), |socket| socket.close(CloseCode::NORMAL, "")).unwrap();
    for _ in 0..5 {
        advance(Duration::from_secs(4)).await;
        fixture.driver.line.io.takes = 10;
        assert!(fixture.poll().is_pending());
    }
    advance(Duration::from_secs(6)).await;
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
    assert!(matches!(fixture.error(), Error::TimedOut(Deadline::Close)));
}

/// Behind what was sent, whether the peer talks or not; and each at its own time.
#[tokio::test(start_paused = true)]
async fn a_life_has_an_end() {
    let settings = || Config::default().max_age(Duration::from_secs(1000));
    let mut ends = Vec::new();
    for talks in [false, true, false, true] {
        let mut fixture = Fixture::new(Script::new([]), settings(), echo);
        let started = tokio::time::Instant::now();
        while !fixture.driver.line.io.written.ends_with(b"\x88\x02\x03\xe9") {
            advance(Duration::from_secs(1)).await;
            fixture.driver.line.io.reads.push_back(if talks { frame(0x82, b"x") } else { frame(0x8a, b"") });
            assert!(fixture.poll().is_pending());
            // A paused timer rounds each tick up to whole milliseconds.
            assert!(started.elapsed() < Duration::from_secs(1010), "it lasts too long");
        }
        assert!(started.elapsed() >= Duration::from_secs(900), "{:?}", started.elapsed());
        ends.push(started.elapsed());
        fixture.driver.line.io.reads.push_back(frame(0x88, b"\x03\xe9"));
        fixture.driver.line.io.eof = true;
        assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
        assert!(fixture.consumer.closed.as_ref().unwrap().error.is_none());
    }
    ends.dedup();
    assert!(ends.len() > 1, "all end at the same time: {ends:?}");
    // The clock wakes one that does nothing.
    let mut fixture = Fixture::new(Script::new([]), settings().ping_interval(Duration::MAX), echo);
    assert!(fixture.poll().is_pending());
    advance(Duration::from_secs(1010)).await;
    assert!(fixture.wakes() >= 1);
}
