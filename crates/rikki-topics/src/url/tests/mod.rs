//! Requests and their answers, without sockets.

mod events;
mod reconfigured;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use rikki_ws::Endpoint;
use tower_service::Service as _;

use super::*;
use rikki_ws::Message;

use crate::{Broker, Epoch, Inlet, PresenceMode, Published, Publishing, SubscribeOptions, TopicConfig, TopicsConfig};

/// One whose histories can be told.
#[derive(Debug)]
struct Known;

impl Broker for Known {
    fn attach(&self, topic: &Inlet) {
        topic.begin(Epoch(7), 0, []);
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        Publishing::Done(topic.publish(message))
    }
}

const E: &str = "0000000000000007";

fn topics() -> Topics {
    let open = TopicConfig::default().publish(true).bytes(100).presence(PresenceMode::Counts);
    let config = TopicsConfig::default().others(None).topic("open", open.clone()).unwrap();
    let config = config.topic("open/*", open).unwrap().topic("news", TopicConfig::default().history(2)).unwrap();
    let topics = Topics::with_broker(config, Known);
    for text in ["one", "two", "three"] {
        topics.publish("news", text).wait().unwrap();
    }
    topics.publish("news", vec![0, 159]).wait().unwrap();
    topics
}

fn app(url: &TopicUrl) -> Router {
    let nested = Router::new().route("/{*name}", url.route());
    Router::new().route("/{*name}", url.route()).nest("/open/nested", nested)
}

/// A request as it is written, with line feeds alone: `POST /open`, then fields, and behind an empty line the body.
fn request(text: &[u8]) -> Request {
    let end = text.windows(2).position(|pair| pair == b"\n\n").unwrap_or(text.len());
    let (head, body) = text.split_at(end);
    let mut lines = head.split(|byte| *byte == b'\n');
    let (method, target) = std::str::from_utf8(lines.next().unwrap()).unwrap().split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(target).header("host", "localhost");
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap();
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    request.body(Body::from(body.get(2..).unwrap_or_default().to_vec())).unwrap()
}

async fn answer(url: &TopicUrl, text: &[u8]) -> Response {
    app(url).call(request(text)).await.unwrap()
}

/// The status and the body, in which times are `T`.
async fn said(response: Response) -> String {
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut parts = body.split("\"time\":");
    let mut text = format!("{status} {}", parts.next().unwrap());
    for part in parts {
        text.push_str("\"time\":T");
        text.push_str(part.trim_start_matches(|char: char| char.is_ascii_digit()));
    }
    text.trim_end().to_owned()
}

/// The answer to a request, after the messages of [`topics`] alone.
async fn check(text: impl AsRef<[u8]>, expected: &str) {
    let text = text.as_ref();
    let said = said(answer(&TopicUrl::new(&topics()), text).await).await;
    assert_eq!(
        said,
        expected.replace("E:", &format!("{E}:")).replace("\"E\"", &format!("\"{E}\"")),
        "{}",
        text.escape_ascii()
    );
}

/// What the opening handshake has, but for somebody who upgrades.
const UPGRADE: &str = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

/// The answer to an opening handshake that is let through.
const OPENED: &str = "500 this server does not support upgrades";

