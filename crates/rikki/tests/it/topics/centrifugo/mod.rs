//! Clients of Centrifugo, in their own words: what they send, and what they are sent.

mod rows;

use std::time::{Duration, SystemTime};

use rikki::Server;
use rikki::topics::{
    Action, Admitted, Broker, CallError, Centrifugo, Denied, Epoch, Identity, Inlet, Policy, PresenceMode, Published,
    Publishing, Shown, TopicConfig, Topics, TopicsConfig,
};
use rikki::ws::CloseCode;

use crate::talk::{Frame, Talk, frame};
use crate::wire::{Running, Via};

const PATH: &str = "/connection/websocket";

/// In memory, with a history that can be told.
#[derive(Debug)]
struct Known;

impl Broker for Known {
    fn attach(&self, topic: &Inlet) {
        topic.begin(Epoch(7), 0, []);
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        match message.message().as_text() {
            Some("\"later\"") => {
                let topic = topic.clone();
                Publishing::Later(Box::pin(async move { topic.publish(message) }))
            }
            Some("\"never\"") => Publishing::Done(Err(rikki::topics::PublishError::Unavailable)),
            _ => Publishing::Done(topic.publish(message)),
        }
    }
}

fn topics() -> Topics {
    let open = TopicConfig::default().publish(true).presence(PresenceMode::Members);
    let all = [
        ("open/*", open.clone()),
        ("news", TopicConfig::default()),
        ("counts", TopicConfig::default().presence(PresenceMode::Counts)),
        ("price", TopicConfig::default().last(true)),
        ("small", TopicConfig::default().publish(true).bytes(100)),
        ("short", TopicConfig::default().bytes(1000)),
    ];
    let mut config = TopicsConfig::default().others(None).max_subscriptions_per_connection(3);
    for (pattern, topic) in all {
        config = config.topic(pattern, topic).unwrap();
    }
    let topics = Topics::with_broker(config, Known);
    for (topic, text) in [("news", "{\"n\":1}"), ("news", "two\n"), ("news", "{\n3:3}"), ("price", "1.17")] {
        topics.publish(topic, text).wait().unwrap();
    }
    topics.publish("news", vec![0, 159]).wait().unwrap();
    for number in 0..10 {
        topics.publish("short", format!("\"{number}{}\"", "x".repeat(90))).wait().unwrap();
    }
    topics
}

/// Who shows what.
fn admit(shown: &Shown<'_>) -> Result<Admitted, Denied> {
    let (user, hour) = (Admitted::new(Identity::user("ada").info("{\"age\":36}")), Duration::from_millis(3_600_500));
    let in_an_hour = SystemTime::now() + hour;
    match (shown.topic, shown.token) {
        (None, "") => Ok(Admitted::default()),
        (None, "ada") => Ok(user),
        (None, "data") => Ok(user.data(format!("{} {}", shown.name, shown.data.unwrap_or("nothing")))),
        (None, "hour") => Ok(user.expires_at(in_an_hour)),
        (None, "over") => Ok(user.expires_at(SystemTime::UNIX_EPOCH)),
        (None, "servers") => Ok(user.subscribe_to(["news", "nothing there", "open/servers"])),
        (None, "subscriber") => Ok(user.may(|_, action| match action {
            Action::Subscribe => Ok(()),
            _ => Err(Denied::forbidden("reading alone")),
        })),
        (None, "panic") => panic!("as asked for"),
        (None, "bob") => Ok(Admitted::new(Identity::user("bob"))),
        (None, "header") if shown.request.is_some_and(|parts| parts.headers.contains_key("host")) => Ok(user),
        (Some("news" | "open/token"), "hour") => Ok(user.expires_at(in_an_hour)),
        (Some("news"), "ada") => Ok(user),
        (_, "expired") => Err(Denied::expired("it was good")),
        (_, "forbidden") => Err(Denied::forbidden("not you")),
        _ => Err(Denied::unauthorized("who is that?")),
    }
}

