//! Who is a member until when, what becomes of what is sent, and how a group is closed.

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::*;
use crate::id::ConnectionId;
use crate::live::Live;
use crate::sender::Mailbox;
use crate::terms::Terms;
use crate::testing::Client;
use crate::trace::Trace;
use crate::tracker::Tracker;
use crate::{Closed, Config, Endpoint, Handler, Opening, Overflow, Socket, WebSocket};

/// A connection that nobody drives: what it is sent stays in its queue.
fn connection(config: &Config) -> (Arc<Mailbox>, Sender) {
    let terms = Arc::new(Terms::new(config, &Live::new()));
    let mailbox = Arc::new(Mailbox::new(ConnectionId::next(), terms));
    (mailbox.clone(), Sender::new(mailbox))
}

fn senders(count: usize) -> Vec<Sender> {
    (0..count).map(|_| connection(&Config::default()).1).collect()
}

#[test]
fn it_is_a_set_and_who_has_joined_twice_leaves_with_the_last_guard() {
    let group = Group::new();
    let [one, other] = [(); 2].map(|()| connection(&Config::default()).1);
    let first = group.join(&one);
    let (_other, second) = (group.join(&other), group.join(&one));
    let ids = || group.senders().iter().map(Sender::id).collect::<Vec<_>>();
    assert_eq!(ids(), [one.id(), other.id()]);
    assert_eq!(group.send("once").accepted, 2);
    assert_eq!(one.mailbox().len(), 1);
    drop(first);
    assert_eq!(ids(), [one.id(), other.id()]);
    drop(second);
    assert_eq!(ids(), [other.id()]);
    let again = group.join(&one);
    assert_eq!(group.len(), 2);
    drop((group, again)); // the guard does not need the group
}

#[test]
fn however_often_it_has_joined_it_leaves_at_its_end() {
    let group = Group::new();
    let (mailbox, sender) = connection(&Config::default());
    let kept = group.join(&sender);
    group.join(&sender).detach();
    mailbox.close();
    assert_eq!((group.len(), group.send("late").closed), (1, 1), "it closes, and is not over");
    mailbox.end();
    assert!(group.is_empty());
    drop(kept);
    let late = group.join(&sender);
    assert!(group.is_empty(), "it is over");
    drop(late);
    let (mailbox, sender) = connection(&Config::default());
    let members = Arc::downgrade(&group.members);
    group.join(&sender).detach();
    drop(group);
    assert_eq!(members.strong_count(), 0, "a member keeps no group");
    mailbox.end();
}

#[test]
fn what_is_a_member_without_a_guard_is_gone_at_its_end() {
    let (group, other) = (Group::new(), Group::new());
    let (mailbox, sender) = connection(&Config::default());
    for _ in 0..1000 {
        group.join(&sender).detach();
    }
    assert_eq!(mailbox.groups(), 1, "however often");
    let guard = group.join(&sender);
    drop(guard);
    assert_eq!(group.len(), 1);
    for _ in 0..1000 {
        Group::new().join(&sender).detach();
    }
    assert!(mailbox.groups() < 20, "{} of groups that are gone", mailbox.groups());
    mailbox.end();
    assert!(group.is_empty());
    other.join(&sender).detach();
    assert!(other.is_empty(), "it is over");
    let left = Arc::downgrade(&mailbox);
    drop((mailbox, sender));
    assert_eq!(left.strong_count(), 0, "nothing of it is left");
}

#[test]
fn what_becomes_of_a_message_is_counted() {
    let group = Group::new();
    let small = |overflow| connection(&Config::default().write_queue(1).overflow(overflow)).1;
    let [slow, newest, oldest] = [Overflow::Pause, Overflow::DropNewest, Overflow::DropOldest].map(small);
    let ready = connection(&Config::default()).1;
    let closed = connection(&Config::default()).1;
    closed.close(CloseCode::NORMAL, "").unwrap();
    let _guards = [&slow, &newest, &oldest, &ready, &closed].map(|sender| group.join(sender));
    assert_eq!(group.send("one"), Sent { accepted: 4, refused: 0, closed: 1 });
    assert_eq!(group.send_prepared(&PreparedMessage::new("two")), Sent { accepted: 2, refused: 2, closed: 1 });
    assert_eq!((oldest.dropped(), ready.mailbox().len()), (1, 2));
    assert_eq!(Group::new().send("nobody"), Sent::default());
}