#[tokio::test]
async fn names() {
    check("GET /open", r#"200 {"topic":"open","epoch":null,"offset":0,"messages":[]}"#).await;
    check("GET /open/a/b", r#"200 {"topic":"open/a/b","epoch":null,"offset":0,"messages":[]}"#).await;
    check("GET /open/%C3%BC", r#"200 {"topic":"open/ü","epoch":null,"offset":0,"messages":[]}"#).await;
    check("GET /open/a%3Ab%2561", r#"200 {"topic":"open/a:b%61","epoch":null,"offset":0,"messages":[]}"#).await;
    check("GET /open/%22%25", r#"200 {"topic":"open/\"%","epoch":null,"offset":0,"messages":[]}"#).await;
    check("GET /open/nested/a", r#"200 {"topic":"open/nested/a","epoch":null,"offset":0,"messages":[]}"#).await;
    check("GET /open//", r#"200 {"topic":"open//","epoch":null,"offset":0,"messages":[]}"#).await;
    for bad in ["%", "%2", "%zz", "%+1", "%ff", "%c3", "a%"] {
        let expected = "400 the path has a bad percent-encoding, or is no UTF-8";
        check(format!("GET /open/{bad}"), expected).await;
        check(format!("POST /open/{bad}"), expected).await;
    }
    // What routes a request sees its path as it is written.
    for spelled in ["%61", "a%2fb", "%2F", "%7a", "%5A", "%30", "%2d", "%2E", "%2e%2e", "%5f", "%7E", "%22%61"] {
        let expected =
            "400 the path has a percent-encoding of a letter, a digit, or one of - . _ ~ /: write it plainly";
        check(format!("GET /open/{spelled}"), expected).await;
        check(format!("POST /open/{spelled}"), expected).await;
    }
    for control in ["%00", "%0a", "%7f", "%c2%85"] {
        check(format!("GET /open/{control}"), "400 the name of a topic has a control character").await;
    }
    let long = format!("GET /open/{}", "x".repeat(251));
    check(long, "400 the name of a topic has 256 bytes, at most 255 may be").await;
    for method in ["GET", "POST"] {
        check(format!("{method} /other"), "404 there is no such topic").await;
        check(format!("{method} /open/"), "404 there is no such topic").await;
    }
    check("GET /other\nAccept: text/event-stream", "404 there is no such topic").await;
    check(format!("GET /other\n{UPGRADE}"), "404 there is no such topic").await;
}

#[tokio::test]
async fn queries() {
    let faces = ["", "\nAccept: text/event-stream", &format!("\n{UPGRADE}")];
    let check_bad = async |query: &str, expected: &str| {
        for face in faces {
            check(format!("GET /news?{query}{face}"), expected).await;
        }
    };
    let last = "400 `last` is a whole number, as in last=10";
    for bad in ["last", "last=", "last=-1", "last=+1", "last=1.5", "last=x", "last=99999999999999999999999"] {
        check_bad(bad, last).await;
    }
    for bad in ["since=1:1", "since=:", "since=0000000000000007:-1", "since=0000000000000007:1x"] {
        check_bad(bad, "400 `since` is EPOCH:OFFSET, as in since=00c0ffee00c0ffee:42").await;
    }
    for bad in ["since", "since=", "since=30", "since=0s", "since=-1s", "since=30x"] {
        check_bad(bad, "400 `since` is how long ago, as in since=30s, or EPOCH:OFFSET").await;
    }
    let once = "400 `last` and `since`, `envelope`, and `presence` may be there once each";
    for bad in ["last=1&last=1", "last=1&since=1s", "since=1s&since=1s", "envelope=json&envelope=json"] {
        check_bad(bad, once).await;
    }
    check_bad("presence=true&presence=false", once).await;
    check_bad("envelope=xml", "400 `envelope` can be json alone").await;
    check_bad("envelope", "400 `envelope` can be json alone").await;
    check_bad("presence=1", "400 `presence` is true or false").await;
    check_bad("last=%zz", "400 `last` has a bad percent-encoding").await;
    for good in ["", "last=0", "l%61st=1", "since=1h", "envelope=json&presence=true", "token=%zz&token=x&&=", "Last=x"]
    {
        check(format!("GET /news?{good}\n{UPGRADE}"), OPENED).await;
    }
    check("GET /news?since=0000000000000007%3A1\nUpgrade: other", &news(r#","recovered":true"#, &[TWO, THREE, FOUR]))
        .await;
}

const TWO: &str = r#"{"offset":2,"epoch":"E","time":T,"data":"two"}"#;
const THREE: &str = r#"{"offset":3,"epoch":"E","time":T,"data":"three"}"#;
const FOUR: &str = r#"{"offset":4,"epoch":"E","time":T,"base64":"AJ8="}"#;

fn news(said: &str, messages: &[&str]) -> String {
    format!(r#"200 {{"topic":"news","epoch":"E","offset":4{said},"messages":[{}]}}"#, messages.join(","))
}

#[tokio::test]
async fn reading() {
    check("GET /news", &news("", &[THREE, FOUR])).await;
    check("GET /news?envelope=json&token=x", &news("", &[THREE, FOUR])).await;
    check("GET /news?last=1", &news("", &[FOUR])).await;
    check("GET /news?last=0", &news("", &[])).await;
    check("GET /news?last=1000", &news("", &[THREE, FOUR])).await;
    check("GET /news?since=1h", &news("", &[THREE, FOUR])).await;
    check(format!("GET /news?since={E}:4"), &news(r#","recovered":true"#, &[])).await;
    check(format!("GET /news?since={E}:5"), &news(r#","recovered":false"#, &[])).await;
    check("GET /news?since=0000000000000008:1", &news(r#","recovered":false"#, &[THREE, FOUR])).await;
    let unused = r#"200 {"topic":"open","epoch":null,"offset":0,"recovered":false,"messages":[]}"#;
    check(format!("GET /open?since={E}:0"), unused).await;
    let present = r#"200 {"topic":"open","epoch":null,"offset":0,"messages":[],"presence":{"count":0,"members":[]}}"#;
    check("GET /open?presence=true", present).await;
    check("GET /open?presence=false", r#"200 {"topic":"open","epoch":null,"offset":0,"messages":[]}"#).await;
    check("HEAD /news", "200").await;
    check("HEAD /open", "200").await;
    check("HEAD /open?last=x", "400").await;
    // By what is accepted.
    for json in
        ["*/*", "text/*", "application/json", "text/event-stream;q=0", "text/event-stream;q=0.5, application/json"]
    {
        check(format!("GET /news?last=0\nAccept: {json}"), &news("", &[])).await;
    }
}

#[tokio::test]
async fn methods() {
    for method in ["PUT", "DELETE", "PATCH", "TRACE", "QUERY"] {
        check(format!("{method} /open\n\nx"), "405 a topic takes GET, HEAD, OPTIONS and POST").await;
    }
    check("OPTIONS /open", "204").await;
    let url = TopicUrl::new(&topics());
    let field = async |text: &str, name: &str| {
        let answer = answer(&url, text.as_bytes()).await;
        answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    for method in ["OPTIONS", "PUT"] {
        let allowed = field(&format!("{method} /open"), "allow").await;
        assert_eq!(allowed.as_deref(), Some("GET, HEAD, OPTIONS, POST"));
    }
    let position = format!("{E}:4");
    for request in ["GET /news", "HEAD /news", "GET /news\nAccept: text/event-stream"] {
        assert_eq!(field(request, "topic-position").await, Some(position.clone()), "{request}");
        assert_eq!(field(request, "cache-control").await.as_deref(), Some("no-store"), "{request}");
    }
    assert_eq!(field("POST /open", "topic-position").await, Some(format!("{E}:1")));
    assert_eq!(field("GET /open/new", "topic-position").await, None);
    let events = field("HEAD /news\nAccept: text/event-stream", "content-type").await;
    assert_eq!(events.as_deref(), Some("text/event-stream"));
    assert_eq!(field("GET /open/new\nAccept: text/event-stream", "x-accel-buffering").await.as_deref(), Some("no"));
    for method in ["GET", "HEAD"] {
        assert_eq!(field(&format!("{method} /open/other"), "topic-position").await, None);
    }
    let made: u64 = url.topics.counters().iter().map(|counted| counted.topics).sum();
    assert_eq!(made, 3, "by publishing and subscribing alone");
}

#[tokio::test]
async fn publishing() {
    const FIRST: &str = r#"200 {"epoch":"E","offset":1}"#;
    for media in ["text/plain", "text/plain; charset=utf-8", "TEXT/X", "application/json", "application/ld+json"] {
        check(format!("POST /open\nContent-Type: {media}\n\nä"), FIRST).await;
        let bad = [format!("POST /open\nContent-Type: {media}\n\n").as_bytes(), b"\xff"].concat();
        check(bad, "400 a text is UTF-8, and this is not: send bytes as application/octet-stream").await;
    }
    check(b"POST /open\nContent-Type: application/octet-stream\n\n\xff", FIRST).await;
    check(b"POST /open\n\n\xff", FIRST).await;
    check("POST /open", FIRST).await;
    check("POST /open?last=x\n\nqueries are for others", FIRST).await;
    check(format!("POST /open\n\n{}", "x".repeat(100)), FIRST).await;
    check(format!("POST /open\n\n{}", "x".repeat(101)), "413 message of 101 bytes, the topic takes 100").await;
    check("POST /news\n\nx", "403 publishing is not allowed here: clients may only subscribe").await;
    check("POST /open\nContent-Encoding: gzip\n\nx", "415 a message has no Content-Encoding here").await;
    check("POST /open\nContent-Encoding: identity\n\nx", FIRST).await;
    check(
        "POST /open\nContent-Type: text/plain\nContent-Type: text/plain\n\nx",
        "400 the header content-type must appear only once",
    )
    .await;
    for name in ["idempotency-key", "topic-key"] {
        check(format!("POST /open\n{name}: \n\nx"), &format!("400 {name} has 1 to 255 bytes of UTF-8")).await;
        check(format!("POST /open\n{name}: {}\n\nx", "k".repeat(255)), FIRST).await;
        let long = format!("POST /open\n{name}: {}\n\nx", "k".repeat(256));
        check(long, &format!("400 {name} has 1 to 255 bytes of UTF-8")).await;
        let twice = format!("POST /open\n{name}: k\n{name}: k\n\nx");
        check(twice, &format!("400 the header {name} must appear only once")).await;
        let bad = [format!("POST /open\n{name}: ").as_bytes(), b"\xff\n\nx"].concat();
        check(bad, &format!("400 {name} has 1 to 255 bytes of UTF-8")).await;
    }
}

/// What was published is there as it was sent.
#[tokio::test]
async fn published() {
    let topics = topics();
    let url = TopicUrl::new(&topics);
    let mut subscription = topics.subscribe("open", SubscribeOptions::default()).unwrap();
    let mut check = async |text: &[u8], expected: Message<'static>| {
        let said = said(answer(&url, text).await).await;
        assert!(said.starts_with("200 "), "{said}");
        let published = subscription.prepared().await.unwrap();
        assert_eq!(*published.message(), expected, "{}", text.escape_ascii());
    };
    check("POST /open\n\nä".as_bytes(), "ä".into()).await;
    check(b"POST /open\n\n\xff", vec![255].into()).await;
    check(b"POST /open\nContent-Type: application/octet-stream\n\nx", b"x".to_vec().into()).await;
    check(b"POST /open\nContent-Type: application/x-www-form-urlencoded\n\na=b&c=%20", "a=b&c=%20".into()).await;
    check(b"POST /open\nContent-Type: application/json\n\n{\n}", "{\n}".into()).await;
    // Sent again, and not published again.
    for _ in 0..2 {
        let said = said(answer(&url, b"POST /open\nIdempotency-Key: \"7\"\n\nonce").await).await;
        assert_eq!(said, format!("200 {{\"epoch\":\"{E}\",\"offset\":6}}"));
    }
    assert_eq!(*subscription.prepared().await.unwrap().message(), Message::from("once"));
    assert_eq!(subscription.try_next().map(|update| format!("{update:?}")), None);
    assert_eq!(topics.counters()[0].repeated, 1);
}

#[tokio::test]
async fn lines() {
    const NDJSON: &str = "POST /open\nContent-Type: application/x-ndjson";
    let check_lines = async |lines: &str, expected: &[&str]| {
        let expected = format!("200 {}", expected.join("\n"));
        check(format!("{NDJSON}\n\n{lines}"), expected.trim_end()).await;
    };
    let [one, two] = [1, 2].map(|offset| format!(r#"{{"epoch":"E","offset":{offset}}}"#));
    check_lines("", &[]).await;
    check_lines("\n \n\r\n", &[]).await;
    check_lines("1\n\"two\"", &[&one, &two]).await;
    check_lines("{\"a\": [1]}\r\n\nnull\n", &[&one, &two]).await;
    let no_json = r#"{"error":"this is no JSON: expected value at line 1 column 1"}"#;
    check_lines("1\nx\n2", &[&one, no_json, &two]).await;
    let too_long = r#"{"error":"too long: the topic takes 100 bytes"}"#;
    check_lines(&format!("1\n{}\n2", "3".repeat(5000)), &[&one, too_long, &two]).await;
    check_lines(&format!("{}\n2", "3".repeat(101)), &[too_long, &one]).await;
    check_lines(&"3".repeat(100), &[&one]).await;
    check([NDJSON.as_bytes(), b"\n\n\"\xff\"\n"].concat(), r#"200 {"error":"this is no UTF-8"}"#).await;
    let long = format!("{NDJSON}\nIdempotency-Key: {}\n\n1", "k".repeat(251));
    check(long, "400 the idempotency-key of many messages has 1 to 250 bytes").await;

    let url = TopicUrl::new(&topics());
    let again = format!("{NDJSON}\nIdempotency-Key: {}\n\n1\nx\n2", "k".repeat(250));
    let first = said(answer(&url, again.as_bytes()).await).await;
    assert_eq!(said(answer(&url, again.as_bytes()).await).await, first, "known again");
    let many = format!("{NDJSON}\n\n{}", "1\n".repeat(10_002));
    let said = said(answer(&url, many.as_bytes()).await).await;
    assert_eq!(said.lines().count(), 10_001);
    assert!(
        said.ends_with("a request has at most 10000 messages: this and what follows is not published\"}"),
        "{said}"
    );
}

/// An answer counts until it has been taken.
#[tokio::test]
async fn answers_to_lines_are_counted() {
    let topics = topics();
    let used = || topics.budgets()[0].used();
    let before = used();
    let text = format!("POST /open\nContent-Type: application/x-ndjson\n\n{}", "x\n".repeat(1000));
    let response = answer(&TopicUrl::new(&topics), text.as_bytes()).await;
    let held = used() - before;
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    assert!(held >= body.len(), "{held} of {}", body.len());
    drop(body);
    assert_eq!(used(), before);
    // Where there is no room for more of it, what follows is not published.
    let topics = Topics::with_broker(
        TopicsConfig::default().others(TopicConfig::default().publish(true)).memory(used() + 20_000),
        Known,
    );
    let said = said(answer(&TopicUrl::new(&topics), text.as_bytes()).await).await;
    assert!(said.ends_with("no memory is left for messages of topics: what follows is not published\"}"), "{said}");
    assert!(said.len() < 25_000, "{}", said.len());
}

/// What is no handshake, and what cannot be upgraded, takes no topic and no subscription.
#[tokio::test]
async fn handshakes_that_are_refused_hold_nothing() {
    let topics = topics();
    let url = TopicUrl::new(&topics);
    let made = || topics.counters().iter().map(|counted| counted.topics).sum::<u64>();
    let check = async |fields: &str, expected: &str| {
        let response = answer(&url, format!("GET /open/new\n{fields}").as_bytes()).await;
        assert_eq!((made(), topics.budgets()[2].used()), (1, 0), "{fields}");
        assert!(said(response).await.starts_with(expected), "{fields}");
    };
    check("Upgrade: websocket", "400 ").await;
    check(&UPGRADE.replace("13", "12"), "426 ").await;
    check(UPGRADE, OPENED).await;
}

#[tokio::test]
async fn origins() {
    let faces = [
        "GET /open",
        "HEAD /open",
        "POST /open",
        "GET /open\nAccept: text/event-stream",
        &format!("GET /open\n{UPGRADE}"),
    ];
    let check = async |url: &TopicUrl, origin: &str, is_let_through: bool| {
        for face in faces {
            let status = answer(url, format!("{face}\n{origin}").as_bytes()).await.status();
            assert_eq!(status != StatusCode::FORBIDDEN, is_let_through, "{face} {origin}");
        }
    };
    let url = TopicUrl::new(&topics());
    for same in ["Origin: http://localhost", "Sec-Fetch-Site: cross-site", "X-Origin: http://evil.test"] {
        check(&url, same, true).await;
    }
    for foreign in ["Origin: http://evil.test", "Origin: http://localhost:81", "Origin: null", "Origin: x"] {
        check(&url, foreign, false).await;
    }
    check(&url, "Origin: http://localhost\nOrigin: http://localhost", false).await;
    let endpoint = Endpoint::default().allow_origin("http://good.test").unwrap();
    let url = url.endpoint(endpoint);
    check(&url, "Origin: http://good.test", true).await;
    check(&url, "Origin: http://evil.test", false).await;
    let said = said(answer(&url, b"POST /open\nOrigin: http://evil.test").await).await;
    assert!(said.starts_with("403 pages of http://evil.test may not use this address of localhost; "), "{said}");
}

#[tokio::test]
async fn rules() {
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = asked.clone();
    let url = TopicUrl::new(&topics()).authorize(move |request, topic, action| {
        seen.lock().unwrap().push(format!("{topic} {action:?}"));
        match request.headers.get("authorization").map(|token| token.to_str().unwrap()) {
            None => Err(Denied::unauthorized("who are you?\r\nSet-Cookie: no")),
            Some("reader") if matches!(action, Action::Publish | Action::Presence) => {
                Err(Denied::forbidden(format!("readers may not {action:?}")))
            }
            Some("newcomer") if action == Action::History => Err(Denied::forbidden("newcomers may not History")),
            Some(user) => Ok(Identity::user(user)),
        }
    });
    let check = async |text: &str, expected: &str, actions: &[&str]| {
        let said = said(answer(&url, text.as_bytes()).await).await;
        assert!(said.starts_with(expected), "{text}: {said}");
        let asked = std::mem::take(&mut *asked.lock().unwrap());
        assert_eq!(asked, actions.iter().map(|action| format!("news {action}")).collect::<Vec<_>>(), "{text}");
    };
    check("GET /news", "401 who are you?  Set-Cookie: no", &["History"]).await;
    check("POST /news", "401 who are you?", &["Publish"]).await;
    check("GET /news\nAccept: text/event-stream", "401 who are you?", &["Subscribe"]).await;
    check(&format!("GET /news\n{UPGRADE}"), "401 who are you?", &["Subscribe"]).await;
    check("GET /news\nAuthorization: reader", "200 ", &["History"]).await;
    check("GET /news?presence=true\nAuthorization: reader", "403 readers may not Presence", &["History", "Presence"])
        .await;
    check("POST /news\nAuthorization: reader", "403 readers may not Publish", &["Publish"]).await;
    check(&format!("GET /news\n{UPGRADE}\nAuthorization: reader"), OPENED, &["Subscribe", "Publish"]).await;
    // Who may only subscribe gets nothing of what was said before.
    let resumed = format!("Last-Event-ID: {E}:2");
    for (query, field) in [("last=9", ""), ("since=1h", ""), (&*format!("since={E}:2"), ""), ("", &*resumed)] {
        let events = format!("GET /news?{query}\nAccept: text/event-stream\nAuthorization: newcomer\n{field}");
        check(events.trim_end(), "403 newcomers may not History", &["Subscribe", "History"]).await;
        if field.is_empty() {
            let socket = format!("GET /news?{query}\n{UPGRADE}\nAuthorization: newcomer");
            check(&socket, "403 newcomers may not History", &["Subscribe", "History"]).await;
            let allowed = format!("GET /news?{query}\n{UPGRADE}\nAuthorization: reader");
            check(&allowed, OPENED, &["Subscribe", "History", "Publish"]).await;
        }
    }
    check(&format!("GET /news\n{UPGRADE}\nAuthorization: newcomer"), OPENED, &["Subscribe", "Publish"]).await;
    // The rule alone decides.
    check("POST /news\nAuthorization: writer", "200 ", &["Publish"]).await;
    // Nobody is asked about what is wrong anyway.
    check("GET /news?last=x", "400 ", &[]).await;
    check("PUT /news", "405 ", &[]).await;
    check("GET /news\nOrigin: http://evil.test", "403 pages of ", &[]).await;
    let denied = answer(&url, b"GET /news").await;
    assert_eq!(denied.headers()[header::WWW_AUTHENTICATE], "Bearer");
}

#[tokio::test]
async fn bounds() {
    let refused = async |config: TopicsConfig, text: &[u8]| {
        let topics = Topics::with_broker(config, Known);
        let _first = topics.subscribe("first", SubscribeOptions::default()).unwrap();
        let answer = answer(&TopicUrl::new(&topics), text).await;
        let retry = answer.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(retry.as_deref(), Some("1"));
        said(answer).await
    };
    let config = || TopicsConfig::default().others(TopicConfig::default().publish(true));
    let events = b"GET /second\nAccept: text/event-stream";
    assert_eq!(refused(config().max_topics(1), events).await, "503 there are as many topics as there may be");
    assert_eq!(refused(config().max_topics(1), b"POST /second").await, "503 there are as many topics as there may be");
    let many = config().max_subscriptions(1);
    assert_eq!(refused(many, events).await, "503 there are as many subscriptions as there may be");
    let body = [b"POST /first\n\n".as_slice(), &[b'x'; 5000]].concat();
    assert_eq!(refused(config().memory(5000), &body).await, "503 no memory is left for messages of topics");
}
