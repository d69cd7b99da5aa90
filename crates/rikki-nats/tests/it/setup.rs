//! Servers that are not as they should be: it is said why, and it goes on when they are.

use rikki_nats::{Nats, NatsConfig, NotStarted};
use rikki_topics::{PublishError, Topics, TopicsConfig};
use testkit::NatsServer;

use super::{config_of, soon, there};

/// Why it is away.
#[track_caller]
fn why_not(config: NatsConfig, expected: &str) -> Nats {
    let nats = Nats::start(config).unwrap();
    soon(expected, || nats.status().why_not.filter(|why| why.contains(expected)));
    let topics = Topics::with_broker(TopicsConfig::default(), nats.clone());
    assert_eq!(topics.publish("t", "x").wait(), Err(PublishError::Unavailable));
    nats
}

#[test]
fn what_stands_in_the_way_is_told() {
    let mut server = NatsServer::start_with(&["-js", "--auth", "s3cret"]);
    why_not(config_of(&server), "does not let us in");
    why_not(NatsConfig::new(server.url()).token("wrong"), "does not let us in");
    let nats = Nats::start(NatsConfig::new(server.url()).token("s3cret")).unwrap();
    there(&nats);
    let too_much = NatsConfig::new(server.url()).token("s3cret").stream("large").bytes(usize::MAX / 4);
    why_not(too_much, "insufficient");
    // Nobody is there at first.
    server.kill();
    let late = why_not(NatsConfig::new(server.url()).token("s3cret"), "cannot connect");
    server.start_again();
    there(&late);
    let without = NatsServer::start_with(&[]);
    why_not(NatsConfig::new(without.url()), "JetStream");
    let missing = Nats::start(NatsConfig::new("nats://a").credentials("/nowhere"));
    assert!(matches!(missing, Err(NotStarted::Config(_))), "{missing:?}");
}

/// One that is there stays as it is: it is used if it can be, and otherwise what is wrong is told.
#[test]
fn a_stream_that_differs() {
    let server = NatsServer::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let make = |config: &'static str| {
        runtime.block_on(async {
            let client = async_nats::connect(server.url()).await.unwrap();
            let name = config.split('"').nth(3).unwrap();
            let made = client.request(format!("$JS.API.STREAM.CREATE.{name}"), config.into()).await.unwrap();
            assert!(!made.payload.windows(7).any(|part| part == b"\"error\""), "{made:?}");
        });
    };
    make(r#"{"name":"bare","subjects":["bare.t.>"],"storage":"file","retention":"limits","max_msgs_per_subject":-1}"#);
    why_not(config_of(&server).stream("bare"), "republish");
    make(
        r#"{"name":"other","subjects":["other.t.>"],"storage":"memory","retention":"limits","discard":"old",
        "max_msgs_per_subject":-1,"allow_direct":true,"republish":{"src":"other.t.>","dest":"other.r.>"}}"#,
    );
    let nats = Nats::start(config_of(&server).stream("other")).unwrap();
    there(&nats);
}
