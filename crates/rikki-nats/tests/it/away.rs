//! A broker that goes away and comes back.

use std::time::{Duration, Instant};

use rikki_topics::{From, PublishError};
use testkit::NatsServer;

use super::{Node, all, away, said, soon, there};

#[test]
fn killed_and_back() {
    let mut server = NatsServer::start();
    let (one, other) = (Node::start(&server), Node::start(&server));
    let mut here = one.topics.subscribe("t", From::Now).unwrap();
    let mut there_ = other.topics.subscribe("t", From::Now).unwrap();
    assert_eq!((said(&mut here), said(&mut there_)), ("joined".to_owned(), "joined".to_owned()));
    one.publish("t", "0");
    server.kill();
    away(&one.nats);
    let started = Instant::now();
    assert_eq!(one.topics.publish("t", "never").wait(), Err(PublishError::Unavailable));
    assert!(started.elapsed() < Duration::from_secs(1), "it fails at once, and not when an answer is due");
    // Who comes now waits, and who reads is told.
    let mut waiting = one.topics.subscribe("new", From::Last(1)).unwrap();
    assert!(waiting.try_next().is_none());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let read = runtime.block_on(one.topics.read("newer", From::Last(1)));
    assert_eq!(read, Err(rikki_topics::SubscribeError::Unavailable));
    server.start_again();
    let position = one.publish_again("t", "1");
    other.publish_again("t", "2");
    for subscription in [&mut here, &mut there_] {
        assert_eq!(all(subscription, 3), "0 1 2");
    }
    assert_eq!(said(&mut waiting), "joined");
    let mut resumed = other.topics.subscribe("t", From::After(position)).unwrap();
    assert_eq!(all(&mut resumed, 2), "recovered=true 2");
    assert!(one.nats.status().refused > 0 && one.nats.status().generation == 0);
}

/// A server that is held up is known to be away though its connections stay.
#[test]
fn held_up() {
    let server = NatsServer::start();
    let node = Node::start(&server);
    let mut subscription = node.topics.subscribe("t", From::Now).unwrap();
    assert_eq!(said(&mut subscription), "joined");
    server.hold_up();
    let started = Instant::now();
    let unknown = node.topics.publish("t", "unknown").idempotency_key("u").wait();
    assert!(matches!(unknown, Err(PublishError::Unknowable)), "{unknown:?}");
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    away(&node.nats);
    assert_eq!(node.topics.publish("t", "never").wait(), Err(PublishError::Unavailable));
    server.let_go();
    there(&node.nats);
    // It was sent, and so may come; what is sent again by its key does not come twice.
    soon("it is published", || node.topics.publish("t", "unknown").idempotency_key("u").wait().ok());
    node.publish_again("t", "last");
    assert_eq!(all(&mut subscription, 2), "unknown last");
}

/// What was published while a node was away comes when it is back.
#[test]
fn missed_meanwhile() {
    let mut server = NatsServer::start();
    let node = Node::start(&server);
    let names: Vec<String> = (0..200).map(|number| format!("t/{number}")).collect();
    let mut all_of_them: Vec<_> = names.iter().map(|name| node.topics.subscribe(name, From::Now).unwrap()).collect();
    for subscription in &mut all_of_them {
        assert_eq!(said(subscription), "joined");
    }
    server.kill();
    away(&node.nats);
    server.start_again();
    // As fast as another one can, most likely before the node is back.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        let subject = |number| format!("rikki.t.t=2F{}", number % 200);
        let last = 200 * 40 - 1;
        for number in 0..last {
            client.publish(subject(number), number.to_string().into()).await.unwrap();
        }
        // Whoever leaves before the server has answered may take with it what is on its way.
        client.request(subject(last), last.to_string().into()).await.unwrap();
    });
    for (first, subscription) in all_of_them.iter_mut().enumerate() {
        for round in 0..40 {
            assert_eq!(said(subscription), (first + 200 * round).to_string());
        }
    }
    assert_eq!(node.nats.status().gaps, 0);
}
