//! Limits are judged on the header alone, before any payload:
//! [RFC 6455 section 10.4](https://www.rfc-editor.org/rfc/rfc6455#section-10.4).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};

use rikki_proto::{Connection, Error, LimitExceeded, Limits, MessageMemory, Output};

use crate::delivery::{End, Outcome, binary, client, ping, receive, server, text};
use crate::wire::{self, BINARY, CONTINUATION, Frame, Length, PING, PONG, TEXT};

fn both(limits: Limits) -> [End; 2] {
    [server(limits), client(limits)]
}

/// A frame of which nothing but the header is ever sent.
fn header(opcode: u8, length: u64) -> Frame {
    Frame::new(opcode, []).length(Length::Announced(length))
}

/// `frames` exceed the limit, and do so before the payload of the last one has come.
#[track_caller]
fn refused(limits: Limits, frames: &[Frame], error: LimitExceeded, code: u16) {
    let error = Error::from(error);
    for end in both(limits) {
        let output = end.own(vec![Frame::close(code, &error.to_string())]);
        let expected = Outcome { events: Vec::new(), error: Some(error), output };
        let whole = end.incoming(frames);
        let payload = frames.last().unwrap().payload.len();
        end.check(&whole, &expected);
        end.check(&whole[..whole.len() - payload], &expected);
    }
}

#[track_caller]
fn too_long(limit: usize, frames: &[Frame], length: u64) {
    let error = LimitExceeded::MessageTooLong { length, limit };
    refused(Limits::default().max_message_size(limit), frames, error, 1009);
}

#[test]
fn one_frame() {
    for opcode in [TEXT, BINARY] {
        for length in [1, 126, 127, 4097, 70_000] {
            let frame = Frame::new(opcode, vec![b'a'; length]);
            too_long(length - 1, std::slice::from_ref(&frame), length as u64);
            too_long(length - 1, &[frame.part()], length as u64);
        }
        too_long(4096, &[header(opcode, (1 << 63) - 1)], (1 << 63) - 1);
        // The default is 4 MiB.
        too_long(4_194_304, &[header(opcode, 4_194_305)], 4_194_305);
    }
}

#[test]
fn the_sum_of_the_fragments() {
    let part = |length| Frame::new(CONTINUATION, vec![b'a'; length]).part();
    let start = |length| Frame::new(TEXT, vec![b'a'; length]).part();
    too_long(100, &[start(100), part(1)], 101);
    too_long(100, &[start(0), part(50), part(0), part(50), part(1)], 101);
    too_long(100, &[start(1), header(CONTINUATION, 70_000)], 70_001);
    // A sum of more than 64 bits.
    too_long(usize::MAX / 4, &[start(1), header(CONTINUATION, (1 << 63) - 1)], 1 << 63);
}

#[test]
fn exactly_the_limit_passes_and_control_frames_do_not_count() {
    let frames = [
        Frame::new(TEXT, [b'a'; 60]).part(),
        Frame::new(PING, [0; 125]),
        Frame::new(CONTINUATION, [b'a'; 40]),
        Frame::new(BINARY, [1; 100]),
    ];
    for end in both(Limits::default().max_message_size(100)) {
        let expected = Outcome {
            events: vec![ping(&[0; 125]), text(&"a".repeat(100)), binary(&[1; 100])],
            error: None,
            output: end.own(vec![Frame::new(PONG, [0; 125])]),
        };
        end.check(&end.incoming(&frames), &expected);
    }
}

/// A message of `count` fragments with this payload each.
fn fragments(count: usize, payload: &str) -> Vec<Frame> {
    let mut frames = vec![Frame::new(CONTINUATION, payload).part(); count];
    frames[0].opcode = TEXT;
    frames[count - 1].fin = true;
    frames
}

#[test]
fn fragments_of_one_message_empty_ones_too() {
    for payload in ["", "a"] {
        for limit in [1, 2, 7] {
            let limits = Limits::default().max_fragments(limit);
            refused(limits, &fragments(limit as usize + 1, payload), LimitExceeded::TooManyFragments { limit }, 1008);
            for end in both(limits) {
                // Each message counts for itself.
                let stream = end.incoming(&fragments(limit as usize, payload)).repeat(3);
                let events = vec![text(&payload.repeat(limit as usize)); 3];
                end.check(&stream, &Outcome { events, ..Outcome::default() });
            }
        }
    }
}

#[test]
fn the_default_is_16_384_fragments() {
    for payload in ["", "a"] {
        for end in both(Limits::default()) {
            let taken = end.deliver([&end.incoming(&fragments(16_384, payload))[..]]);
            assert_eq!(taken.events, [text(&payload.repeat(16_384))]);
            let refused = end.deliver([&end.incoming(&fragments(16_385, payload))[..]]);
            assert_eq!(refused.error, Some(LimitExceeded::TooManyFragments { limit: 16_384 }.into()));
        }
    }
}

/// A message of one frame has one fragment, so that no limit may depend on how it is cut.
#[test]
fn a_limit_of_no_fragments_takes_messages_of_one_frame() {
    for end in both(Limits::default().max_fragments(0)) {
        let expected = Outcome { events: vec![text("whole")], ..Outcome::default() };
        end.check(&end.incoming(&[Frame::new(TEXT, "whole")]), &expected);
    }
}

