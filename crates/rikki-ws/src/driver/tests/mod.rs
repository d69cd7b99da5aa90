//! The rules of the loop, each on a stream that counts what is done to it and on a clock that only tests move.

mod at_once;
mod deadlines;
mod excess;
mod feeds;
mod large;
mod lost;
mod room;
mod told;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Wake, Waker};
use std::time::Duration;

use rikki_proto::deflate::{self, Compressor};
use rikki_proto::{LimitExceeded, Message};
use tokio::io::ReadBuf;

use super::*;
use crate::buffers::READ_SIZE;
use crate::config::Config;
use crate::handler::{Handler, HandlerTask};
use crate::live::Live;
use crate::sender::Sender;

/// A stream made of scripted reads, which takes as many bytes as it is told to.
#[derive(Default)]
struct Script {
    reads: VecDeque<Vec<u8>>,
    /// After the reads: the end of the stream, or silence.
    eof: bool,
    /// In its place: that the peer has reset the connection.
    resets: bool,
    /// The room that the latest read had.
    room: usize,
    /// How many bytes it takes until it blocks.
    takes: usize,
    /// The write that it takes nothing of, though it takes the next.
    balks_at: usize,
    /// What it says after that: that the peer has reset the connection.
    breaks: bool,
    /// Whether it takes several pieces at once, and the writes of that kind that took something.
    is_vectored: bool,
    vectored: usize,
    /// Whether bytes lie inside until they are flushed, as in TLS.
    buffers: bool,
    unflushed: bool,
    written: Vec<u8>,
    read_calls: usize,
    write_calls: usize,
    shut_down: bool,
    /// Which connection somebody tells to close while there is nothing to read.
    tells: Option<(Live, u64)>,
}

impl Script {
    fn new(reads: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { reads: reads.into_iter().collect(), takes: usize::MAX, ..Self::default() }
    }
}

impl AsyncRead for Script {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.read_calls += 1;
        self.room = buffer.remaining();
        match self.reads.pop_front() {
            Some(mut bytes) => {
                let rest = bytes.split_off(bytes.len().min(buffer.remaining()));
                buffer.put_slice(&bytes);
                if !rest.is_empty() {
                    self.reads.push_front(rest);
                }
                Poll::Ready(Ok(()))
            }
            None if self.resets => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            None if self.eof => Poll::Ready(Ok(())),
            None => {
                if let Some((live, id)) = self.tells.take() {
                    assert!(live.close(id, CloseCode::POLICY_VIOLATION));
                }
                Poll::Pending
            }
        }
    }
}

impl AsyncWrite for Script {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write_calls += 1;
        let taken = if self.write_calls == self.balks_at { 0 } else { bytes.len().min(self.takes) };
        if taken == 0 {
            return if self.breaks { Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())) } else { Poll::Pending };
        }
        self.takes -= taken;
        self.unflushed = self.buffers;
        self.written.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let most = if self.is_vectored { pieces.len() } else { 1 };
        let bytes: Vec<_> = pieces.iter().take(most).flat_map(|piece| piece.iter().copied()).collect();
        let written = self.as_mut().poll_write(cx, &bytes);
        self.vectored += usize::from(written.is_ready());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.is_vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut_down = true;
        Poll::Ready(Ok(()))
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// What a test does with each message, and what it was told at the end.
struct Answers<F> {
    answer: F,
    messages: usize,
    closed: Option<Closed>,
}

impl<F: FnMut(&mut Socket<'_>, Message<'_>)> Consumer for Answers<F> {
    fn message(&mut self, socket: &mut Socket<'_>, message: Message<'_>) -> Result<Flow, Panicked> {
        self.messages += 1;
        (self.answer)(socket, message);
        Ok(Flow::Continue)
    }

    fn closed(&mut self, closed: Closed) {
        assert!(self.closed.is_none(), "told twice");
        self.closed = Some(closed);
    }
}

/// A driver on a script, with everything a test looks at.
struct Fixture<F> {
    driver: Driver<Script>,
    consumer: Answers<F>,
    wakes: Arc<Wakes>,
}

impl<F: FnMut(&mut Socket<'_>, Message<'_>)> Fixture<F> {
    fn new(script: Script, terms: impl Into<Terms>, answer: F) -> Self {
        let terms = terms.into();
        terms.counts().websockets.up();
        let driver = Driver::new(script, &[], terms.server(), Arc::new(terms), Trace::untold());
        Self { driver, consumer: Answers { answer, messages: 0, closed: None }, wakes: Arc::default() }
    }

