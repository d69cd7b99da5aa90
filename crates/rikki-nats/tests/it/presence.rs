//! Who is there, whichever node they are on.

use rikki_topics::{From, Identity, PresenceMode, SubscribeOptions, TopicConfig};
use testkit::NatsServer;

use super::{Node, config_of, said, soon};

fn names(node: &Node, topic: &str) -> (usize, Vec<String>) {
    let present = node.topics.present(topic);
    let mut names: Vec<_> = present.members.iter().map(|member| member.identity.user.clone()).collect();
    names.sort();
    (present.count, names)
}

fn options(name: &str) -> SubscribeOptions {
    SubscribeOptions::from(From::Now).identity(Identity::user(name).info("{\"a\":1}"))
}

#[test]
fn on_all_nodes() {
    let server = NatsServer::start();
    let members = TopicConfig::default().presence(PresenceMode::Members);
    let start = || Node::with(config_of(&server), members.clone());
    let (one, other) = (start(), start());
    let ada = one.topics.subscribe("room", options("ada")).unwrap();
    let mut bob = other.topics.subscribe("room", options("bob")).unwrap();
    let both = (2, vec!["ada".to_owned(), "bob".to_owned()]);
    for node in [&one, &other] {
        soon("both are there", || (names(node, "room") == both).then_some(()));
    }
    assert_eq!(said(&mut bob), "joined");
    // One who comes later learns of them from the bucket, with the topic.
    let third = start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(third.topics.read("room", From::Now)).unwrap().unwrap();
    assert_eq!(names(&third, "room"), both);
    let info = third.topics.present("room").members[0].identity.info.clone();
    assert_eq!(info, "{\"a\":1}");
    drop(ada);
    for node in [&one, &other, &third] {
        soon("one has gone", || (names(node, "room") == (1, vec!["bob".to_owned()])).then_some(()));
    }
    drop(bob);
    for node in [&one, &other, &third] {
        soon("nobody is there", || (names(node, "room").0 == 0).then_some(()));
    }
}

#[test]
fn counts_alone() {
    let server = NatsServer::start();
    let counts = TopicConfig::default().presence(PresenceMode::Counts);
    let start = || Node::with(config_of(&server), counts.clone());
    let (one, other) = (start(), start());
    let _all: Vec<_> = (0..5).map(|_| one.topics.subscribe("room", options("ada")).unwrap()).collect();
    let _more = other.topics.subscribe("room", options("bob")).unwrap();
    for node in [&one, &other] {
        soon("all are counted", || (names(node, "room") == (6, vec![])).then_some(()));
    }
}