/// A connection that shares memory with others, and what has come of it.
struct Sharing {
    end: End,
    connection: Connection,
}

impl Sharing {
    fn new(end: End, memory: &Arc<MessageMemory>) -> Self {
        let mut connection = end.connection();
        connection.set_message_memory(memory.clone());
        Self { end, connection }
    }

    /// Feeds a frame, and expects so many messages or a refusal.
    #[track_caller]
    fn check(&mut self, frame: Frame, expected: Result<usize, LimitExceeded>) {
        let (mut outcome, mut output) = (Outcome::default(), Output::default());
        receive(&mut self.connection, &self.end.incoming(&[frame]), &mut output, &mut outcome);
        assert_eq!(outcome.error.map_or(Ok(outcome.events.len()), Err), expected.map_err(Error::from));
        let told = outcome.error.map(|error| self.end.own(vec![Frame::close(1013, &error.to_string())]));
        assert_eq!(wire::read(&output.to_vec()), told.unwrap_or_default());
    }
}

impl Sharing {
    /// Whether its message had to give way; if so, the peer is told.
    #[track_caller]
    fn is_evicted(&mut self) -> bool {
        let mut output = Output::default();
        match self.connection.poll_evicted(&mut Context::from_waker(Waker::noop()), &mut output) {
            Poll::Ready(error) => {
                assert_eq!(error, LimitExceeded::NoMessageMemory.into());
                assert_eq!(wire::read(&output.to_vec()), self.end.own(vec![Frame::close(1013, &error.to_string())]));
                true
            }
            Poll::Pending => false,
        }
    }
}

#[test]
fn the_memory_of_all_unfinished_messages() {
    let begun = |length| Frame::new(BINARY, vec![7; length]).part();
    let more = |length| Frame::new(CONTINUATION, vec![7; length]).part();
    let used_up = Err(LimitExceeded::NoMessageMemory);
    for end in both(Limits::default()) {
        let memory = Arc::new(MessageMemory::new(100_000));
        let [mut first, mut second, mut third, mut fourth] = [(); 4].map(|()| Sharing::new(end, &memory));
        first.check(begun(60_000), Ok(0));
        // Its buffer doubles: 32 KiB are taken.
        second.check(begun(16_384), Ok(0));
        second.check(more(1), Ok(0));
        assert!(!first.is_evicted());
        // The oldest pays for the latest.
        third.check(begun(16_385), Ok(0));
        assert!(first.is_evicted() && !second.is_evicted() && !third.is_evicted());
        // The oldest that grows is refused itself, and gives its part back.
        second.check(more(80_000), used_up);
        assert!(!third.is_evicted());
        // What is whole was never counted, nor is what is small.
        fourth.check(Frame::new(BINARY, vec![7; 99_000]), Ok(1));
        fourth.check(begun(16_384), Ok(0));
        assert!(!third.is_evicted());
        fourth.check(Frame::new(CONTINUATION, []), Ok(1));
        // What becomes whole gives its part back, and so does what is gone.
        third.check(Frame::new(CONTINUATION, []), Ok(1));
        fourth.check(begun(100_000), Ok(0));
        fourth.check(Frame::new(CONTINUATION, []), Ok(1));
        third.check(begun(100_000), Ok(0));
        drop(third);
        fourth.check(begun(60_000), Ok(0));
        // Several give way to one, and no more than have to.
        let [mut fifth, mut sixth, mut seventh] = [(); 3].map(|()| Sharing::new(end, &memory));
        fifth.check(begun(20_000), Ok(0));
        sixth.check(begun(20_000), Ok(0));
        seventh.check(begun(80_000), Ok(0));
        assert!(fourth.is_evicted() && fifth.is_evicted() && !sixth.is_evicted());
    }
}

#[test]
fn a_message_alone_may_be_as_large_as_messages_may_be() {
    for end in both(Limits::default()) {
        let memory = Arc::new(MessageMemory::new(100_000));
        let [mut alone, mut late] = [(); 2].map(|()| Sharing::new(end, &memory));
        alone.check(Frame::new(BINARY, vec![7; 100_001]).part(), Ok(0));
        alone.check(Frame::new(CONTINUATION, vec![7; 200_000]).part(), Ok(0));
        late.check(Frame::new(BINARY, vec![7; 20_000]).part(), Ok(0));
        assert!(alone.is_evicted() && !late.is_evicted());
    }
}

#[test]
fn whoever_has_to_give_way_is_woken() {
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }
    let memory = Arc::new(MessageMemory::new(100_000));
    let end = server(Limits::default());
    let [mut first, mut second] = [(); 2].map(|()| Sharing::new(end, &memory));
    first.check(Frame::new(BINARY, vec![7; 60_000]).part(), Ok(0));
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    let mut cx = Context::from_waker(&waker);
    assert!(first.connection.poll_evicted(&mut cx, &mut Output::default()).is_pending());
    second.check(Frame::new(BINARY, vec![7; 30_000]).part(), Ok(0));
    assert!(!woken.0.load(Relaxed));
    second.check(Frame::new(CONTINUATION, vec![7; 30_000]).part(), Ok(0));
    assert!(woken.0.load(Relaxed));
}
