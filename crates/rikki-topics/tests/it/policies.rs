//! Where subscribers begin, and what becomes of those whom the ring has gone on without.

use std::time::Duration;

use rikki_topics::{
    Broker, Elsewhere, Epoch, From, Identity, Inlet, Policy, Position, PresenceMode, Published, Publishing,
    TopicConfig, Topics, TopicsConfig,
};

use crate::all;

/// A topic whose ring holds three messages of 700 bytes.
fn small(policy: Policy) -> Topics {
    let config = TopicConfig::default().bytes(3 * 950).policy(policy);
    Topics::new(TopicsConfig::default().others(config))
}

/// Publishes numbers, in 700 bytes each.
fn publish(topics: &Topics, numbers: std::ops::RangeInclusive<u32>) -> Option<Position> {
    let mut last = None;
    for number in numbers {
        last = Some(topics.publish("t", format!("{number:<700}")).wait().unwrap());
    }
    last
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn who_falls_behind() {
    let check = |policy, expected: &str| {
        let topics = small(policy);
        let mut subscription = topics.subscribe("t", From::Now).unwrap();
        publish(&topics, 1..=2);
        assert_eq!(words(&all(&mut subscription)), "joined 1 2");
        publish(&topics, 3..=9);
        assert_eq!(words(&all(&mut subscription)), expected, "{policy:?}");
    };
    check(Policy::Gap, "gap(4) 7 8 9");
    check(Policy::Latest, "gap(6) 9");
    check(Policy::Close, "end");
    let topics = small(Policy::Gap);
    let mut subscriptions = [(); 3].map(|()| topics.subscribe("t", From::Now).unwrap());
    publish(&topics, 1..=4);
    let counters = || topics.counters().pop().unwrap();
    assert_eq!((counters().published, counters().subscribers, counters().ring_bytes), (4, 3, 3 * 950));
    for subscription in &mut subscriptions {
        assert_eq!(words(&all(subscription)), "joined gap(1) 2 3 4");
    }
    drop(subscriptions);
    let counters = counters();
    assert_eq!((counters.missed, counters.skipped, counters.closed), (3, 0, 0));
    assert_eq!((counters.delivered, counters.subscribers), (9, 0));
}

#[test]
fn where_it_begins() {
    let topics = Topics::new(TopicsConfig::default().others(TopicConfig::default().history(4)));
    let check = |from, expected: &str| {
        assert_eq!(all(&mut topics.subscribe("t", from).unwrap()), expected, "{from:?}");
    };
    check(From::Last(3), "joined");
    let positions: Vec<_> = (1..=6).map(|n| topics.publish("t", n.to_string()).wait().unwrap()).collect();
    check(From::Now, "joined");
    check(From::Last(0), "joined");
    check(From::Last(1), "joined 6");
    check(From::Last(4), "joined 3 4 5 6");
    check(From::Last(usize::MAX), "joined 3 4 5 6");
    check(From::Since(Duration::from_secs(60)), "joined 3 4 5 6");
    check(From::Since(Duration::MAX), "joined 3 4 5 6");
    check(From::After(positions[5]), "recovered=true");
    // A resume finds what is in the ring, though newcomers do not.
    check(From::After(positions[0]), "recovered=true 2 3 4 5 6");
    let Position { epoch, .. } = positions[0];
    check(From::After(Position { epoch, offset: 0 }), "recovered=true 1 2 3 4 5 6");
    check(From::After(Position { epoch, offset: 7 }), "recovered=false");
    check(From::After(Position { epoch, offset: u64::MAX }), "recovered=false");
    check(From::After(Position { epoch: Epoch(epoch.0 ^ 1), offset: 6 }), "recovered=false 3 4 5 6");
    let counters = topics.counters().pop().unwrap();
    assert_eq!((counters.resumed, counters.not_recovered), (3, 3));
}

/// By tokio's, which a test may pause.
#[tokio::test(start_paused = true)]
async fn messages_age_by_the_clock_of_the_runtime() {
    let config = TopicConfig::default().history(4).age(Duration::from_secs(60));
    let topics = Topics::new(TopicsConfig::default().others(config));
    let newcomer = || all(&mut topics.subscribe("t", From::Last(4)).unwrap());
    topics.publish("t", "1").await.unwrap();
    tokio::time::sleep(Duration::from_secs(59)).await;
    topics.publish("t", "2").await.unwrap();
    assert_eq!(newcomer(), "joined 1 2");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(newcomer(), "joined 2");
}

#[test]
fn a_resume_from_before_what_is_there() {
    let topics = small(Policy::Gap);
    let first = publish(&topics, 1..=1).unwrap();
    publish(&topics, 2..=4);
    assert_eq!(words(&all(&mut topics.subscribe("t", From::After(first)).unwrap())), "recovered=true 2 3 4");
    publish(&topics, 5..=5);
    assert_eq!(words(&all(&mut topics.subscribe("t", From::After(first)).unwrap())), "recovered=false 3 4 5");
}

#[test]
fn a_value_is_shown_at_once() {
    let topics = Topics::new(TopicsConfig::default().others(TopicConfig::default().history(1).last(true)));
    for n in 1..=3 {
        topics.publish("t", n.to_string()).wait().unwrap();
    }
    let mut subscription = topics.subscribe("t", From::Now).unwrap();
    assert_eq!(all(&mut subscription), "joined 3");
    let position = subscription.position().unwrap();
    assert_eq!(all(&mut topics.subscribe("t", From::After(position)).unwrap()), "recovered=true");
}

/// In milliseconds of Unix time.
fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_millis().try_into().unwrap()
}

