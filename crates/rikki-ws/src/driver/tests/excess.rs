//! Peers that send too fast or do not read: rates, policies, and the memory of all queues.

use rikki_proto::SendError;

use super::*;
use crate::driver::reading::LEAST_READ;

/// A connection whose peer takes nothing, with a mark of 100 bytes.
fn stuck(overflow: Overflow) -> Config {
    Config::default().write_queue(100).overflow(overflow)
}

fn unread(reads: impl IntoIterator<Item = Vec<u8>>) -> Script {
    Script { takes: 0, ..Script::new(reads) }
}

#[tokio::test(start_paused = true)]
async fn messages_in_a_second_have_a_limit() {
    let settings = || Config::default().max_message_rate(3);
    for (frames, passed) in [
        (vec![frame(0x81, b"x"); 4], 3),
        // Control frames count too: a flood of pings is a flood.
        (vec![frame(0x81, b"x"), frame(0x89, b""), frame(0x8a, b""), frame(0x81, b"y")], 1),
        // A message in pieces is one.
        (vec![frame(0x01, b"x"), frame(0x00, b"y"), frame(0x00, b"z"), frame(0x00, b"z"), frame(0x80, b"z")], 1),
    ] {
        let pieces = frames.len() == 5;
        let mut fixture = Fixture::new(Script::new([frames.concat(), frame(0x81, b"late")]), settings(), quiet);
        assert!(fixture.poll().is_pending());
        if pieces {
            assert_eq!((fixture.consumer.messages, fixture.consumer.closed.is_none()), (2, true));
            continue;
        }
        assert_eq!(fixture.consumer.messages, passed);
        assert!(matches!(fixture.error(), Error::RateExceeded));
        assert!(fixture.driver.line.io.written.windows(4).any(|close| close == b"\x88\x16\x03\xf0"), "1008");
        assert_eq!(fixture.driver.terms.live.counters().closed_rates, 1);
    }
    // Spread over seconds it is within the limit.
    let mut fixture = Fixture::new(Script::new([]), settings(), quiet);
    for _ in 0..5 {
        fixture.driver.line.io.reads.push_back(frame(0x81, b"x").repeat(3));
        assert!(fixture.poll().is_pending());
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
    assert_eq!((fixture.consumer.messages, fixture.consumer.closed.is_none()), (15, true));
}

/// What was not read for a while comes all at once, and is nobody's fault.
#[tokio::test(start_paused = true)]
async fn a_silence_is_made_up_for_within_bounds() {
    for (silence, messages, refused) in [(6, 12, false), (60, 30, false), (60, 31, true)] {
        let mut fixture = Fixture::new(Script::new([]), Config::default().max_message_rate(3), quiet);
        assert!(fixture.poll().is_pending());
        for _ in 0..silence {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        for _ in 0..silence * 4 {
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        fixture.driver.line.io.reads.push_back(frame(0x81, b"x").repeat(messages));
        assert!(fixture.poll().is_pending());
        assert_eq!(fixture.consumer.closed.is_some(), refused, "{messages} after {silence} s");
    }
}

#[tokio::test]
async fn close_waits_where_only_the_memory_of_all_is_used_up() {
    let settings = with_queues(Config::default().overflow(Overflow::Close), 0);
    let mut fixture = Fixture::new(unread([frame(0x82, &[b'x'; 20_000]), frame(0x81, b"later")]), settings, echo);
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.consumer.messages, fixture.consumer.closed.is_none()), (1, true));
    fixture.driver.line.io.takes = usize::MAX;
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.consumer.messages, 2);
}

#[tokio::test]
async fn bytes_in_a_second_have_a_limit() {
    let settings = Config::default().max_byte_rate(1000);
    let mut fixture = Fixture::new(Script::new([frame(0x82, &[0; 992]), vec![0x82]]), settings.clone(), quiet);
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.consumer.messages, 1, "1,000 bytes with their header");
    assert!(matches!(fixture.error(), Error::RateExceeded), "and one more");
    // Also within a message that has not ended.
    let mut fixture = Fixture::new(Script::new([frame(0x82, &[0; 60_000])[..2000].to_vec()]), settings, quiet);
    assert!(fixture.poll().is_pending());
    assert!(matches!(fixture.error(), Error::RateExceeded));
}

#[tokio::test]
async fn pause_says_full_and_stops_reading() {
    let reads = [frame(0x81, &[b'x'; 200]), frame(0x81, b"more")];
    let mut fixture = Fixture::new(unread(reads), stuck(Overflow::Pause), echo);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.consumer.messages, 1);
    assert_eq!(sender.send("x"), Err(SendError::Full));
    assert_eq!(fixture.driver.terms.live.counters().dropped_messages, 0);
    assert!(fixture.consumer.closed.is_none());
}

