//! Who is there: joins and leaves, put together over a short time.

use std::time::Duration;

use rikki_topics::{From, Identity, PresenceMode, SubscribeOptions, Subscription, TopicConfig, Topics, TopicsConfig};

use crate::all;

fn topics(mode: PresenceMode) -> Topics {
    Topics::new(TopicsConfig::default().others(TopicConfig::default().presence(mode)))
}

fn join(topics: &Topics, user: &str) -> Subscription {
    let options = SubscribeOptions::from(From::Now).identity(Identity::user(user).info("info")).presence(true);
    topics.subscribe("t", options).unwrap()
}

fn users(topics: &Topics) -> Vec<String> {
    topics.present("t").members.iter().map(|member| member.identity.user.clone()).collect()
}

async fn later() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test(start_paused = true)]
async fn members_come_and_go() {
    let topics = topics(PresenceMode::Members);
    let mut ada = join(&topics, "ada");
    let bob = join(&topics, "bob");
    assert_eq!((users(&topics), topics.present("t").count), (vec!["ada".to_owned(), "bob".to_owned()], 2));
    assert_eq!(all(&mut ada), "joined presence(0 + - all)", "they are put together first");
    later().await;
    assert_eq!(all(&mut ada), "presence(2 +ada,bob -)");
    drop(bob);
    let mut eve = join(&topics, "eve");
    // Who comes and goes in between has been there for nobody.
    drop(join(&topics, "nobody"));
    assert_eq!(all(&mut eve), "joined presence(2 +ada,bob - all)", "who has been told to be there");
    later().await;
    assert_eq!(all(&mut ada), "presence(2 +eve -bob)");
    assert_eq!(all(&mut eve), "presence(2 +eve -bob)");
    // Who reads slowly is told all of it.
    for n in 0..20 {
        let guest = join(&topics, &format!("guest{n}"));
        later().await;
        drop(guest);
        later().await;
    }
    assert_eq!(all(&mut ada), "presence(2 +ada,eve - all)");
    later().await;
    assert_eq!(all(&mut ada), "");
    let mut unaware = topics.subscribe("t", From::Now).unwrap();
    drop(eve);
    later().await;
    assert_eq!(all(&mut unaware), "joined", "only who has asked is told");
    assert_eq!(topics.present("t").count, 2);
}

#[tokio::test(start_paused = true)]
async fn counts_alone() {
    let topics = topics(PresenceMode::Counts);
    let mut all_of_them: Vec<_> = (0..5).map(|n| join(&topics, &n.to_string())).collect();
    later().await;
    assert_eq!(all(&mut all_of_them[0]), "joined presence(5 + - all)");
    assert_eq!((topics.present("t").count, users(&topics).len()), (5, 0));
    // Before messages, also for who has not read when it comes.
    let mut late = join(&topics, "late");
    topics.publish("t", "text").wait().unwrap();
    later().await;
    assert_eq!(all(&mut late), "joined presence(6 + - all) text");
    drop(late);
    later().await;
    assert_eq!(all(&mut all_of_them[0]), "text presence(6 + -) presence(5 + -)");
    all_of_them.truncate(1);
    later().await;
    assert_eq!(all(&mut all_of_them[0]), "presence(1 + -)");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_are_named_and_others_counted() {
    let topics = topics(PresenceMode::Members);
    let crowd: Vec<_> = (0..1003).map(|n| join(&topics, &n.to_string())).collect();
    assert_eq!((topics.present("t").count, users(&topics).len()), (1003, 1000));
    let used = topics.budgets()[0].used();
    drop(crowd);
    assert_eq!((topics.present("t").count, users(&topics).len()), (0, 0));
    assert!(used > topics.budgets()[0].used() + 1000 * 200, "members count as memory, and are given back");
}

/// Who has gone counts as long as others may still be told of it.
#[tokio::test(start_paused = true)]
async fn what_is_to_be_told_counts() {
    let topics = topics(PresenceMode::Members);
    let crowd: Vec<_> = (0..100).map(|n| join(&topics, &n.to_string().repeat(1000))).collect();
    later().await;
    let used = topics.budgets()[0].used();
    drop(crowd);
    assert!(topics.budgets()[0].used() > used - 1000, "they are to be told");
    for _ in 0..20 {
        drop(join(&topics, "somebody"));
        let somebody = join(&topics, "else");
        later().await;
        drop(somebody);
        later().await;
    }
    assert!(topics.budgets()[0].used() < used / 10, "they have been told");
}

/// A runtime that ends takes no news with it.
#[test]
fn told_though_the_runtime_ends() {
    let topics = topics(PresenceMode::Members);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (mut ada, _bob) = runtime.block_on(async { (join(&topics, "ada"), join(&topics, "bob")) });
    drop(runtime);
    assert_eq!(all(&mut ada), "joined presence(2 +ada,bob - all)");
    let _eve = join(&topics, "eve");
    assert_eq!(all(&mut ada), "presence(3 +eve -)");
}

#[test]
fn without_a_runtime_they_are_told_at_once() {
    let topics = topics(PresenceMode::Members);
    let mut ada = join(&topics, "ada");
    assert_eq!(all(&mut ada), "joined presence(1 +ada - all)");
    drop(join(&topics, "bob"));
    assert_eq!(all(&mut ada), "presence(2 +bob -) presence(1 + -bob)");
}

#[test]
fn off_is_off() {
    let topics = Topics::new(TopicsConfig::default());
    let mut ada = join(&topics, "ada");
    drop(join(&topics, "bob"));
    assert_eq!((all(&mut ada), topics.present("t").count), ("joined".to_owned(), 0));
    assert_eq!(topics.present("never used").count, 0);
}