    fn poll(&mut self) -> Poll<Stopped> {
        let waker = Waker::from(self.wakes.clone());
        self.driver.poll(&mut Context::from_waker(&waker), &mut self.consumer)
    }

    /// Until its next turn has come, if it waits for one.
    async fn turn(&self) {
        let turns = self.driver.line.alarm.clock().turns();
        while self.driver.ticket.is_some_and(|ticket| !turns.has_come(ticket)) {
            tokio::task::yield_now().await;
        }
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Relaxed)
    }

    fn error(&self) -> &Error {
        self.consumer.closed.as_ref().and_then(|closed| closed.error.as_ref()).expect("an error")
    }
}

impl From<Config> for Terms {
    /// With budgets and counters of its own.
    fn from(config: Config) -> Self {
        Self::new(&config, &Live::new())
    }
}

/// With so much for all queues.
fn with_queues(config: Config, bytes: usize) -> Terms {
    let terms = Terms::from(config);
    terms.live.queue_memory(bytes);
    terms
}

fn echo(socket: &mut Socket<'_>, message: Message<'_>) {
    let _ = socket.send(message);
}

fn quiet(_: &mut Socket<'_>, _: Message<'_>) {}

/// A masked frame with the key 0, so that its payload is readable.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    testkit::frame_with([0; 4], first, payload)
}

#[tokio::test]
async fn frames_of_one_read_are_answered_with_one_write() {
    let read = frame(0x81, b"twenty bytes of text").repeat(32);
    let mut fixture = Fixture::new(Script::new([read]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.consumer.messages, fixture.driver.line.io.write_calls), (32, 1));
    assert_eq!(fixture.driver.line.io.written, b"\x81\x14twenty bytes of text".repeat(32));
}

#[tokio::test]
async fn an_idle_connection_owns_no_buffer() {
    let cut = frame(0x82, &[7; 300]);
    let (first, second) = cut.split_at(100);
    let mut fixture = Fixture::new(Script::new([first.to_vec(), second.to_vec()]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.consumer.messages, 1);
    assert!(fixture.driver.backlog.is_none() && fixture.driver.unparsed.is_none() && fixture.driver.mailbox.is_none());
    assert!(!fixture.driver.connection.is_mid_message());
}

#[test]
fn a_connection_s_future_stays_small() {
    fn size_of_task<H: Handler>(_: &H) -> usize {
        size_of::<HandlerTask<tokio::net::TcpStream, H>>()
    }
    let size = size_of_task(&|socket: &mut Socket<'_>, message: Message<'_>| socket.send(message));
    assert!(size <= 328, "{size} bytes");
}

#[tokio::test]
async fn a_poll_reads_four_times_and_lets_others_run() {
    let reads = (0..10).map(|_| frame(0x81, b"x"));
    let mut fixture = Fixture::new(Script::new(reads), Config::default(), echo);
    for (reads, messages) in [(4, 4), (8, 8)] {
        let wakes = fixture.wakes();
        assert!(fixture.poll().is_pending());
        assert_eq!((fixture.driver.line.io.read_calls, fixture.consumer.messages), (reads, messages));
        assert_eq!(fixture.wakes(), wakes, "others come first, and the sockets that the runtime looks at");
        fixture.turn().await;
        assert_eq!(fixture.wakes(), wakes + 1, "it has to come back by itself");
        assert!(fixture.driver.backlog.is_none(), "answers are written before others run");
    }
    let wakes = fixture.wakes();
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.consumer.messages, fixture.wakes()), (10, wakes));
}

/// Whoever is flooded with is woken all the time: what more there is waits for its turn like the rest.
#[tokio::test]
async fn more_to_read_does_not_come_before_the_others() {
    let reads = (0..10).map(|_| frame(0x81, b"x"));
    let mut fixture = Fixture::new(Script::new(reads), Config::default(), echo);
    for _ in 0..3 {
        assert!(fixture.poll().is_pending());
        assert_eq!(fixture.consumer.messages, 4);
    }
    fixture.turn().await;
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.consumer.messages, 8);
}