fn server(topics: &Topics) -> Server {
    let clients = Centrifugo::new(topics).authorize(admit).rpc(|call| async move {
        match &*call.method {
            "echo" => Ok(call.data),
            "who" => Ok(call.identity.user),
            "fail" => Err(CallError::new(400, "it \"fails\"")),
            _ => panic!("as asked for"),
        }
    });
    Server::new().topics(topics).route(PATH, clients.route())
}

/// A client, and the number that it was given.
struct Client {
    talk: Talk,
    number: Option<String>,
}

impl Client {
    async fn open(server: &Running) -> Self {
        Self { talk: Talk::open(server, Via::Tcp, PATH).await, number: None }
    }

    async fn connect(server: &Running, token: &str) -> Self {
        let mut client = Self::open(server).await;
        client.send(&format!("{{\"id\":1,\"connect\":{{\"token\":\"{token}\"}}}}")).await;
        assert!(client.next().await.starts_with(r#"{"id":1,"connect":{"client":"C","version":"rikki "#));
        client
    }

    async fn send(&mut self, text: &str) {
        self.talk.send(frame(0x81, text.as_bytes())).await;
    }

    /// The next frame: its own number is `C` in it, times are `T`, the version `V`, and the epoch `E`; a Close is
    /// `close(CODE)`, and its reason is no JSON.
    async fn next(&mut self) -> String {
        let frame = self.talk.frame().await.expect("another frame");
        let Frame { first: 0x81, payload } = &frame else {
            let reason = frame.payload.get(2..).unwrap_or_default();
            assert!(serde_json::from_slice::<serde_json::Value>(reason).is_err(), "{}", reason.escape_ascii());
            return frame.describe();
        };
        let text = String::from_utf8(payload.clone()).unwrap();
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let number = value["connect"]["client"].as_str();
            self.number = self.number.take().or_else(|| number.map(str::to_owned));
        }
        let text = match &self.number {
            Some(number) => text.replace(&format!("\"{number}\""), "\"C\""),
            None => text,
        };
        let text = text.replace("\"0000000000000007\"", "\"E\"").replace(env!("CARGO_PKG_VERSION"), "V");
        let mut parts = text.split("\"time\":");
        let mut plain = parts.next().unwrap().to_owned();
        for part in parts {
            plain += "\"time\":T";
            plain += part.trim_start_matches(|char: char| char.is_ascii_digit());
        }
        plain
    }
}

/// Who asks much and reads nothing has asked for one reply at a time: what it has sent waits where it is.
#[tokio::test]
async fn commands_of_a_client_that_does_not_read() {
    const COMMANDS: usize = 10_000;
    let topics = topics();
    let server = Running::start(server(&topics)).await;
    let mut client = Client::connect(&server, "").await;
    let one = |id: usize| format!("{{\"id\":{id},\"history\":{{\"channel\":\"short\",\"limit\":-1}}}}\n");
    let all: String = (2..COMMANDS + 2).map(one).collect();
    let before = topics.budgets()[0].used();
    client.send(&all).await;
    for id in 2..COMMANDS + 2 {
        let reply = client.next().await;
        assert!(reply.starts_with(&format!("{{\"id\":{id},\"history\":")), "{reply}");
        let waiting = topics.budgets()[0].used() - before;
        assert!(waiting <= 2 * all.len(), "{waiting} of {}", all.len());
    }
    client.send(r#"{"id":1,"ping":{}}"#).await;
    assert_eq!(client.next().await, r#"{"id":1,"ping":{}}"#);
    assert_eq!(topics.budgets()[0].used(), before, "nothing is kept of what has been answered");
}

/// Whoever has got behind is told, and subscribes anew; or is closed, and comes back.
#[tokio::test]
async fn a_client_that_is_too_slow() {
    let check = async |policy: Policy, expected: &[&str]| {
        let config = TopicConfig::default().bytes(300_000).policy(policy);
        let topics = Topics::new(TopicsConfig::default().others(config));
        let server = Running::start(server(&topics)).await;
        let mut client = Client::connect(&server, "").await;
        client.send(r#"{"id":2,"subscribe":{"channel":"flood"}}"#).await;
        client.next().await;
        let text = format!("\"{}\"", "x".repeat(100_000));
        // More than the sockets take.
        for _ in 0..300 {
            topics.publish("flood", text.clone()).await.unwrap();
            tokio::task::yield_now().await;
        }
        topics.publish("flood", "\"last\"").await.unwrap();
        let mut got = Vec::new();
        loop {
            let said = client.next().await;
            if !said.contains("xxx") {
                got.push(said);
            }
            if got.last().is_some_and(|said| said.contains("last") || said.contains("close") || said.contains("2500")) {
                break;
            }
        }
        assert_eq!(got, expected, "{policy:?}");
    };
    check(Policy::Close, &["close(3008)"]).await;
    let unsubscribed = r#"{"push":{"channel":"flood","unsubscribe":{"code":2500,"reason":"insufficient state"}}}"#;
    check(Policy::Gap, &[unsubscribed]).await;
    let last = r#"{"push":{"channel":"flood","pub":{"data":"last","offset":301,"time":T}}}"#;
    check(Policy::Latest, &[last]).await;
}

/// What was published before a drain comes first.
#[tokio::test]
async fn a_drain() {
    let topics = topics();
    let server = Running::start(server(&topics).drain_code(CloseCode::SERVICE_RESTART)).await;
    let mut client = Client::connect(&server, "").await;
    client.send(r#"{"id":2,"subscribe":{"channel":"open/a"}}"#).await;
    client.next().await;
    topics.publish("open/a", "1").await.unwrap();
    let handle = server.handle.clone();
    let draining = tokio::spawn(async move { handle.shutdown().await });
    assert_eq!(client.next().await, r#"{"push":{"channel":"open/a","pub":{"data":1,"offset":1,"time":T}}}"#);
    assert_eq!(client.next().await, "close(1012)");
    drop(client);
    draining.await.unwrap();
}

/// Who comes and goes is told by the number that the client has itself, whatever it is subscribed by.
#[tokio::test]
async fn joins_and_leaves() {
    let topics = topics();
    let server = Running::start(server(&topics)).await;
    let mut one = Client::connect(&server, "ada").await;
    one.send(r#"{"id":2,"subscribe":{"channel":"open/a","join_leave":true}}"#).await;
    one.next().await;
    let info = |client: &str, user: &str| format!(r#"{{"info":{{"user":"{user}","client":"{client}""#);
    let told = one.next().await;
    let join = format!(r#"{{"push":{{"channel":"open/a","join":{},"conn_info":{{"age":36}}}}}}}}}}"#, info("C", "ada"));
    assert_eq!(told, join);
    let mut two = Client::connect(&server, "bob").await;
    two.send(r#"{"id":2,"subscribe":{"channel":"open/a"}}"#).await;
    two.next().await;
    let number = two.number.clone().unwrap();
    let told = one.next().await;
    assert_eq!(told, format!(r#"{{"push":{{"channel":"open/a","join":{}}}}}}}}}"#, info(&number, "bob")));
    // Who subscribes anew at once has not been away.
    two.send("{\"id\":3,\"unsubscribe\":{\"channel\":\"open/a\"}}\n{\"id\":4,\"subscribe\":{\"channel\":\"open/a\"}}")
        .await;
    assert_eq!(two.next().await, r#"{"id":3,"unsubscribe":{}}"#);
    two.next().await;
    drop(two);
    let told = one.next().await;
    assert_eq!(told, format!(r#"{{"push":{{"channel":"open/a","leave":{}}}}}}}}}"#, info(&number, "bob")));
}