#[tokio::test]
async fn close_cuts_who_does_not_read() {
    // By answers of a callback.
    let mut fixture = Fixture::new(unread([frame(0x81, &[b'x'; 200])]), stuck(Overflow::Close), echo);
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
    assert!(matches!(fixture.error(), Error::Overflow));
    // By a sender, to a connection that waits.
    let mut fixture = Fixture::new(unread([]), stuck(Overflow::Close), echo);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    sender.send("x").unwrap();
    assert!(fixture.poll().is_pending());
    let wakes = fixture.wakes();
    sender.send("x".repeat(100)).unwrap();
    assert_eq!(sender.send("y"), Err(SendError::Full));
    assert_eq!(fixture.wakes(), wakes + 1);
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
    assert_eq!(fixture.driver.terms.live.counters().closed_overflows, 1);
    assert_eq!(sender.send("y"), Err(SendError::Closed));
    // Who reads is not cut, however much is sent at once.
    let mut fixture = Fixture::new(Script::new([frame(0x81, &[b'x'; 200])]), stuck(Overflow::Close), echo);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    sender.send("x".repeat(500)).unwrap();
    assert_eq!(sender.send("y"), Err(SendError::Full));
    assert!(fixture.poll().is_pending());
    assert!(fixture.consumer.closed.is_none());
    sender.send("y").unwrap();
}

#[tokio::test]
async fn drop_newest_keeps_what_was_first_and_goes_on_reading() {
    let reads = [frame(0x81, &[b'x'; 200]), frame(0x81, b"lost"), frame(0x81, b"lost too")];
    let mut fixture = Fixture::new(unread(reads), stuck(Overflow::DropNewest), echo);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.consumer.messages, 3);
    assert_eq!(sender.send("lost"), Err(SendError::Dropped));
    assert_eq!(fixture.driver.terms.live.counters().dropped_messages, 3);
    sender.close(CloseCode::NORMAL, "").unwrap();
    fixture.driver.line.io.takes = usize::MAX;
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written.len(), 204 + 4);
    assert!(fixture.driver.line.io.written.ends_with(b"x\x88\x02\x03\xe8"), "a Close is never dropped");
}

#[tokio::test]
async fn drop_oldest_keeps_what_was_last() {
    let mut fixture = Fixture::new(unread([]), stuck(Overflow::DropOldest), quiet);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    sender.send("framed before anything is known of the peer").unwrap();
    assert!(fixture.poll().is_pending());
    sender.ping(b"kept").unwrap();
    for n in 0..1000 {
        sender.send(format!("{n}")).unwrap();
    }
    let live = fixture.driver.terms.live.clone();
    let held = sender.queued();
    assert!((100..400).contains(&held), "the mark and one message: {held}");
    assert_eq!(live.counters().queued_bytes, held as u64);
    fixture.driver.line.io.takes = usize::MAX;
    assert!(fixture.poll().is_pending());
    let written = &fixture.driver.line.io.written;
    assert!(written.windows(6).any(|ping| ping == b"\x89\x04kept"), "{written:?}");
    assert!(written.ends_with(b"\x81\x03999"), "{written:?}");
    let texts = written.iter().filter(|byte| **byte == 0x81).count() as u64;
    assert_eq!(live.counters().dropped_messages, 1001 - texts);
    assert_eq!(live.counters().queued_bytes, 0);
}

#[tokio::test]
async fn when_the_memory_of_all_is_used_up_each_has_little() {
    let settings = with_queues(Config::default(), 1_000_000);
    let live = settings.live.clone();
    let sent = |settings: &Terms| {
        let mut fixture = Fixture::new(unread([]), settings.clone(), quiet);
        let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
        let mut sent = 0;
        while sender.send("x".repeat(1000)).is_ok() {
            sent += 1;
            assert!(fixture.poll().is_pending());
        }
        (fixture, sent)
    };
    let (greedy, first) = sent(&settings);
    assert!((900..=1050).contains(&first), "all there is: {first}");
    let (modest, second) = sent(&settings);
    assert!((15..=18).contains(&second), "16 KiB: {second}");
    assert!(live.counters().queued_bytes > 1_000_000);
    drop((greedy, modest));
    assert_eq!(live.counters().queued_bytes, 0, "given back");
    assert_eq!(sent(&settings).1, first);
}

