//! Large messages: read to where they stay, a part in each poll, and answered before what follows.

use super::*;

/// Of 1 MiB, the beginning and the end come by way of the thread's buffer, what is between them in as few reads as the
/// message's growth allows.
#[tokio::test]
async fn a_large_message_is_read_to_where_it_stays() {
    const LENGTH: usize = 1 << 20;
    let stream = [frame(0x82, &[7; LENGTH]), frame(0x81, b"next")].concat();
    let mut fixture = Fixture::new(Script::new([stream]), Config::default(), echo);
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.consumer.messages, fixture.driver.line.io.read_calls), (2, 4));
    let header = [&[0x82, 127][..], &(LENGTH as u64).to_be_bytes()].concat();
    assert!(fixture.driver.line.io.written == [&header[..], &[7; LENGTH], b"\x81\x04next"].concat());
}

#[tokio::test]
async fn a_large_message_waits_and_ends_like_any_other() {
    const LENGTH: usize = 1 << 20;
    let stream = [frame(0x82, &[7; LENGTH]), frame(0x81, b"next")].concat();
    let (begun, rest) = stream.split_at(100_000);
    let waiting = || {
        let mut fixture = Fixture::new(Script::new([begun.to_vec()]), Config::default(), echo);
        assert!(fixture.poll().is_pending());
        assert!(fixture.driver.line.io.room > READ_SIZE, "it waits for more of the message itself");
        assert!(fixture.driver.line.io.reads.is_empty() && fixture.consumer.closed.is_none());
        fixture
    };
    let mut fixture = waiting();
    fixture.driver.line.io.reads.push_back(rest.to_vec());
    assert!(fixture.poll().is_pending());
    assert_eq!((fixture.consumer.messages, fixture.driver.line.io.written.len()), (2, 10 + LENGTH + 6));
    for (resets, kind) in [(false, io::ErrorKind::UnexpectedEof), (true, io::ErrorKind::ConnectionReset)] {
        let mut fixture = waiting();
        (fixture.driver.line.io.eof, fixture.driver.line.io.resets) = (true, resets);
        assert!(matches!(fixture.poll(), Poll::Ready(Stopped::Ended)));
        assert_eq!(fixture.consumer.closed.as_ref().unwrap().code, CloseCode::ABNORMAL);
        assert!(matches!(fixture.error(), Error::Io(error) if error.kind() == kind));
        assert_eq!(fixture.consumer.messages, 0);
    }
}

#[tokio::test]
async fn a_poll_reads_a_mebibyte_and_lets_others_run() {
    let stream = frame(0x82, &[7; 4 << 20]);
    let mut fixture = Fixture::new(Script::new([stream]), Config::default(), echo);
    let mut left = 4 << 20;
    while fixture.consumer.messages == 0 {
        let wakes = fixture.wakes();
        assert!(fixture.poll().is_pending());
        fixture.turn().await;
        assert!(fixture.wakes() > wakes || fixture.consumer.messages == 1, "it goes on by itself");
        let now = fixture.driver.line.io.reads.front().map_or(0, Vec::len);
        assert!(left - now <= (1 << 20) + 4 * READ_SIZE, "{} bytes in one poll", left - now);
        left = now;
    }
}

/// What little is on the wire may come to much, and what is answered is compressed in turn.
#[tokio::test]
async fn a_poll_inflates_a_mebibyte_and_lets_others_run() {
    const LENGTH: usize = 400 * 1024;
    let mut compressed = Vec::new();
    Compressor::new(deflate::Compression::default()).compress(&[0; LENGTH], &mut compressed);
    let read = frame(0xc2, &compressed).repeat(8);
    assert!(read.len() < READ_SIZE);
    // (what is done with a message, how many of them are over a mebibyte)
    for (answers, messages) in [(false, 3), (true, 2)] {
        let mut fixture = Fixture::new(Script::new([read.clone()]), Config::default(), |socket, message| {
            if answers {
                echo(socket, message);
            }
        });
        let request = [("sec-websocket-extensions", "permessage-deflate")];
        let request =
            request.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).into_iter().collect();
        let accepted = fixture.driver.terms.codecs.as_ref().unwrap().negotiate(&request).unwrap().unwrap();
        fixture.driver.connection.set_codecs(accepted.codecs);
        let mut seen = 0;
        while seen < 8 {
            assert!(fixture.poll().is_pending());
            assert_eq!(fixture.consumer.messages - seen, messages.min(8 - seen), "in one poll");
            seen = fixture.consumer.messages;
            fixture.turn().await;
        }
    }
}

#[tokio::test]
async fn large_answers_are_written_before_the_next_message() {
    let answer = "x".repeat(100_000);
    let read = frame(0x81, b"x").repeat(3);
    let mut fixture = Fixture::new(Script::new([read]), Config::default(), |socket, _| {
        assert!(socket.queued() <= WRITE_AT, "written after each message");
        socket.send(&*answer).unwrap();
    });
    assert!(fixture.poll().is_pending());
    assert_eq!(fixture.driver.line.io.written.len(), 3 * (answer.len() + 10));
}
