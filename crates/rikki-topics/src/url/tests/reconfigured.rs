//! What a URL makes of topics that change while it serves them.

use http_body::Body as _;

use super::*;

fn patterns<const N: usize>(patterns: [(&str, TopicConfig); N]) -> TopicsConfig {
    let all = TopicsConfig::default().others(None);
    patterns.into_iter().fold(all, |all, (pattern, config)| all.topic(pattern, config).unwrap())
}

fn open() -> TopicConfig {
    TopicConfig::default().publish(true)
}

/// Each request is judged by what the topic is like when it comes.
#[tokio::test]
async fn each_request() {
    let topics = Topics::with_broker(patterns([("open", open().bytes(4))]), Known);
    let url = TopicUrl::new(&topics);
    let check = async |text: &str, expected: &str| {
        assert_eq!(said(answer(&url, text.as_bytes()).await).await, expected.replace('E', E), "{text}");
    };
    let websocket = format!("GET /open\n{UPGRADE}");
    check("POST /open\n\nfour", r#"200 {"epoch":"E","offset":1}"#).await;
    check("POST /open\n\nfives", "413 message of 5 bytes, the topic takes 4").await;
    let _ = topics.reconfigure(patterns([("open", open().bytes(5))]));
    check("POST /open\n\nfives", r#"200 {"epoch":"E","offset":2}"#).await;
    let _ = topics.reconfigure(patterns([("open", TopicConfig::default())]));
    check("POST /open\n\nno", "403 publishing is not allowed here: clients may only subscribe").await;
    check(&websocket, OPENED).await;
    let subscription = topics.subscribe("open", crate::From::Now).unwrap();
    let _ = topics.reconfigure(patterns([("new", open())]));
    let lines = "POST /open\nContent-Type: application/x-ndjson\n\n1\n";
    let events = "GET /open\nAccept: text/event-stream";
    for request in ["GET /open", "POST /open\n\nno", lines, events, &websocket] {
        check(request, "404 there is no such topic").await;
    }
    check("HEAD /open", "404").await;
    check("POST /new\n\ntext", r#"200 {"epoch":"E","offset":1}"#).await;
    drop(subscription);
}

/// A request whose body comes later is judged again when it is published.
#[tokio::test]
async fn meanwhile() {
    let check = async |config: TopicsConfig, lines: bool, expected: &str| {
        let topics = Topics::with_broker(patterns([("open", open().bytes(9))]), Known);
        let changed = topics.clone();
        // What is polled first changes the topic.
        let body = futures_util::stream::once(async move {
            let _ = changed.reconfigure(config);
            Ok::<_, std::convert::Infallible>("\"a text\"")
        });
        let mut request = request(b"POST /open");
        if lines {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        }
        *request.body_mut() = Body::from_stream(body);
        let answer = app(&TopicUrl::new(&topics)).call(request).await.unwrap();
        assert_eq!(said(answer).await, expected.replace('E', E));
    };
    check(patterns([]), false, "404 there is no such topic").await;
    check(patterns([]), true, r#"200 {"error":"there is no such topic"}"#).await;
    let shorter = || patterns([("open", open().bytes(4))]);
    check(shorter(), false, "413 message of 8 bytes, the topic takes 4").await;
    check(shorter(), true, r#"200 {"error":"message of 8 bytes, the topic takes 4"}"#).await;
    check(patterns([("open", TopicConfig::default())]), false, r#"200 {"epoch":"E","offset":1}"#).await;
}

/// A stream of events stays while nobody finds its topic, and gets what comes when there is one again.
#[tokio::test]
async fn a_stream_of_events_stays() {
    let topics = Topics::with_broker(patterns([("open", open())]), Known);
    let url = TopicUrl::new(&topics);
    let mut events = answer(&url, b"GET /open\nAccept: text/event-stream").await.into_body();
    topics.publish("open", "before").wait().unwrap();
    let _ = topics.reconfigure(patterns([]));
    let _ = topics.reconfigure(patterns([("open", open())]));
    topics.publish("open", "after").wait().unwrap();
    let mut got = String::new();
    while !got.contains("after") {
        let frame = std::future::poll_fn(|cx| std::pin::Pin::new(&mut events).poll_frame(cx)).await.unwrap().unwrap();
        got.push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
    }
    assert!(got.contains("before"), "{got}");
}
