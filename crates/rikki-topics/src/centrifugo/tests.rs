//! What depends on time, by a clock that stands still: deadlines, pings, and tokens that expire.

use std::time::SystemTime;

use rikki_ws::testing::Client;
use rikki_ws::{CloseCode, Config, Endpoint};

use super::*;
use crate::broker::Inlet;
use crate::config::{PresenceMode, TopicConfig, TopicsConfig};
use crate::options::SubscribeOptions;
use crate::presence::Identity;
use crate::url::Action;

/// Tokens are for so many seconds; `0` is for ever, `over` was for some that have passed, and `bad` is none.
fn admit(shown: &Shown<'_>) -> Result<Admitted, Denied> {
    let admitted = Admitted::new(Identity::user("ada"));
    match shown.token.parse() {
        Ok(0) => Ok(admitted),
        // Half a second is for what passes of it here.
        Ok(seconds) => Ok(admitted.expires_at(SystemTime::now() + Duration::from_millis(seconds * 1000 + 500))),
        Err(_) if shown.token == "over" => Ok(admitted.expires_at(SystemTime::UNIX_EPOCH)),
        Err(_) => Err(Denied::unauthorized("no number")),
    }
}

fn open() -> Client {
    let clients = Centrifugo::new(&Topics::new(TopicsConfig::default())).authorize(admit);
    Client::open(Clients(Arc::new(clients.settings))).paused()
}

/// Sends a command and takes the reply, whose beginning is this.
fn ask(client: &mut Client, command: &str, reply: &str) {
    client.send(command);
    let came = client.expect_message();
    assert!(came.as_text().is_some_and(|came| came.starts_with(reply)), "{command}: {came:?}");
}