/// What is older than a topic keeps has gone when the broker says it, and one whose place is known is at the end.
#[test]
fn a_broker_that_says_what_is_too_old() {
    static BROKER: Later = Later(std::sync::Mutex::new(None));
    let topics = Topics::with_broker(TopicsConfig::default(), &BROKER);
    drop(topics.subscribe("t", From::Now).unwrap());
    let inlet = BROKER.0.lock().unwrap().clone().unwrap();
    let messages = [(5, now() - 3_600_000), (7, now() - 300_000), (9, now())];
    inlet.begin(Epoch(5), 0, messages.map(|(offset, time)| (offset, Published::new(offset.to_string()), time)));
    let resume = |offset| {
        let position = Position { epoch: Epoch(5), offset };
        all(&mut topics.subscribe("t", From::After(position)).unwrap())
    };
    assert_eq!(resume(5), "recovered=true 7 9");
    assert_eq!(resume(4), "recovered=false 7 9");
    let since = From::Since(Duration::from_secs(60));
    assert_eq!(all(&mut topics.subscribe("t", since).unwrap()), "joined 9");
    // Nothing comes, and the end moves on; what comes then is behind it, and what is lost between is told.
    let look = inlet.look();
    inlet.reach(look, 20);
    assert_eq!((resume(20), inlet.reached()), ("recovered=true".to_owned(), 20));
    let mut subscription = topics.subscribe("t", From::Now).unwrap();
    assert_eq!(subscription.position().unwrap().offset, 20);
    inlet.begin(Epoch(5), 30, [(40, Published::new("40"), now())]);
    assert_eq!(all(&mut subscription), "joined gap 40");
    inlet.lose();
    assert_eq!(all(&mut subscription), "gap");
}

/// Who has waited and then reads slowly is told what is missing, from where it has begun.
#[test]
fn who_waits_and_is_slow() {
    static BROKER: Later = Later(std::sync::Mutex::new(None));
    let config = TopicsConfig::default().others(TopicConfig::default().bytes(100));
    let topics = Topics::with_broker(config, &BROKER);
    let mut subscription = topics.subscribe("t", From::Now).unwrap();
    let inlet = BROKER.0.lock().unwrap().clone().unwrap();
    inlet.begin(Epoch(5), 3, []);
    for offset in 4..8 {
        inlet.append(offset, Published::new("x".repeat(100)), now()).unwrap();
    }
    assert_eq!(all(&mut subscription), format!("joined gap(3) {}", "x".repeat(100)));
    assert_eq!(subscription.joined().unwrap().position.offset, 3);
}

