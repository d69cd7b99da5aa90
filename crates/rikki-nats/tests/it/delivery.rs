//! What is published on one node, and who gets it on another.

use rikki_topics::{From, PublishError, TopicConfig};
use testkit::NatsServer;

use super::{Node, all, config_of, said, soon};

#[test]
fn from_node_to_node() {
    let server = NatsServer::start();
    let (one, other) = (Node::start(&server), Node::start(&server));
    let mut here = one.topics.subscribe("room", From::Now).unwrap();
    let mut there = other.topics.subscribe("room", From::Now).unwrap();
    assert_eq!((said(&mut here), said(&mut there)), ("joined".to_owned(), "joined".to_owned()));
    let first = one.publish("room", "1");
    let second = other.publish("room", "2");
    assert!(first.epoch == second.epoch && first.offset < second.offset);
    assert_eq!((all(&mut here, 2), all(&mut there, 2)), ("1 2".to_owned(), "1 2".to_owned()));
    // Who was on one node goes on with the other, and with one that has not used the topic.
    let third = Node::start(&server);
    for node in [&other, &third] {
        let mut resumed = node.topics.subscribe("room", From::After(first)).unwrap();
        assert_eq!(all(&mut resumed, 2), "recovered=true 2");
        let mut at_the_end = node.topics.subscribe("room", From::After(second)).unwrap();
        assert_eq!(said(&mut at_the_end), "recovered=true");
        let mut newcomer = node.topics.subscribe("room", From::Last(1)).unwrap();
        assert_eq!(all(&mut newcomer, 2), "joined 2");
    }
    // A position that nobody has had is of no history.
    let ahead = rikki_topics::Position { offset: u64::MAX, ..second };
    let mut lost = third.topics.subscribe("room", From::After(ahead)).unwrap();
    assert_eq!(said(&mut lost), "recovered=false");
}

/// Names, texts and bytes are what they were.
#[test]
fn names_and_payloads() {
    let server = NatsServer::start();
    let (one, other) = (Node::start(&server), Node::start(&server));
    for name in ["a.b", "*", ">", "a b/\u{fc}", "=2E", &"\u{fc}".repeat(127)] {
        let mut there = other.topics.subscribe(name, From::Now).unwrap();
        assert_eq!(said(&mut there), "joined");
        one.publish(name, name);
        one.topics.publish(name, vec![0_u8, 255]).wait().unwrap();
        one.topics.publish(name, b"bytes".to_vec()).wait().unwrap();
        one.publish(name, "");
        assert_eq!(all(&mut there, 4), format!("{name} [0, 255] [98, 121, 116, 101, 115] "));
    }
}

#[test]
fn keys() {
    let server = NatsServer::start();
    let keyed = TopicConfig::default().latest_by_key(true);
    let config = || config_of(&server);
    let (one, other) = (Node::with(config(), keyed.clone()), Node::with(config(), keyed.clone()));
    let publish =
        |node: &Node, key: &str, text: &str| node.topics.publish("t", text.to_owned()).key(key).wait().unwrap();
    for number in 0..5 {
        publish(&one, "a", &format!("a{number}"));
        publish(&one, "b \u{fc}\n", &format!("b{number}"));
    }
    let mut newcomer = other.topics.subscribe("t", From::Last(10)).unwrap();
    assert_eq!(all(&mut newcomer, 3), "joined a4 b4");
    publish(&other, "a", "a5");
    let third = Node::with(config(), keyed);
    let mut newcomer = third.topics.subscribe("t", From::Last(10)).unwrap();
    assert_eq!(all(&mut newcomer, 3), "joined b4 a5");
    // What is known by its key is not published again, wherever that is tried.
    let once = |node: &Node| node.topics.publish("o", "once").idempotency_key("k").wait().unwrap();
    assert_eq!(once(&one), once(&other));
    assert_ne!(once(&one), one.topics.publish("p", "once").idempotency_key("k").wait().unwrap());
    let mut subscription = third.topics.subscribe("o", From::Last(10)).unwrap();
    assert_eq!(all(&mut subscription, 2), "joined once");
}

