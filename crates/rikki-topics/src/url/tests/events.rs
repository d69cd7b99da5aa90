//! Streams of events, as a browser would read them; time passes when everybody waits.

use std::future::poll_fn;
use std::pin::Pin;

use futures_util::FutureExt as _;
use http_body::Body as _;
use rikki_ws::CloseCode;
use rikki_ws::internal::Clock;

use super::*;
use crate::{From, Policy, Position};

/// After how many bytes a piece goes out.
const AT_ONCE: usize = 16 * 1024;

/// A stream under way.
struct Stream(Body);

impl Stream {
    async fn open(url: &TopicUrl, text: &str) -> Self {
        let answer = answer(url, format!("GET {text}\nAccept: text/event-stream").as_bytes()).await;
        assert_eq!(answer.status(), StatusCode::OK, "{text}");
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self(answer.into_body())
    }

    /// The next piece; `end` at the end.
    async fn next(&mut self) -> String {
        match poll_fn(|cx| Pin::new(&mut self.0).poll_frame(cx)).await {
            Some(frame) => String::from_utf8(frame.unwrap().into_data().unwrap().into()).unwrap(),
            None => "end".to_owned(),
        }
    }

    /// What there is now.
    fn now(&mut self) -> Option<String> {
        self.next().now_or_never()
    }
}

fn with(config: TopicConfig) -> (Topics, TopicUrl) {
    let topics = Topics::with_broker(TopicsConfig::default().others(config), Known);
    let url = TopicUrl::new(&topics);
    (topics, url)
}

fn subscribed(offset: u64, recovered: &str) -> String {
    format!("event: subscribed\nid: {E}:{offset}\ndata: {{\"epoch\":\"{E}\",\"offset\":{offset}{recovered}}}\n\n")
}

fn message(offset: u64, data: &str) -> String {
    format!("id: {E}:{offset}\ndata: {data}\n\n")
}