#[tokio::test]
async fn a_message_that_gives_way_to_others_closes_its_connection() {
    let terms = Terms::from(Config::default());
    terms.live.message_memory(100_000);
    let begun = |length| frame(0x02, &vec![7; length]);
    let mut first = Fixture::new(Script::new([begun(60_000)]), terms.clone(), quiet);
    let mut second = Fixture::new(Script::new([begun(60_000)]), terms.clone(), quiet);
    assert!(first.poll().is_pending());
    assert!(second.poll().is_pending());
    assert_eq!((first.wakes(), second.wakes()), (1, 0));
    assert!(first.poll().is_pending());
    assert_eq!(&first.driver.line.io.written[2..4], 1013u16.to_be_bytes());
    assert!(matches!(first.error(), Error::Limit(LimitExceeded::NoMessageMemory)));
    assert!(second.poll().is_pending() && second.consumer.closed.is_none());
}

#[tokio::test]
async fn a_poll_sends_128_queued_messages_and_lets_others_run() {
    let mut fixture = Fixture::new(Script::new([]), Config::default(), quiet);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    for _ in 0..200 {
        sender.send("x").unwrap();
    }
    assert!(fixture.poll().is_pending());
    fixture.turn().await;
    assert_eq!((fixture.driver.line.io.written.len(), fixture.wakes()), (128 * 3, 1));
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.driver.line.io.written.len(), fixture.wakes()), (200 * 3, 1));
}

#[tokio::test]
async fn a_command_wakes_a_waiting_connection_once() {
    let mut fixture = Fixture::new(Script::new([]), Config::default(), quiet);
    let sender: Sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    assert!(fixture.poll().is_pending());
    std::thread::spawn({
        let sender = sender.clone();
        move || (0..3).for_each(|_| sender.send("x").unwrap())
    })
    .join()
    .unwrap();
    assert_eq!(fixture.wakes(), 1);
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written, b"\x81\x01x".repeat(3));
    sender.send("y").unwrap();
    assert_eq!(fixture.wakes(), 2, "the mailbox was registered with again");
}

#[tokio::test]
async fn a_backlog_at_its_mark_stops_parsing_and_half_of_it_resumes() {
    const ANSWER: usize = 4096;
    let read = frame(0x81, b"x").repeat(9000);
    let mut script = Script::new([read, frame(0x81, b"last")]);
    script.takes = 0;
    let mut most = 0;
    let payload = vec![b'y'; ANSWER];
    let mut fixture =
        Fixture::new(script, Config::default().write_queue(ANSWER), |socket: &mut Socket<'_>, _: Message<'_>| {
            socket.send(&payload[..]).unwrap();
            most = most.max(socket.queued());
        });
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.consumer.messages, fixture.driver.line.io.read_calls), (1, 1));
    // Above half of the mark nothing is taken up again.
    fixture.driver.line.io.takes = ANSWER / 4;
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.consumer.messages, fixture.driver.line.io.read_calls), (1, 1));
    // Below it, the kept rest of the read goes first, and no byte is lost.
    fixture.driver.line.io.takes = ANSWER / 2;
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.consumer.messages, fixture.driver.line.io.read_calls), (2, 1));
    fixture.driver.line.io.takes = usize::MAX;
    while fixture.consumer.messages < 9001 {
        assert!(fixture.poll().is_pending());
        fixture.turn().await;
    }
    assert_eq!(fixture.driver.line.io.written.len(), 9001 * (ANSWER + 4));
    drop(fixture);
    assert!(most <= 2 * ANSWER + 20, "the mark and one message: {most}");
}

#[tokio::test]
async fn under_backlog_only_the_latest_ping_is_answered() {
    let mut reads = vec![frame(0x81, &[b'x'; 20])];
    reads.extend((0..3u8).map(|n| frame(0x89, &[b'0' + n])));
    let mut script = Script::new(reads);
    script.takes = 5;
    let mut fixture = Fixture::new(script, Config::default(), echo);
    assert!(fixture.poll().is_pending());
    fixture.turn().await;
    assert!(fixture.poll().is_pending());
    fixture.driver.line.io.takes = usize::MAX;
    assert!(fixture.poll().is_pending());
    assert!(fixture.driver.line.io.written.ends_with(b"x\x8a\x012"), "{:?}", fixture.driver.line.io.written);
    assert_eq!(fixture.driver.line.io.written.len(), 22 + 3);
}

#[tokio::test]
async fn what_lies_inside_the_stream_is_flushed() {
    let mut script = Script::new([frame(0x81, b"x")]);
    script.buffers = true;
    let mut fixture = Fixture::new(script, Config::default(), echo);
    assert!(fixture.poll().is_pending());
    assert!(!fixture.driver.line.io.unflushed && !fixture.driver.line.io.written.is_empty());
}