fn connect(token: &str) -> Client {
    let mut client = open();
    ask(&mut client, &format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#), r#"{"id":1,"connect":"#);
    client
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_client_that_does_not_connect() {
    let mut client = open();
    client.advance(seconds(14));
    client.send("\n");
    client.expect_silence();
    client.advance(seconds(2));
    assert_eq!(client.expect_close(CloseCode(3502)), "stale");
}

#[test]
fn pings_and_pongs() {
    let mut client = connect("0");
    for _ in 0..3 {
        client.advance(seconds(23));
        client.expect_silence();
        client.advance(seconds(3));
        client.expect(reply::PING);
        client.send("{}");
    }
    // One that nobody has asked for is no harm, and no answer to the next.
    client.send("{}");
    client.advance(seconds(24));
    client.expect(reply::PING);
    client.advance(seconds(8));
    client.expect_silence();
    client.advance(seconds(3));
    assert_eq!(client.expect_close(CloseCode(3012)), "no pong");
}

#[test]
fn connections_that_expire() {
    let mut client = connect("10");
    client.advance(seconds(15));
    client.expect_silence();
    // Another token within the time for that.
    ask(&mut client, r#"{"id":2,"refresh":{"token":"20"}}"#, r#"{"id":2,"refresh":{"client":"#);
    for time in [20, 20] {
        client.advance(seconds(time));
        client.expect(reply::PING);
        client.send("{}");
    }
    client.advance(seconds(4));
    client.expect_silence();
    client.advance(seconds(3));
    assert_eq!(client.expect_close(CloseCode(3005)), "connection expired");
}

#[test]
fn subscriptions_that_expire() {
    let mut client = connect("0");
    let subscribed = r#"{"id":2,"subscribe":{"recoverable":true"#;
    ask(&mut client, r#"{"id":2,"subscribe":{"channel":"a","token":"2"}}"#, subscribed);
    client.advance(seconds(20));
    ask(&mut client, r#"{"id":3,"sub_refresh":{"token":"2"}}"#, r#"{"id":3,"sub_refresh":{"expires":true,"ttl":2}}"#);
    client.advance(seconds(6));
    client.expect(reply::PING);
    client.send("{}");
    client.advance(seconds(20));
    client.expect_silence();
    client.advance(seconds(3));
    client.expect(r#"{"push":{"channel":"a","unsubscribe":{"code":2501,"reason":"subscription expired"}}}"#);
    // It can come back.
    ask(&mut client, r#"{"id":2,"subscribe":{"channel":"a","token":"2"}}"#, subscribed);
}

/// A callback that does not come to an end holds up who has called it, and nobody is asked for more of it.
#[test]
fn calls_that_do_not_end() {
    let topics = Topics::new(TopicsConfig::default());
    let clients = Centrifugo::new(&topics).rpc(|call| async move {
        match &*call.method {
            "late" => tokio::time::sleep(seconds(5)).await,
            _ => std::future::pending().await,
        }
        Ok(call.data)
    });
    let mut client = Client::open(Clients(Arc::new(clients.settings))).paused();
    ask(&mut client, r#"{"id":1,"connect":{}}"#, r#"{"id":1,"connect":"#);
    client.send(r#"{"id":2,"rpc":{"method":"late","data":1}}"#);
    for id in 3..300 {
        client.send(format!(r#"{{"id":{id},"rpc":{{"method":"never","data":"{}"}}}}"#, "x".repeat(1000)));
    }
    client.send(r#"{"id":300,"ping":{}}"#);
    client.expect_silence();
    // What is read at once, and not all that was sent.
    let waiting = topics.memory().used();
    assert!((1000..90_000).contains(&waiting), "{waiting}");
    client.advance(seconds(5));
    client.expect(r#"{"id":2,"rpc":{"data":1}}"#);
    // The pong of a client that is not read is not waited for.
    client.advance(seconds(50));
    client.expect(reply::PING);
    client.expect_silence();
    client.advance(seconds(6));
    let failed = r#""error":{"code":100,"message":"internal server error","temporary":true}}"#;
    for _ in 0..15 {
        assert!(client.expect_message().as_text().unwrap().ends_with(failed));
    }
}

/// What is given to the application is held by it, and counts as long as it is.
#[test]
fn what_calls_hold() {
    let topics = Topics::new(TopicsConfig::default().memory(100_000));
    let clients = Centrifugo::new(&topics).rpc(|_| std::future::pending());
    let mut client = Client::open(Clients(Arc::new(clients.settings))).paused();
    ask(&mut client, r#"{"id":1,"connect":{}}"#, r#"{"id":1,"connect":"#);
    let call = |id: u32| format!(r#"{{"id":{id},"rpc":{{"data":"{}"}}}}"#, "x".repeat(10_000));
    client.send(call(2));
    client.expect_silence();
    assert_eq!(topics.memory().used(), 10_002);
    // All clients together may have a quarter.
    ask(&mut client, &call(3), r#"{"id":3,"error":{"code":100,"#);
    drop(client);
    assert_eq!(topics.memory().used(), 0);
}

/// A rule may let in with a token whose time has passed: it is over all the same.
#[test]
fn tokens_whose_time_has_passed() {
    let mut client = connect("0");
    let expired = r#"{"id":2,"error":{"code":109,"#;
    ask(&mut client, r#"{"id":2,"subscribe":{"channel":"a","token":"over"}}"#, expired);
    ask(&mut client, r#"{"id":3,"subscribe":{"channel":"a","token":"10"}}"#, r#"{"id":3,"subscribe":"#);
    ask(&mut client, r#"{"id":4,"sub_refresh":{"channel":"a","token":"over"}}"#, r#"{"id":4,"error":{"code":110,"#);
    client.send(r#"{"id":5,"refresh":{"token":"over"}}"#);
    assert_eq!(client.expect_close(CloseCode(3005)), "connection expired");
}

/// Whoever is subscribed by the server gets no more of that topic than it may have.
#[test]
fn subscriptions_of_the_server_let_in_to_nothing_else() {
    let config = TopicConfig::default().presence(PresenceMode::Members);
    let topics = Topics::new(TopicsConfig::default().others(config));
    topics.publish("a", "before").wait().unwrap();
    let clients = Centrifugo::new(&topics).authorize(|_| {
        Ok(Admitted::default().subscribe_to(["a"]).may(|_, action| match action {
            Action::Subscribe => Ok(()),
            _ => Err(Denied::forbidden("what comes, and nothing else")),
        }))
    });
    let mut client = Client::open(Clients(Arc::new(clients.settings))).paused();
    client.send(r#"{"id":1,"connect":{"subs":{"a":{"recover":true,"join_leave":true}}}}"#);
    let reply = client.expect_message();
    let reply = reply.as_text().unwrap();
    assert!(reply.contains(r#""subs":{"a":{"#) && !reply.contains("recovered") && !reply.contains("before"), "{reply}");
    client.advance(seconds(1));
    client.expect_silence();
    topics.publish("a", "1").wait().unwrap();
    assert!(client.expect_message().as_text().unwrap().contains(r#""data":1"#));
}

/// Its pong is not read while it has still to take what is sent: it is waited for.
#[test]
fn a_pong_behind_what_has_not_been_taken() {
    let topics = Topics::new(TopicsConfig::default());
    let clients = Centrifugo::new(&topics);
    let mut client = Client::open(Clients(Arc::new(clients.settings))).paused();
    ask(&mut client, r#"{"id":1,"connect":{}}"#, r#"{"id":1,"connect":"#);
    ask(&mut client, r#"{"id":2,"subscribe":{"channel":"a"}}"#, r#"{"id":2,"subscribe":"#);
    client.advance(seconds(26));
    client.expect(reply::PING);
    for _ in 0..4 {
        topics.publish("a", "x".repeat(200_000)).wait().unwrap();
    }
    client.stall(seconds(12));
    for _ in 0..4 {
        assert!(client.expect_message().as_text().unwrap().contains("xxx"));
    }
    client.send("{}");
    client.advance(seconds(14));
    client.expect(reply::PING);
}

/// Many who come at once are told in frames that clients take.
#[test]
fn many_who_come_at_once() {
    let config = TopicConfig::default().presence(PresenceMode::Members);
    let topics = Topics::new(TopicsConfig::default().others(config));
    let mut client = Client::open(Clients(Arc::new(Centrifugo::new(&topics).settings))).paused();
    ask(&mut client, r#"{"id":1,"connect":{}}"#, r#"{"id":1,"connect":"#);
    ask(&mut client, r#"{"id":2,"subscribe":{"channel":"a","join_leave":true}}"#, r#"{"id":2,"subscribe":"#);
    let identity = Identity::user("ada").info("x".repeat(5000));
    let come = |_| topics.subscribe("a", SubscribeOptions::default().identity(identity.clone())).unwrap();
    let there: Vec<_> = (0..300).map(come).collect();
    client.advance(seconds(1));
    let mut joins = 0;
    while joins < there.len() + 1 {
        let frame = client.expect_message();
        let frame = frame.as_text().unwrap();
        assert!(frame.len() <= reply::LONGEST + 6000, "{}", frame.len());
        joins += frame.lines().filter(|line| line.starts_with(r#"{"push":{"channel":"a","join":"#)).count();
    }
    client.expect_silence();
}

/// Those clients come back after 1008, which others do not.
#[test]
fn a_client_that_sends_too_fast() {
    let clients = Centrifugo::new(&Topics::new(TopicsConfig::default()));
    let config = Config::default().max_message_rate(2);
    let endpoint = Endpoint::new(Clients(Arc::new(clients.settings))).config(config);
    let mut client = Client::open_at(&endpoint, http::Request::new(())).paused();
    ask(&mut client, r#"{"id":1,"connect":{}}"#, r#"{"id":1,"connect":"#);
    ask(&mut client, r#"{"id":2,"ping":{}}"#, r#"{"id":2,"ping":"#);
    client.send(r#"{"id":3,"ping":{}}"#);
    client.expect_close(CloseCode(3503));
}

/// What a client and each of its subscriptions hold by themselves, in bytes.
#[test]
fn sizes() {
    assert!(size_of::<client::Client>() <= 400, "{}", size_of::<client::Client>());
    assert!(size_of::<seat::Seat>() <= 128, "{}", size_of::<seat::Seat>());
}

/// All that a server subscribes to goes into one reply, which has so much of what waits; the rest follows.
#[test]
fn subscriptions_of_the_server_that_have_much_to_say() {
    let topics = Topics::new(TopicsConfig::default());
    let names: Vec<_> = (0..4).map(|number| format!("topic {number}")).collect();
    for name in &names {
        for _ in 0..3 {
            topics.publish(name, "x".repeat(200_000)).wait().unwrap();
        }
    }
    let (all, epochs) = (names.clone(), topics.clone());
    let clients = Centrifugo::new(&topics).authorize(move |_| Ok(Admitted::default().subscribe_to(&all)));
    let mut client = Client::open(Clients(Arc::new(clients.settings))).paused();
    let epoch = |name: &str| epochs.history(name, crate::From::Now).unwrap().position.epoch;
    let subs: Vec<_> =
        names.iter().map(|name| format!(r#""{name}":{{"recover":true,"epoch":"{}"}}"#, epoch(name))).collect();
    client.send(format!(r#"{{"id":1,"connect":{{"subs":{{{}}}}}}}"#, subs.join(",")));
    let publications = |text: &str| text.matches(r#""offset":"#).count() - text.matches(r#""epoch":"#).count();
    let reply = client.expect_message();
    let reply = reply.as_text().unwrap();
    assert_eq!((publications(reply), reply.matches(r#""recovered":true"#).count()), (3, 4));
    for _ in 0..9 {
        let push = client.expect_message();
        assert!(push.as_text().unwrap().starts_with(r#"{"push":{"channel":"topic "#));
    }
    client.expect_silence();
}

/// Their positions move with messages alone, for there are no words for anything else. Where this node knows that nothing
/// has come since, and all that there was has gone, it is no loss all the same.
#[test]
fn positions_that_grow_old() {
    let topics = Topics::new(TopicsConfig::default().others(TopicConfig::default().age(seconds(20))));
    let kept = topics.subscribe("a", SubscribeOptions::default()).unwrap();
    let inlet = Inlet(topics.known("a").unwrap());
    let clients = Centrifugo::new(&topics);
    let mut client = Client::open(Clients(Arc::new(clients.settings))).paused();
    ask(&mut client, r#"{"id":1,"connect":{}}"#, r#"{"id":1,"connect":"#);
    let epoch = kept.joined().unwrap().position.epoch;
    ask(&mut client, r#"{"id":2,"subscribe":{"channel":"a"}}"#, r#"{"id":2,"subscribe":"#);
    topics.publish("a", "1").wait().unwrap();
    assert!(client.expect_message().as_text().unwrap().contains(r#""offset":1"#));
    inlet.reach(None, 1000);
    // Longer than the topic keeps anything.
    client.advance(seconds(21));
    client.expect_silence();
    let mut resume = |offset: u64, recovered: &str| {
        ask(&mut client, r#"{"id":3,"unsubscribe":{"channel":"a"}}"#, r#"{"id":3"#);
        client.send(format!(
            r#"{{"id":4,"subscribe":{{"channel":"a","recover":true,"epoch":"{epoch}","offset":{offset}}}}}"#
        ));
        let reply = client.expect_message();
        let reply = reply.as_text().unwrap();
        assert_eq!(reply.contains(r#""recovered":true"#), recovered == "recovered", "{offset}: {reply}");
        assert!(reply.contains(r#""offset":1000"#), "{offset}: {reply}");
    };
    resume(1, "recovered");
    resume(500, "recovered");
    resume(1000, "recovered");
    resume(0, "lost");
}