#[tokio::test(start_paused = true)]
async fn what_is_published() {
    let topics = topics();
    let url = TopicUrl::new(&topics);
    let mut stream = Stream::open(&url, "/news?last=2").await;
    let binary = format!("event: binary\nid: {E}:4\ndata: AJ8=\n\n");
    let first = format!("retry: 2000\n\n{}{}{binary}", subscribed(2, ""), message(3, "three"));
    assert_eq!(stream.next().await, first);
    assert_eq!(stream.now(), None);
    topics.publish("news", "two\r\nlines\n").wait().unwrap();
    assert_eq!(stream.next().await, message(5, "two\ndata: lines\ndata: "));
    topics.publish("news", "").wait().unwrap();
    topics.publish("news", "id: 9\n\nevent: gap").wait().unwrap();
    let both = message(6, "") + &message(7, "id: 9\ndata: \ndata: event: gap");
    assert_eq!(stream.next().await, both);

    let mut stream = Stream::open(&url.retry(Duration::from_millis(7)), "/news?last=1&envelope=json").await;
    let text = stream.next().await;
    let (head, message) = text.rsplit_once("data: ").unwrap();
    assert_eq!(head, format!("retry: 7\n\n{}id: {E}:7\n", subscribed(6, "")));
    assert!(message.starts_with(&format!(r#"{{"offset":7,"epoch":"{E}","time":"#)), "{message}");
    assert!(message.ends_with("\"data\":\"id: 9\\n\\nevent: gap\"}\n\n"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn resumes() {
    let topics = topics();
    let url = TopicUrl::new(&topics);
    let check = async |text: &str, expected: &str| {
        let mut stream = Stream::open(&url, text).await;
        assert_eq!(stream.next().await, format!("retry: 2000\n\n{expected}"), "{text}");
    };
    let all = subscribed(2, ",\"recovered\":true") + &message(3, "three");
    let binary = format!("event: binary\nid: {E}:4\ndata: AJ8=\n\n");
    check(&format!("/news\nLast-Event-ID: {E}:2"), &format!("{all}{binary}")).await;
    check(&format!("/news?since={E}:2"), &format!("{all}{binary}")).await;
    // What the address said when it was first opened.
    check(&format!("/news?last=7\nLast-Event-ID: {E}:4"), &subscribed(4, ",\"recovered\":true")).await;
    check(&format!("/news?since={E}:0\nLast-Event-ID: {E}:4"), &subscribed(4, ",\"recovered\":true")).await;
    check(&format!("/news?since={E}:9"), &subscribed(4, ",\"recovered\":false")).await;
    let lost = subscribed(2, ",\"recovered\":false") + &message(3, "three") + &binary;
    check("/news\nLast-Event-ID: 0000000000000008:4", &lost).await;
    check("/news", &subscribed(4, "")).await;

    let bad = async |field: &str, expected: &str| {
        let text = format!("GET /news\nAccept: text/event-stream\n{field}");
        assert_eq!(said(answer(&url, text.as_bytes()).await).await, format!("400 {expected}"), "{field}");
    };
    for id in ["", "4", ":", "0000000000000007:-4", "ä"] {
        bad(&format!("Last-Event-ID: {id}"), "Last-Event-ID is EPOCH:OFFSET").await;
    }
    let twice = format!("Last-Event-ID: {E}:4\nLast-Event-ID: {E}:4");
    bad(&twice, "the header last-event-id must appear only once").await;
}

/// Also over what nobody gets any more since there is a later one of its key.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_says_where_it_is() {
    let (topics, url) = with(TopicConfig::default().latest_by_key(true));
    let mut stream = Stream::open(&url, "/quiet").await;
    assert_eq!(stream.next().await, format!("retry: 2000\n\n{}", subscribed(0, "")));
    let started = tokio::time::Instant::now();
    for _ in 0..2 {
        assert_eq!(stream.next().await, format!(":\nid: {E}:0\n\n"));
    }
    let seconds = started.elapsed().as_secs_f32();
    assert!((30.0..31.5).contains(&seconds), "{seconds}");
    for text in ["one", "two"] {
        topics.publish("quiet", text).key("same").wait().unwrap();
    }
    assert_eq!(stream.next().await, message(2, "two"));
    assert_eq!(stream.next().await, format!(":\nid: {E}:2\n\n"));
    // What is published puts it off.
    let mut stream = Stream::open(&url.heartbeat(Duration::from_secs(4)), "/quiet").await;
    stream.next().await;
    let started = tokio::time::Instant::now();
    for offset in 3..7 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        topics.publish("quiet", "x").wait().unwrap();
        assert_eq!(stream.next().await, message(offset, "x"));
    }
    assert_eq!(stream.next().await, format!(":\nid: {E}:6\n\n"));
    assert!(started.elapsed().as_secs() >= 16);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_it_behind_what_was_published_before() {
    let (topics, url) = with(TopicConfig::default());
    let mut idle = Stream::open(&url, "/idle").await;
    let mut busy = Stream::open(&url, "/busy").await;
    for stream in [&mut idle, &mut busy] {
        assert_eq!(stream.next().await, format!("retry: 2000\n\n{}", subscribed(0, "")));
        assert_eq!(stream.now(), None);
    }
    let waits = tokio::spawn(async move { idle.next().await });
    tokio::task::yield_now().await;
    topics.publish("busy", "before").wait().unwrap();
    Clock::current().drain(CloseCode::GOING_AWAY, Duration::ZERO).await;
    assert_eq!(waits.await.unwrap(), "end", "it is woken");
    assert_eq!(busy.next().await, message(1, "before"));
    topics.publish("busy", "after").wait().unwrap();
    assert_eq!(busy.next().await, "end");
    // One that comes then is told to come back at once.
    let mut late = Stream::open(&url, "/busy?last=1").await;
    let first = format!("retry: 2000\n\n{}{}", subscribed(1, ""), message(2, "after"));
    assert_eq!((late.next().await, late.next().await), (first, "end".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn slow_readers() {
    for (policy, expected) in [
        (Policy::Gap, format!("event: gap\ndata: {{\"missed\":6}}\n\n{}", message(7, "6"))),
        (Policy::Latest, format!("event: gap\ndata: {{\"missed\":1029}}\n\n{}", message(1030, "1029"))),
        (Policy::Close, "end".to_owned()),
    ] {
        let (topics, url) = with(TopicConfig::default().policy(policy));
        let mut stream = Stream::open(&url, "/fast").await;
        stream.next().await;
        for number in 0..1030 {
            topics.publish("fast", number.to_string()).wait().unwrap();
        }
        let next = stream.next().await;
        assert!(next.starts_with(&expected), "{policy:?}: {}", &next[..next.len().min(100)]);
        if policy == Policy::Close {
            assert_eq!(topics.counters()[0].closed, 1);
            assert_eq!(topics.counters()[0].subscribers, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pieces_are_bounded() {
    let (topics, url) = with(TopicConfig::default());
    let mut stream = Stream::open(&url, "/many").await;
    stream.next().await;
    for _ in 0..100 {
        topics.publish("many", "x".repeat(3000)).wait().unwrap();
    }
    let mut all = 0;
    while let Some(piece) = stream.now() {
        assert!(piece.len() <= AT_ONCE + 200, "{}", piece.len());
        all += piece.matches("id: ").count();
    }
    assert_eq!(all, 100);
    assert_eq!(topics.counters()[0].delivered, 100);
    drop(stream);
    assert_eq!(topics.counters()[0].subscribers, 0);

    // So are those of what is read; who is overtaken is told.
    let mut reader = answer(&url, b"GET /many").await.into_body();
    let first = poll_fn(|cx| Pin::new(&mut reader).poll_frame(cx)).await.unwrap().unwrap().into_data().unwrap();
    assert!(first.len() <= AT_ONCE + 200, "{}", first.len());
    for _ in 0..1100 {
        topics.publish("many", "y").wait().unwrap();
    }
    let rest = to_bytes(reader, usize::MAX).await.unwrap();
    assert!(rest.ends_with(b"],\"gap\":{\"missed\":null}}\n"), "{}", rest.escape_ascii());
    let whole: serde_json::Value = serde_json::from_slice(&[first, rest].concat()).unwrap();
    assert!(whole["messages"].as_array().unwrap().iter().all(|message| message["data"] != "y"));
}

/// A reader that does not read holds a piece, and a message that is shared.
#[tokio::test(start_paused = true)]
async fn a_message_goes_in_pieces() {
    const LONG: usize = 1_000_001;
    let (topics, url) = with(TopicConfig::default());
    let weird = "ä\u{1}\r\n\"\u{1f9a1}\\".repeat(LONG / 13);
    let messages: [Message<'static>; 5] = [
        "\n".repeat(LONG).into(),
        "\u{1}".repeat(LONG).into(),
        weird.into(),
        vec![7; LONG].into(),
        "x".repeat(LONG).into(),
    ];
    for message in messages {
        let offset = topics.publish("long", message.clone()).wait().unwrap().offset;
        for (request, is_event) in [
            ("/long?last=1\nAccept: text/event-stream", true),
            ("/long?last=1&envelope=json\nAccept: text/event-stream", true),
            ("/long?last=1", false),
        ] {
            let mut body = answer(&url, format!("GET {request}").as_bytes()).await.into_body();
            let mut whole = Vec::new();
            while let Some(Some(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).now_or_never() {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(piece.len() <= AT_ONCE + 200, "{request}: {}", piece.len());
                whole.extend_from_slice(&piece);
            }
            let whole = String::from_utf8(whole).unwrap();
            let enveloped = || {
                let json = if is_event { whole.rsplit_once("data: ").unwrap().1 } else { &whole };
                let value: serde_json::Value = serde_json::from_str(json).unwrap();
                if is_event { value } else { value["messages"][0].clone() }
            };
            match message.as_text() {
                Some(text) if is_event && !request.contains("envelope") => {
                    let (_, data) = whole.split_once(&format!("\n\nid: {E}:{offset}\ndata: ")).unwrap();
                    let expected = text.replace("\r\n", "\n").replace('\n', "\ndata: ");
                    assert!(data.strip_suffix("\n\n") == Some(&expected), "{request}");
                }
                Some(text) => assert!(enveloped()["data"] == text, "{request}"),
                None if request.contains("envelope") || !is_event => {
                    assert!(enveloped()["base64"].as_str().unwrap().len() == LONG.div_ceil(3) * 4, "{request}");
                }
                None => assert!(whole.ends_with("Bwc=\n\n"), "{request}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn presence() {
    let (topics, url) = with(TopicConfig::default().presence(PresenceMode::Members));
    let url = url.authorize(|_, _, _| Ok(Identity::user("ada")));
    let mut stream = Stream::open(&url, "/room?presence=true").await;
    let nobody = "event: presence\ndata: {\"complete\":true,\"count\":0,\"joined\":[],\"left\":[]}\n\n";
    assert_eq!(stream.next().await, format!("retry: 2000\n\n{}{nobody}", subscribed(0, "")));
    let told = stream.next().await;
    let data = told.strip_prefix("event: presence\ndata: ").unwrap();
    let told: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!((&told["count"], &told["joined"][0]["user"]), (&1.into(), &"ada".into()));
    let answer = said(answer(&url, b"GET /room?presence=true").await).await;
    assert!(answer.contains(r#""presence":{"count":1,"members":[{"#) && answer.ends_with("}}"), "{answer}");
    assert_eq!(topics.present("room").count, 1);
}

/// A broker that says later which history it is.
#[derive(Clone, Debug, Default)]
struct Late(Arc<std::sync::Mutex<Option<Inlet>>>);

impl Broker for Late {
    fn attach(&self, topic: &Inlet) {
        *self.0.lock().unwrap() = Some(topic.clone());
    }

    fn publish(&self, _: &Inlet, _: Published) -> Publishing {
        Publishing::Later(Box::pin(async { Err(crate::PublishError::Unavailable) }))
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_its_time() {
    let late = Late::default();
    let topics =
        Topics::with_broker(TopicsConfig::default().others(TopicConfig::default().publish(true)), late.clone());
    let url = TopicUrl::new(&topics);
    let mut stream = Stream::open(&url, "/late?last=1").await;
    assert_eq!(stream.next().await, "retry: 2000\n\n");
    assert_eq!(stream.next().await, ":\n\n", "nothing is known of where it is");
    let said = async |text: &str| said(answer(&url, text.as_bytes()).await).await;
    let nothing = r#"200 {"topic":"late","epoch":null,"offset":0,"messages":[]}"#;
    assert_eq!(said("GET /late").await, nothing);
    let away = "503 the broker of the topics cannot be reached, and nothing was published";
    assert_eq!(said("POST /late").await, away);
    let inlet = late.0.lock().unwrap().take().unwrap();
    inlet.append(8, Published::new("eight"), 0).unwrap();
    inlet.begin(Epoch(7), 0, []);
    assert_eq!(stream.next().await, subscribed(0, "") + &message(8, "eight"));
    // Another history: what was there is lost, and where it is, is known when that has been told.
    inlet.begin(Epoch(9), 0, []);
    inlet.append(1, Published::new("one"), 0).unwrap();
    let again = "event: gap\ndata: {\"missed\":null}\n\nid: 0000000000000009:1\ndata: one\n\n";
    assert_eq!(stream.next().await, again);
}

/// What a library call reads is what is there, as a subscriber would get it.
#[test]
fn history() {
    let topics = topics();
    let check = |from: From, recovered: Option<bool>, offsets: &[u64]| {
        let history = topics.history("news", from).unwrap();
        assert_eq!(history.position, Position { epoch: Epoch(7), offset: 4 });
        let got: Vec<u64> = history.messages.iter().map(|message| message.position.offset).collect();
        assert_eq!((history.recovered, &*got), (recovered, offsets), "{from:?}");
    };
    let after = |epoch, offset| From::After(Position { epoch: Epoch(epoch), offset });
    check(From::Now, None, &[]);
    check(From::Last(1), None, &[4]);
    check(From::Last(9), None, &[3, 4]);
    check(after(7, 0), Some(true), &[1, 2, 3, 4]);
    check(after(7, 3), Some(true), &[4]);
    check(after(7, 9), Some(false), &[]);
    check(after(8, 4), Some(false), &[3, 4]);
    assert_eq!(topics.history("open", From::Last(9)), None);
}
