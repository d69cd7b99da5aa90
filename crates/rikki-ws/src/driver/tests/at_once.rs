//! A large message that nothing waits before is written from where it lies.

use super::*;
use crate::buffers::BuffersGuard;
use crate::meters::Shards;

const LARGE: [u8; 5000] = [b'l'; 5000];

fn header() -> Vec<u8> {
    vec![0x82, 126, 0x13, 0x88]
}

fn vectored(reads: impl IntoIterator<Item = Vec<u8>>) -> Script {
    Script { is_vectored: true, ..Script::new(reads) }
}

#[tokio::test]
async fn the_last_of_a_read_is_not_copied() {
    // (what is read at once, messages, writes, and those of them from where it lies)
    let (large, small) = (frame(0x82, &LARGE), frame(0x81, b"small"));
    for (read, messages, writes) in [
        (large.clone(), 1, (1, 1)),
        ([&small[..], &large].concat(), 2, (1, 0)),
        ([&large[..], &small].concat(), 2, (1, 0)),
        (frame(0x82, &LARGE[..4095]), 1, (1, 0)),
    ] {
        *BuffersGuard::take().get() =
            Buffers { output: Output::default(), read: vec![0; READ_SIZE].into(), shards: Shards::default() };
        let mut fixture = Fixture::new(vectored([read]), Config::default(), echo);
        assert!(fixture.poll().is_pending());
        let io = &fixture.driver.line.io;
        assert_eq!((fixture.consumer.messages, (io.write_calls, io.vectored)), (messages, writes));
        let capacity = BuffersGuard::take().get().output.capacity();
        assert_eq!(capacity < 4096, writes.1 > 0, "{capacity} bytes of buffer");
    }
    // A stream that takes one piece at a time gets it in one.
    let mut fixture = Fixture::new(Script::new([large]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.write_calls, 1);
    assert!(fixture.driver.line.io.written == [header(), LARGE.to_vec()].concat());
}

#[tokio::test]
async fn what_a_callback_sends_after_it_is_put_together() {
    let mut fixture = Fixture::new(vectored([frame(0x81, b"go")]), Config::default(), |socket, _| {
        for _ in 0..3 {
            socket.send(&LARGE[..]).unwrap();
        }
    });
    assert!(fixture.poll().is_pending());
    let io = &fixture.driver.line.io;
    assert_eq!((io.write_calls, io.vectored), (2, 1));
    assert!(io.written == [header(), LARGE.to_vec()].concat().repeat(3));
}

#[tokio::test]
async fn what_the_peer_does_not_take_waits_or_is_lost() {
    let frame_length = header().len() + LARGE.len();
    for (takes, lost) in [(0, 2), (3, 2), (4, 2), (1000, 2), (frame_length - 1, 2), (frame_length, 1), (usize::MAX, 0)]
    {
        for goes_on in [true, false] {
            let script = Script { takes, ..vectored([frame(0x81, b"go")]) };
            let mut fixture = Fixture::new(script, Config::default(), |socket, _| {
                socket.send(&LARGE[..]).unwrap();
                socket.send("next").unwrap();
            });
            let terms = fixture.driver.terms.clone();
            assert!(fixture.poll().is_pending());
            assert_eq!(fixture.driver.backlog.is_some(), lost > 0);
            if goes_on {
                fixture.driver.line.io.takes = usize::MAX;
                assert!(fixture.poll().is_pending());
                let expected = [&header()[..], &LARGE, b"\x81\x04next"].concat();
                assert!(fixture.driver.line.io.written == expected, "after {takes} bytes");
            }
            drop(fixture);
            assert_eq!(terms.counts().lost_messages.get(), if goes_on { 0 } else { lost }, "after {takes} bytes");
        }
    }
}

/// Where a part of it is on its way, the rest follows: the peer would take what comes next for it.
#[tokio::test]
async fn a_panic_does_not_take_it_back() {
    for (takes, before, is_on_its_way) in
        [(0, 0, false), (3, 0, true), (1000, 0, true), (usize::MAX, 0, true), (usize::MAX, 1, false)]
    {
        let script = Script { takes, ..vectored([frame(0x81, b"go")]) };
        let mut fixture = Fixture::new(script, Config::default(), |socket, _| {
            let start = socket.output.checkpoint();
            (0..before).for_each(|_| socket.send("taken back").unwrap());
            socket.send(&LARGE[..]).unwrap();
            socket.send("taken back").unwrap();
            socket.close_panicked(start);
        });
        assert!(fixture.poll().is_pending());
        fixture.driver.line.io.takes = usize::MAX;
        assert!(fixture.poll().is_pending());
        let large = if is_on_its_way { [&header()[..], &LARGE].concat() } else { Vec::new() };
        let expected = [&large[..], b"\x88\x02\x03\xf3"].concat();
        assert!(fixture.driver.line.io.written == expected, "after {takes} bytes");
        let lost = before + 1 + u64::from(!is_on_its_way);
        assert_eq!(fixture.driver.terms.counts().lost_messages.get(), lost);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_is_met_again() {
    let script = Script { takes: 1000, breaks: true, eof: true, ..vectored([frame(0x82, &LARGE)]) };
    let mut fixture = Fixture::new(script, Config::default(), echo);
    assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
    assert!(matches!(fixture.error(), Error::Io(_)), "{:?}", fixture.error());
    assert_eq!(fixture.driver.terms.counts().lost_messages.get(), 1);
}