#[tokio::test]
async fn answers_in_a_backlog_are_counted_until_they_are_written_or_lost() {
    for lost in [true, false] {
        let mut fixture = Fixture::new(unread([frame(0x82, &[7; 5000])]), Config::default(), echo);
        let live = fixture.driver.terms.live.clone();
        assert!(fixture.poll().is_pending());
        assert_eq!(live.counters().queued_bytes, 5004);
        fixture.driver.line.io.takes = 1004;
        assert!(fixture.poll().is_pending());
        assert_eq!(live.counters().queued_bytes, 4000);
        if lost {
            drop(fixture);
        } else {
            fixture.driver.line.io.takes = usize::MAX;
            assert!(fixture.poll().is_pending());
        }
        assert_eq!(live.counters().queued_bytes, 0);
    }
}

/// What it has taken since the last look counts.
#[tokio::test]
async fn who_has_just_read_is_not_cut() {
    let settings = Config::default().write_queue(1000).overflow(Overflow::Close);
    let script = Script { takes: 850, ..Script::new([frame(0x81, b"go")]) };
    let answer = |socket: &mut Socket<'_>, _: Message<'_>| socket.sender().send("x".repeat(100)).unwrap();
    let mut fixture = Fixture::new(script, settings, answer);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    sender.send("x".repeat(900)).unwrap();
    assert!(fixture.poll().is_pending(), "{:?}", fixture.consumer.closed);
    assert_eq!((fixture.driver.line.io.written.len(), fixture.consumer.messages), (850, 1));
    assert!(fixture.consumer.closed.is_none());
    assert!((100..300).contains(&sender.queued()), "{}", sender.queued());
}

/// A callback that a message is handed to may answer it; where there is no room for the answer, the message waits.
#[tokio::test]
async fn pause_holds_though_others_use_the_memory_up() {
    let settings = with_queues(Config::default(), 1_000_000);
    let mut others = settings.queues().share();
    let mut sent = Vec::new();
    let reads = [frame(0x82, &[7; 20_000]), frame(0x81, b"waits")];
    let mut fixture = Fixture::new(unread(reads[..1].to_vec()), settings, |socket, message| {
        if sent.len() == 1 {
            others.set(1_000_000);
        }
        sent.push(socket.send(message));
    });
    assert!(fixture.poll().is_pending());
    // During the callback.
    fixture.driver.line.io.reads.push_back(frame(0x81, b"answered"));
    assert!(fixture.poll().is_pending());
    // Before it: 20,014 bytes are less than the mark was, and more than it is.
    fixture.driver.line.paused = false;
    fixture.driver.line.io.reads.extend(reads[1..].to_vec());
    assert!(fixture.poll().is_pending());
    assert!(fixture.driver.line.paused && fixture.driver.unparsed.is_some());
    assert_eq!(sent, [Ok(()), Ok(())]);
}

#[tokio::test]
async fn what_waits_takes_no_more_than_its_size() {
    let mut fixture = Fixture::new(unread([]), Config::default(), echo);
    let live = fixture.driver.terms.live.clone();
    for count in 1..=12 {
        fixture.driver.line.io.reads.push_back(frame(0x82, &[7; 60_000]));
        assert!(fixture.poll().is_pending());
        assert_eq!(live.counters().queued_bytes, count * 60_004);
        let capacity = fixture.driver.backlog.as_ref().map(|backlog| backlog.output.capacity());
        assert!(capacity.is_some_and(|capacity| capacity < 2 * 60_004), "{capacity:?} after {count}");
    }
    fixture.driver.line.io.takes = usize::MAX;
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.driver.line.io.written.len(), live.counters().queued_bytes), (12 * 60_004, 0));
}

#[tokio::test]
async fn little_is_read_ahead_where_little_may_wait() {
    let unparsed = |settings: Config| {
        let reads = [[frame(0x81, &[b'x'; 200]), vec![0; 60_000]].concat()];
        let mut fixture = Fixture::new(unread(reads), settings, echo);
        assert!(fixture.poll().is_pending());
        fixture.driver.unparsed.as_ref().map(|unparsed| unparsed.bytes.len())
    };
    assert_eq!(unparsed(stuck(Overflow::Pause)), Some(LEAST_READ - 208));
}