/// Another process may say anything of who is there: nothing of it stays when it says something else.
#[test]
fn presence_that_cannot_be() {
    static BROKER: Later = Later(std::sync::Mutex::new(None));
    let config = TopicConfig::default().presence(PresenceMode::Members);
    let topics = Topics::with_broker(TopicsConfig::default().others(config), &BROKER);
    let _here = topics.subscribe("t", From::Now).unwrap();
    let inlet = BROKER.0.lock().unwrap().clone().unwrap();
    let twice = ["a", "b"].map(|user| (1, Identity::user(user)));
    for process in [1, 2] {
        inlet.set_present(process, Elsewhere { count: usize::MAX, members: twice.to_vec() });
    }
    assert_eq!((topics.present("t").count, inlet.present_here().count), (usize::MAX, 1));
    let _second = topics.subscribe("t", From::Now).unwrap();
    for process in [1, 2] {
        inlet.set_present(process, Elsewhere::default());
    }
    let present = topics.present("t");
    assert_eq!((present.count, present.members.len(), inlet.present_here().members.len()), (2, 2, 2));
}

/// A broker that says later which history it is, and another one after that.
#[derive(Debug, Default)]
struct Later(std::sync::Mutex<Option<Inlet>>);

impl Broker for &'static Later {
    fn attach(&self, topic: &Inlet) {
        *self.0.lock().unwrap() = Some(topic.clone());
    }

    fn publish(&self, topic: &Inlet, message: Published) -> Publishing {
        let topic = topic.clone();
        Publishing::Later(Box::pin(async move { topic.publish(message) }))
    }
}

#[tokio::test]
async fn a_broker_that_answers_later() {
    static BROKER: Later = Later(std::sync::Mutex::new(None));
    let topics = Topics::with_broker(TopicsConfig::default(), &BROKER);
    let mut subscription = topics.subscribe("t", From::Last(1)).unwrap();
    assert_eq!((all(&mut subscription), subscription.joined()), (String::new(), None));
    let inlet = BROKER.0.lock().unwrap().clone().unwrap();
    let text = |text: &'static str| Published::new(text);
    inlet.begin(Epoch(5), 7, [(10, text("ten"), now())]);
    assert!(inlet.append(20, text("twenty"), 2).unwrap());
    for offset in [20, 10, 1] {
        assert!(!inlet.append(offset, text("again"), 3).unwrap(), "{offset} is there already");
    }
    assert_eq!(all(&mut subscription), "joined twenty");
    assert_eq!(subscription.position(), Some(Position { epoch: Epoch(5), offset: 20 }));
    let resume = |epoch, offset| {
        let position = Position { epoch: Epoch(epoch), offset };
        all(&mut topics.subscribe("t", From::After(position)).unwrap())
    };
    assert_eq!(resume(5, 7), "recovered=true ten twenty");
    assert_eq!(resume(5, 6), "recovered=false ten twenty", "what was before is not known");
    assert_eq!(topics.publish("t", "next").await.unwrap().offset, 21);
    topics.publish("t", "and one").detach().unwrap();
    let mut got = String::new();
    while !got.ends_with("and one") {
        tokio::task::yield_now().await;
        got += &all(&mut subscription);
    }
    assert!(got == "next and one" || got == "nextand one", "{got}");
    // Another history: who was at the end is told so, though nothing has come.
    inlet.begin(Epoch(5), 0, [(10, text("again"), 1)]);
    assert_eq!(all(&mut subscription), "");
    inlet.begin(Epoch(6), 0, []);
    assert_eq!(all(&mut subscription), "gap");
    inlet.append(1, text("anew"), 4).unwrap();
    assert_eq!(all(&mut subscription), "anew");
    assert_eq!(subscription.position(), Some(Position { epoch: Epoch(6), offset: 1 }));
}
