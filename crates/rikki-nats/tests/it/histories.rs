//! Histories that are no longer: all nodes mean the same by another one.

use std::fs;
use std::path::Path;

use rikki_topics::From;
use testkit::NatsServer;

use super::{Node, said, soon};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.unwrap().path(), to.to_owned());
        let to = to.join(entry.file_name().unwrap());
        if entry.is_dir() { copy(&entry, &to) } else { fs::copy(&entry, &to).map(drop).unwrap() }
    }
}

/// A disk that has lost what it had: nobody takes what comes then for what it has had.
#[test]
fn a_stream_that_has_gone_back() {
    let mut server = NatsServer::start();
    let (one, other) = (Node::start(&server), Node::start(&server));
    let mut here = one.topics.subscribe("t", From::Now).unwrap();
    let mut there = other.topics.subscribe("t", From::Now).unwrap();
    assert_eq!((said(&mut here), said(&mut there)), ("joined".to_owned(), "joined".to_owned()));
    let old = one.publish("t", "0");
    server.kill();
    let saved = server.store().with_extension("saved");
    copy(&server.store(), &saved);
    server.start_again();
    let lost = one.publish_again("t", "lost");
    assert_eq!(lost.epoch, old.epoch);
    server.kill();
    fs::remove_dir_all(server.store()).unwrap();
    copy(&saved, &server.store());
    server.start_again();
    let new = soon("another history", || {
        let position = one.topics.publish("t", "new").idempotency_key("new").wait().ok()?;
        (position.epoch != old.epoch).then_some(position)
    });
    for subscription in [&mut here, &mut there] {
        let mut told = Vec::new();
        // Who had not got what was lost may get what is new before it is known that this is another history.
        while !(told.contains(&"gap".to_owned()) && told.ends_with(&["new".to_owned()])) {
            told.push(said(subscription));
        }
    }
    for node in [&one, &other, &Node::start(&server)] {
        soon("all agree", || (node.nats.status().generation == 1).then_some(()));
        let mut resumed = node.topics.subscribe("t", From::After(lost)).unwrap();
        assert_eq!(said(&mut resumed), "recovered=false");
        let mut resumed = node.topics.subscribe("t", From::After(new)).unwrap();
        assert_eq!(said(&mut resumed), "recovered=true");
    }
}

/// A stream that somebody has removed is made again, and is another one.
#[test]
fn a_stream_that_was_removed() {
    let server = NatsServer::start();
    let node = Node::start(&server);
    let mut subscription = node.topics.subscribe("t", From::Now).unwrap();
    assert_eq!(said(&mut subscription), "joined");
    let old = node.publish("t", "0");
    assert_eq!(said(&mut subscription), "0");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        client.request("$JS.API.STREAM.DELETE.rikki", "".into()).await.unwrap();
    });
    let new = soon("another history", || {
        let position = node.topics.publish("t", "new").idempotency_key("new").wait().ok()?;
        (position.epoch != old.epoch).then_some(position)
    });
    assert_eq!((said(&mut subscription), said(&mut subscription)), ("gap".to_owned(), "new".to_owned()));
    assert_eq!(new.offset, 1);
}

/// Who is at the end of a history that others have begun is where that is, however far it goes without them.
#[test]
fn a_stream_that_was_made_anew_by_others() {
    let server = NatsServer::start();
    let node = Node::start(&server);
    let mut subscription = node.topics.subscribe("t", From::Now).unwrap();
    assert_eq!(said(&mut subscription), "joined");
    let old = node.publish("t", "0");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.unwrap();
        let info = client.request("$JS.API.STREAM.INFO.rikki", "".into()).await.unwrap();
        let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
        client.request("$JS.API.STREAM.DELETE.rikki", "".into()).await.unwrap();
        let config = info["config"].to_string();
        client.request("$JS.API.STREAM.CREATE.rikki", config.into()).await.unwrap();
        for _ in 0..3 {
            client.request("rikki.t.other", "".into()).await.unwrap();
        }
    });
    let last = soon("everything is known", || {
        let last = node.topics.subscribe("t", From::Now).unwrap().position()?;
        (last.epoch != old.epoch && last.offset >= 3).then_some(last)
    });
    assert_eq!(last.offset, 3);
}
