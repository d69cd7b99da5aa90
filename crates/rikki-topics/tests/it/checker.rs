//! The checker of logs, by hand-written logs.

use rikki_topics::{Epoch, From, Position, TopicConfig, Topics, TopicsConfig, Update};

use crate::contract::{Fault, Log, check};

/// What a subscriber would see of these numbers, of which `-1` is a gap of one.
fn log(published: &[(Position, u64)], seen: &[i64]) -> Log {
    let topics = Topics::new(TopicsConfig::default().others(TopicConfig::default()));
    let mut log = Log::default();
    let mut subscription = topics.subscribe("of a test", From::Now).unwrap();
    let Some(Update::Joined(mut joined)) = subscription.try_next() else { panic!("it begins") };
    joined.position = Position { offset: 0, ..published[0].0 };
    log.note(Update::Joined(joined));
    for number in seen {
        let Ok(number) = u64::try_from(*number) else {
            log.note(Update::Gap(Some(1)));
            continue;
        };
        topics.publish("of a test", number.to_string()).wait().unwrap();
        let Some(Update::Message(mut message)) = subscription.try_next() else { panic!("it comes") };
        message.position = published.iter().find(|(_, known)| *known == number).unwrap().0;
        log.note(Update::Message(message));
    }
    log
}

#[test]
fn what_is_wrong_is_found() {
    let published: Vec<_> = (0..5).map(|n| (Position { epoch: Epoch(7), offset: 10 * (n + 1) }, n)).collect();
    let check = |seen: &[i64], expected| assert_eq!(check(&published, &log(&published, seen)), expected, "{seen:?}");
    check(&[0, 1, 2, 3, 4], Ok(()));
    check(&[0, 1, 3, 4], Err(Fault::Lost(2)));
    check(&[0, 1, 2, 3], Err(Fault::Lost(4)));
    check(&[], Err(Fault::Lost(0)));
    check(&[0, 1, 2, 2, 3, 4], Err(Fault::Doubled(2)));
    check(&[0, 2, 1, 3, 4], Err(Fault::Lost(1)));
    check(&[0, -1, 2, 1, 3, 4], Err(Fault::Reordered(1)));
    check(&[0, 1, -1, 3, 4], Ok(()));
    check(&[0, 1, -1, 4], Err(Fault::Miscounted { said: 1, missing: 2 }));
    check(&[0, 1, -1, -1, 4], Ok(()));
    check(&[0, 1, -1, 2, 3, 4], Err(Fault::Miscounted { said: 1, missing: 0 }));
}
