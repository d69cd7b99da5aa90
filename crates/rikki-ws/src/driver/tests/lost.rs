//! What was accepted and cannot be written any more is counted, message by message.

use super::*;

type Quiet = Fixture<fn(&mut Socket<'_>, Message<'_>)>;

/// Sends three messages of ten bytes each, with their headers, and two by a sender.
fn sent(script: Script) -> (Quiet, Sender, Arc<Terms>) {
    let mut fixture = Fixture::new(script, Config::default(), quiet as fn(&mut Socket<'_>, Message<'_>));
    let sender = fixture.driver.with_socket(Waker::noop(), |socket| {
        for _ in 0..3 {
            socket.send("8 bytes.").unwrap();
        }
        socket.sender()
    });
    sender.send("9 bytes..").unwrap();
    sender.ping(b"no message").unwrap();
    sender.send("10 bytes..").unwrap();
    let terms = fixture.driver.terms.clone();
    (fixture, sender, terms)
}

#[tokio::test]
async fn messages_that_are_not_written_whole_are_lost() {
    for (takes, lost) in [(0, 5), (9, 5), (10, 4), (29, 3), (30, 2), (41, 1), (42, 1), (64, 1), (65, 0)] {
        let (mut fixture, sender, terms) = sent(Script { takes, ..Script::new([]) });
        assert!(fixture.poll().is_pending());
        assert_eq!((terms.counts().lost_messages.get(), sender.dropped()), (0, 0));
        drop(fixture);
        assert_eq!((terms.counts().lost_messages.get(), sender.dropped()), (lost, lost), "{takes} bytes written");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_loses_what_is_unsent() {
    for (takes, lost) in [(0, 5), (15, 4), (30, 2)] {
        let (mut fixture, sender, terms) = sent(Script { takes, breaks: true, eof: true, ..Script::new([]) });
        assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
        assert_eq!((terms.counts().lost_messages.get(), sender.dropped()), (lost, lost), "{takes} bytes written");
        drop(fixture);
        assert_eq!(terms.counts().lost_messages.get(), lost, "counted once");
    }
}