#[tokio::test(start_paused = true)]
async fn closing_is_spread_over_its_window() {
    let (group, senders) = (Group::new(), senders(500));
    let _guards: Vec<_> = senders.iter().map(|sender| group.join(sender)).collect();
    assert_eq!(group.send("to all").accepted, 500);
    assert!(senders.iter().all(|sender| sender.mailbox().len() == 1), "each once");
    let start = Instant::now();
    group.start_close(CloseCode(4000), "moved", Duration::from_secs(1)).unwrap();
    let closed = || senders.iter().map(|sender| sender.is_closed()).collect::<Vec<_>>();
    let count = || closed().into_iter().filter(|is_closed| *is_closed).count();
    assert_eq!(count(), 0, "a task does it");
    let mut half = Vec::new();
    for step in 1..=10_u32 {
        tokio::time::sleep_until(start + Duration::from_millis(100) * step).await;
        let share = 50 * step as usize;
        assert!((share - 10..=share + 10).contains(&count()), "{} after {step} tenths", count());
        if step == 5 {
            half = closed();
        }
    }
    sleep(Duration::from_millis(100)).await;
    assert_eq!(count(), 500);
    let first = half.iter().take(250).filter(|is_closed| **is_closed).count();
    assert!((75..=175).contains(&first), "not in random order: {first} of the first half");
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_is_closed_at_once_and_waited_for() {
    let group = Group::new();
    assert!(group.closed().now_or_never().is_none(), "it is open");
    assert_eq!(
        group.start_close(CloseCode(1005), "", Duration::ZERO),
        Err(SendError::InvalidCloseCode(1005)),
        "it stays open"
    );
    let coming = Coming::new(&group);
    let waiting = tokio::spawn({
        let group = group.clone();
        async move { group.close(CloseCode(4001), "first", Duration::from_secs(60)).await }
    });
    tokio::task::yield_now().await;
    // The first code counts, whatever comes later.
    group.start_close(CloseCode(4002), "second", Duration::ZERO).unwrap();
    let (mailbox, sender) = connection(&Config::default());
    coming.admit(&sender);
    assert!(sender.is_closed());
    let mut connection = Terms::default().server();
    let mut output = rikki_proto::Output::default();
    mailbox.drain(&mut connection, &mut output, 2, None);
    assert_eq!(output.contiguous().unwrap(), b"\x88\x07\x0f\xa1first");
    sleep(Duration::from_secs(3600)).await;
    assert!(!waiting.is_finished(), "its connection is not over");
    mailbox.end();
    assert_eq!(waiting.await.unwrap(), Ok(()));
    let left = Coming::new(&group);
    assert!(group.closed().now_or_never().is_none(), "a handshake is under way");
    drop(left);
    assert!(group.closed().now_or_never().is_some());
}

/// Panics when it is told to, and says when it is opened how many are in the group.
struct Fragile(Group);

impl Handler for Fragile {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _: &Opening) {
        socket.send(format!("{} open", self.0.len())).unwrap();
    }

    fn message(&self, (): &mut (), _: &mut Socket<'_>, message: Message<'_>) {
        assert_ne!(message.as_text(), Some("panic"), "as asked for");
    }

    fn close(&self, (): (), _: &Closed) {
        panic!("as ever");
    }
}

#[test]
fn a_member_by_its_endpoint_leaves_however_it_ends() {
    let group = Group::new();
    let endpoint = Endpoint::new(Fragile(group.clone())).group(&group);
    let open = || Client::open_at(&endpoint, http::Request::new(()));
    let (mut closes, mut panics, mut cut) = (open(), open(), open());
    assert_eq!(group.send("to all").accepted, 3);
    for (client, open) in [(&mut closes, 1), (&mut panics, 2), (&mut cut, 3)] {
        client.expect(format!("{open} open"));
        client.expect("to all");
    }
    closes.close(CloseCode::NORMAL, "");
    closes.expect_close(CloseCode::NORMAL);
    panics.send("panic");
    panics.expect_close(CloseCode::INTERNAL_ERROR);
    cut.cut();
    drop((closes, panics));
    assert!(group.is_empty(), "{group:?}");
}

/// A server's end whose client says nothing.
fn silent() -> (tokio::io::DuplexStream, WebSocket) {
    let (client, io) = tokio::io::duplex(1024);
    let terms = Arc::<Terms>::default();
    terms.opened().hand_over();
    let (connection, trace) = (terms.server(), Trace::untold());
    (client, WebSocket::new(Box::new(io), &[], connection, terms, None, Tracker::default(), trace))
}

#[tokio::test(start_paused = true)]
async fn deadlines_of_the_connections_bound_a_close() {
    let group = Group::new();
    let (_silent, mut socket) = silent();
    let _guard = group.join(&socket.sender().unwrap());
    let serving = tokio::spawn(async move { while socket.recv().await.is_some() {} });
    let start = Instant::now();
    group.close(CloseCode::GOING_AWAY, "", Duration::ZERO).await.unwrap();
    let took = start.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(7)).contains(&took), "{took:?} for an answer");
    serving.await.unwrap();
}

#[tokio::test]
async fn one_that_was_dropped_is_a_member_until_its_closing_handshake_is_over() {
    for panics in [false, true] {
        let group = Group::new();
        let (mut client, mut socket) = silent();
        group.join(&socket.sender().unwrap()).detach();
        let dropping = tokio::spawn(async move {
            let _socket = socket;
            assert!(!panics, "as asked for");
        });
        assert_eq!(dropping.await.is_err(), panics);
        let mut close = [0; 4];
        client.read_exact(&mut close).await.unwrap();
        assert_eq!(close[..2], [0x88, 2]);
        assert_eq!(group.len(), 1, "it is not answered yet");
        client.write_all(&[0x88, 0x82, 0, 0, 0, 0, close[2], close[3]]).await.unwrap();
        assert_eq!(client.read(&mut close).await.unwrap(), 0);
        drop(client);
        let left = async {
            while !group.is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), left).await.unwrap();
    }
}

#[tokio::test]
async fn one_that_is_cut_leaves_though_its_task_keeps_it() {
    let group = Group::new();
    let (client, mut socket) = silent();
    group.join(&socket.sender().unwrap()).detach();
    drop(client);
    assert!(socket.recv().await.unwrap().is_err());
    assert!(group.is_empty(), "the WebSocket is still there, and its connection is not");
}