#[tokio::test]
async fn a_poll_inside_a_poll_has_buffers_of_its_own() {
    let mut inner = Fixture::new(Script::new([frame(0x81, b"inner")]), Config::default(), echo);
    let read = [frame(0x81, b"one"), frame(0x81, b"two")].concat();
    let mut outer =
        Fixture::new(Script::new([read]), Config::default(), |socket: &mut Socket<'_>, message: Message<'_>| {
            assert!(inner.poll().is_pending());
            socket.send(message).unwrap();
        });
    assert!(outer.poll().is_pending());
    assert_eq!(outer.driver.line.io.written, b"\x81\x03one\x81\x03two");
    drop(outer);
    assert_eq!(inner.driver.line.io.written, b"\x81\x05inner");
}

#[tokio::test]
async fn a_violation_is_told_before_the_end_and_nothing_after_it_is_read_as_a_message() {
    let read = [frame(0x81, b"good"), vec![0x81, 0x01, b'x'], frame(0x81, b"late")].concat();
    let mut fixture = Fixture::new(Script::new([read, frame(0x81, b"later")]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.consumer.messages, 1);
    assert!(
        fixture.driver.line.io.written.starts_with(b"\x81\x04good\x88\x19\x03\xea"),
        "{:?}",
        fixture.driver.line.io.written
    );
    assert!(fixture.driver.line.io.shut_down);
    assert!(matches!(fixture.error(), Error::Protocol(_)));
}

/// It refuses a message, says why and is gone, with what we still write unread.
#[tokio::test]
async fn what_the_peer_said_before_it_went_is_read() {
    let close = [frame(0x81, b"last words"), frame(0x88, b"\x03\xf1too big")].concat();
    let broken = |reads: Vec<Vec<u8>>| {
        let mut fixture =
            Fixture::new(Script { takes: 0, breaks: true, eof: true, ..Script::new(reads) }, Config::default(), quiet);
        fixture.driver.with_socket(Waker::noop(), |socket| socket.send(vec![0; 100])).unwrap();
        assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
        fixture
    };
    let fixture = broken(vec![close[..9].to_vec(), close[9..].to_vec()]);
    let closed = fixture.consumer.closed.as_ref().unwrap();
    assert_eq!((fixture.consumer.messages, closed.code), (1, CloseCode::MESSAGE_TOO_BIG));
    assert!(closed.error.is_none());
    // One that went without a word, or in the middle of one.
    for reads in [vec![], vec![close[..20].to_vec()]] {
        let fixture = broken(reads);
        assert_eq!(fixture.consumer.closed.as_ref().unwrap().code, CloseCode::ABNORMAL);
        assert!(matches!(fixture.error(), Error::Io(error) if error.kind() == io::ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn senders_learn_that_the_connection_is_closing_or_gone() {
    let mut fixture = Fixture::new(Script::new([]), Config::default(), echo);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    fixture.driver.with_socket(Waker::noop(), |socket| socket.close(CloseCode::NORMAL, "")).unwrap();
    assert!(fixture.poll().is_pending());
    assert!(sender.is_closed());
    assert_eq!(sender.send("x"), Err(rikki_proto::SendError::Closed));

    let mut fixture = Fixture::new(Script::new([]), Config::default(), echo);
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| socket.sender());
    drop(fixture);
    assert_eq!(sender.send("x"), Err(rikki_proto::SendError::Closed));
}

/// Checking or copying all that is there anew with each byte would be quadratic.
#[tokio::test]
async fn a_dribbling_message_costs_in_proportion_to_its_length() {
    use rustix::time::{ClockId, clock_gettime};

    fn cost(length: usize) -> Duration {
        let message = frame(0x81, "x".repeat(length).as_bytes());
        let mut fixture = Fixture::new(Script::new([]), Config::default(), quiet);
        let before = clock_gettime(ClockId::ThreadCPUTime);
        for byte in message {
            fixture.driver.line.io.reads.push_back(vec![byte]);
            assert!(fixture.poll().is_pending());
        }
        let after = clock_gettime(ClockId::ThreadCPUTime);
        assert_eq!(fixture.consumer.messages, 1);
        Duration::try_from(after).unwrap() - Duration::try_from(before).unwrap()
    }

    let mut least = [Duration::MAX; 2];
    for _ in 0..3 {
        least = [least[0].min(cost(4 * 1024)), least[1].min(cost(32 * 1024))];
    }
    // Eight times the bytes: a factor of 8 if it is linear, of 64 if it is quadratic.
    assert!(least[1] < least[0] * 24, "4 KiB took {:?}, 32 KiB {:?}", least[0], least[1]);
}