/// More than a topic keeps, and more than is got at a time.
#[test]
fn a_long_history() {
    let server = NatsServer::start();
    let one = Node::start(&server);
    let detach = |topic: &str, number: usize| {
        soon("there is room", || match one.topics.publish(topic, number.to_string()).detach() {
            Err(PublishError::TooManyUnderWay) => None,
            Err(error) => panic!("{error}"),
            Ok(()) => Some(()),
        });
    };
    for number in 0..6000 {
        detach("long", number);
        if number % 100 == 0 {
            detach("short", number);
        }
    }
    let last = one.publish("long", "last");
    let other = Node::start(&server);
    let mut there = other.topics.subscribe("long", From::Last(3)).unwrap();
    assert_eq!(all(&mut there, 4), "joined 5998 5999 last");
    let before = rikki_topics::Position { offset: last.offset - 500, ..last };
    let mut resumed = other.topics.subscribe("long", From::After(before)).unwrap();
    assert_eq!(said(&mut resumed), "recovered=true");
    // Offsets leave out those of the other topic.
    let (mut expected, mut came) = (None, said(&mut resumed));
    while came != "last" {
        let number: usize = came.parse().unwrap();
        assert_eq!(expected.unwrap_or(number), number);
        (expected, came) = (Some(number + 1), said(&mut resumed));
    }
    assert_eq!(expected, Some(6000));
    let before = rikki_topics::Position { offset: 1, ..last };
    let mut too_old = other.topics.subscribe("long", From::After(before)).unwrap();
    assert_eq!(said(&mut too_old), "recovered=false");
    let mut short = other.topics.subscribe("short", From::Last(100)).unwrap();
    assert_eq!(all(&mut short, 61).split(' ').next_back(), Some("5900"));
}

/// A message for which there is no room is refused before it is sent.
#[test]
fn too_long() {
    let server = NatsServer::start();
    let node = Node::with(config_of(&server), TopicConfig::default().bytes(8 << 20));
    let limit = (1 << 20) - 4096;
    let error = node.topics.publish("t", vec![0; limit + 1]).wait();
    assert_eq!(error, Err(PublishError::TooLong { length: limit + 1, limit }));
    let mut subscription = node.topics.subscribe("t", From::Now).unwrap();
    assert_eq!(said(&mut subscription), "joined");
    node.topics.publish("t", vec![1; limit]).wait().unwrap();
    assert_eq!(said(&mut subscription).len(), 3 * limit);
    let small = Node::with(config_of(&server), TopicConfig::default().bytes(10));
    assert_eq!(small.topics.publish("t", "x".repeat(11)).wait(), Err(PublishError::TooLong { length: 11, limit: 10 }));
}

/// Other programs may publish to the stream, and read it.
#[test]
fn of_other_programs() {
    let server = NatsServer::start();
    let node = Node::start(&server);
    let mut subscription = node.topics.subscribe("a/b", From::Now).unwrap();
    assert_eq!(said(&mut subscription), "joined");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        // Whoever leaves before the server has answered may take it along.
        client.request("rikki.t.a=2Fb", "from elsewhere".into()).await.unwrap();
    });
    assert_eq!(said(&mut subscription), "from elsewhere");
}

/// Nothing is kept, and nothing of before is there; and where some may be missing that is told.
#[test]
fn passed_on_and_not_kept() {
    let mut server = NatsServer::start_with(&[]);
    let config = || config_of(&server).core(true);
    let (one, other) = (Node::with(config(), TopicConfig::default()), Node::with(config(), TopicConfig::default()));
    let mut here = one.topics.subscribe("t", From::Now).unwrap();
    let mut there = other.topics.subscribe("t", From::Now).unwrap();
    assert_eq!((said(&mut here), said(&mut there)), ("joined".to_owned(), "joined".to_owned()));
    // Until the server knows the subscription of the other.
    soon("it comes through", || {
        one.publish("t", "hello");
        there.try_next()
    });
    assert_eq!(said(&mut here), "hello");
    one.publish("t", "last");
    while said(&mut there) != "last" {}
    server.start_again();
    for node in [&one, &other] {
        soon("another connection", || (node.nats.status().connections == 2).then_some(()));
    }
    while said(&mut there) != "gap" {}
    soon("it is there", || one.nats.status().connected.then_some(()));
    one.publish("t", "after");
    assert_eq!(said(&mut there), "after");
}