/// Of a peer that does not read the same messages are accepted, and arrive in the end, by whatever way they are sent.
#[tokio::test]
async fn a_policy_means_the_same_by_every_way() {
    type Outcomes = Vec<Result<(), SendError>>;
    const COUNT: usize = 50;

    fn settings(overflow: Overflow) -> Config {
        Config::default().write_queue(16_000).overflow(overflow)
    }

    fn entry(number: usize) -> String {
        format!("{number:04}{}", "x".repeat(996))
    }

    fn arrived<F: FnMut(&mut Socket<'_>, Message<'_>)>(mut fixture: Fixture<F>) -> Vec<usize> {
        fixture.driver.line.io.takes = usize::MAX;
        let _ = fixture.poll();
        let frames = fixture.driver.line.io.written.chunks(1004);
        frames.map(|frame| std::str::from_utf8(&frame[4..8]).unwrap().parse().unwrap()).collect()
    }

    fn by_socket(overflow: Overflow) -> (Outcomes, Vec<usize>) {
        let outcomes = std::cell::RefCell::new(Vec::new());
        let read = Script { takes: 0, ..Script::new([frame(0x81, b"go")]) };
        let mut fixture = Fixture::new(read, settings(overflow), |socket: &mut Socket<'_>, _: Message<'_>| {
            outcomes.borrow_mut().extend((0..COUNT).map(|number| socket.send(entry(number))));
        });
        let _ = fixture.poll();
        let arrived = arrived(fixture);
        (outcomes.into_inner(), arrived)
    }

    fn by_sender(overflow: Overflow) -> (Outcomes, Vec<usize>) {
        let script = Script { takes: 0, ..Script::new([]) };
        let mut fixture = Fixture::new(script, settings(overflow), quiet);
        let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
        let send = |number| {
            let sent = sender.send(entry(number));
            let _ = fixture.poll();
            sent
        };
        let outcomes = (0..COUNT).map(send).collect();
        (outcomes, arrived(fixture))
    }

    for overflow in [Overflow::Pause, Overflow::DropNewest] {
        let (by_socket, by_sender) = (by_socket(overflow), by_sender(overflow));
        assert_eq!(by_socket, by_sender, "{overflow:?}");
        assert_eq!(by_socket.1, (0..16).collect::<Vec<_>>(), "{overflow:?}");
    }
    // Here a callback has more on its way, since it writes less often; the last ones come in any case.
    for (outcomes, arrived) in [by_socket(Overflow::DropOldest), by_sender(Overflow::DropOldest)] {
        assert_eq!(outcomes, vec![Ok(()); COUNT]);
        assert!(arrived.is_sorted() && arrived.len() < 18 && arrived.ends_with(&[COUNT - 1]), "{arrived:?}");
    }
    // It is cut, and what has been accepted until then is lost.
    assert_eq!(by_socket(Overflow::Close).0.iter().filter(|sent| sent.is_ok()).count(), 16);
}

/// A large message is looked at before it is taken, and not only what waits already.
#[tokio::test]
async fn large_messages_have_no_more_memory_than_there_is_for_all() {
    const LARGE: usize = 4 << 20;
    const MEMORY: usize = 9 << 20;
    let large = || frame(0x82, &vec![7; LARGE]);
    for overflow in [Overflow::Pause, Overflow::DropNewest, Overflow::DropOldest] {
        let settings = with_queues(Config::default().overflow(overflow), MEMORY);
        let outcomes = std::cell::RefCell::new(Vec::new());
        let echo = |socket: &mut Socket<'_>, message: Message<'_>| outcomes.borrow_mut().push(socket.send(message));
        let waiting = || settings.live.counters().queued_bytes;
        let mut fixtures = Vec::new();
        for _ in 0..4 {
            let mut fixture = Fixture::new(unread([large()]), settings.clone(), echo);
            while fixture.consumer.messages == 0 {
                assert!(fixture.poll().is_pending());
                fixture.turn().await;
            }
            fixtures.push(fixture);
        }
        let refused = if overflow == Overflow::Pause { SendError::Full } else { SendError::Dropped };
        assert_eq!(outcomes.take(), [Ok(()), Ok(()), Err(refused), Err(refused)], "{overflow:?}");
        assert!(waiting() <= MEMORY as u64, "{} bytes", waiting());
        // By a sender it is the same; what is small may wait, and a large one when there is room again.
        let sender = fixtures[3].driver.with_socket(Waker::noop(), |socket| socket.sender());
        assert_eq!(sender.send(vec![7; LARGE]), Err(refused));
        assert_eq!(sender.send("small"), Ok(()));
        fixtures.remove(0);
        assert_eq!(sender.send(vec![7; LARGE]), Ok(()));
        assert!(waiting() <= MEMORY as u64, "{} bytes", waiting());
        drop(fixtures);
        assert_eq!(waiting(), 0);
    }
    // One alone may be larger than what there is.
    let mut alone = Fixture::new(unread([large()]), with_queues(Config::default(), 1 << 20), |socket, message| {
        socket.send(message).unwrap();
    });
    while alone.consumer.messages == 0 {
        assert!(alone.poll().is_pending());
        alone.turn().await;
    }
}

#[tokio::test]
async fn without_a_queue_one_message_goes_at_a_time() {
    let config = Config::default().write_queue(0);
    let mut fixture = Fixture::new(Script::new([[frame(0x81, b"a"), frame(0x81, b"b")].concat()]), config, echo);
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written, b"\x81\x01a\x81\x01b");
}
