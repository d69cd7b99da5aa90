//! Frames that break a rule of RFC 6455 section 5: each ends its connection with the right code and no other one.

use rikki::Server;

use crate::talk::{Talk, close, frame, header, hex};
use crate::wire::{BOTH, RUNS, Running};

/// A server under attack, and connections from before it.
struct Attacked {
    server: Running,
    bystanders: Vec<Talk>,
}

impl Attacked {
    async fn new(server: Server) -> Self {
        let server = Running::echo(server).await;
        let mut bystanders = Vec::new();
        for via in BOTH {
            bystanders.push(Talk::open(&server, via, "/echo").await);
        }
        Self { server, bystanders }
    }

    /// Sends `input` in every delivery over TCP and TLS, and expects these frames and then the end of TCP.
    async fn check(&mut self, input: impl AsRef<[u8]>, expected: &str) {
        let input = input.as_ref();
        for (via, delivery) in RUNS {
            let mut talk = Talk::open(&self.server, via, "/echo").await;
            let sent = talk.stream.deliver(input, delivery).await;
            let what = format!("{:02x?} {via:?} {delivery:?}", &input[..input.len().min(24)]);
            sent.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(talk.rest().await, expected, "{what}");
        }
        for bystander in &mut self.bystanders {
            bystander.echo("still here").await;
        }
    }
}

/// A frame of no payload with the key 0.
fn empty(first: u8) -> Vec<u8> {
    vec![first, 0x80, 0, 0, 0, 0]
}

#[tokio::test]
async fn masks_and_lengths() {
    let mut attacked = Attacked::new(Server::new()).await;
    // Not masked.
    attacked.check(hex("81 05 48656c6c6f"), "close(1002)").await;
    // The top bit of a length is set.
    attacked.check(hex("82 ff ffffffffffffffff 00000000"), "close(1002)").await;
    // Too large, judged on the header alone: nothing of the payload is sent.
    attacked.check(hex("82 ff 7fffffffffffffff 00000000"), "close(1009)").await;
    attacked.check([header(0x82, 4 * 1024 * 1024 + 1), vec![0; 4]].concat(), "close(1009)").await;
    // Fragments whose sum is beyond 64 bits.
    let sum = [frame(0x01, "a"), hex("00 ff 7ffffffffffffff0 00000000")].concat();
    attacked.check(sum, "close(1009)").await;
    attacked.check([hex("01 ff 7ffffffffffffff0 00000000")].concat(), "close(1009)").await;
    // A length that is not in the shortest form.
    attacked.check(hex("82 fe 0005 00000000 0000000000"), "close(1002)").await;
    attacked.check(hex("82 ff 0000000000000005 00000000 0000000000"), "close(1002)").await;
    attacked.check(hex("82 ff 000000000000ffff 00000000"), "close(1002)").await;
}

#[tokio::test]
async fn reserved_bits_and_opcodes() {
    let mut attacked = Attacked::new(Server::new()).await;
    // Reserved bits that no extension has agreed on.
    for first in [0xa1, 0x91, 0xc1, 0xc9, 0xc0, 0xf1, 0x99, 0xa8] {
        attacked.check(empty(first), "close(1002)").await;
    }
    // Opcodes that mean nothing.
    for first in (0x83..=0x87).chain(0x8b..=0x8f) {
        attacked.check(empty(first), "close(1002)").await;
    }
    // What came before is answered.
    attacked.check([frame(0x81, "before"), empty(0x83)].concat(), "text(before) close(1002)").await;
}

#[tokio::test]
async fn control_frames() {
    let mut attacked = Attacked::new(Server::new()).await;
    // Control frames that are longer than 125 bytes, or fragments.
    for first in [0x88, 0x89, 0x8a] {
        attacked.check(frame(first, [b'a'; 126]), "close(1002)").await;
    }
    for first in [0x08, 0x09, 0x0a] {
        attacked.check(empty(first), "close(1002)").await;
    }
    // Between fragments they are allowed.
    let between = [frame(0x01, "a"), frame(0x89, "p"), frame(0x8a, "q"), frame(0x80, "b"), close(1000, "")].concat();
    attacked.check(between, "pong(p) text(ab) close(1000)").await;
}

#[tokio::test]
async fn fragments() {
    let mut attacked = Attacked::new(Server::new()).await;
    // A continuation of nothing, and a message that begins inside of another.
    attacked.check(frame(0x80, "a"), "close(1002)").await;
    attacked.check(frame(0x00, "a"), "close(1002)").await;
    attacked.check([frame(0x01, "a"), frame(0x81, "b")].concat(), "close(1002)").await;
    attacked.check([frame(0x02, "a"), frame(0x01, "b")].concat(), "close(1002)").await;
    attacked.check([frame(0x01, "a"), frame(0x80, "b"), frame(0x80, "c")].concat(), "text(ab) close(1002)").await;
}

#[tokio::test]
async fn close_frames() {
    let mut attacked = Attacked::new(Server::new()).await;
    // Closes with half a code, with a code that must not be sent, with a reason that is not UTF-8.
    attacked.check(frame(0x88, "\x03"), "close(1002)").await;
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        attacked.check(close(code, "x"), "close(1002)").await;
    }
    attacked.check(frame(0x88, b"\x03\xe8\xff\xfe"), "close(1007)").await;
    attacked.check(frame(0x88, b"\x03\xe8\xed\xa0\x80"), "close(1007)").await;
    // Good ones come back.
    attacked.check(frame(0x88, ""), "close()").await;
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        attacked.check(close(code, "\u{fc}"), &format!("close({code})")).await;
    }
}

#[tokio::test]
async fn nothing_after_a_close_counts() {
    let mut attacked = Attacked::new(Server::new()).await;
    // Whatever comes behind a Close is not looked at.
    let after = [close(1000, "bye"), frame(0x81, "late"), frame(0x89, "late"), close(4000, "")].concat();
    attacked.check(after, "close(1000)").await;
    attacked.check([close(1000, ""), hex("ff ff ff ff ff ff")].concat(), "close(1000)").await;
    attacked.check([hex("81 00"), frame(0x81, "late"), close(1000, "")].concat(), "close(1002)").await;
}

#[tokio::test]
async fn text_that_is_not_utf8() {
    let mut attacked = Attacked::new(Server::new()).await;
    // Text that is not UTF-8, whole and in pieces.
    let invalid: [&[u8]; 13] = [
        b"\x80",
        b"\xbf",
        b"\xc0\xaf",             // overlong
        b"\xe0\x80\xaf",         // overlong
        b"\xf0\x80\x80\xaf",     // overlong
        b"\xc1\xbf",             // overlong
        b"\xed\xa0\x80",         // a surrogate
        b"\xed\xbf\xbf",         // a surrogate
        b"\xf4\x90\x80\x80",     // above U+10FFFF
        b"\xf5",                 // no first byte
        b"\xfe\xff",             // no bytes of UTF-8 at all
        b"ok \xce\xba\xe1\xbd ", // a sequence that breaks off
        b"\xe1\xbd",             // the message ends in a sequence
    ];
    for text in invalid {
        attacked.check(frame(0x81, text), "close(1007)").await;
        // Cut in two fragments at every place.
        for at in 0..=text.len() {
            let (front, back) = text.split_at(at);
            attacked.check([frame(0x01, front), frame(0x80, back)].concat(), "close(1007)").await;
        }
    }
    let valid = "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5} \u{10ffff}".as_bytes();
    for at in 0..=valid.len() {
        let (front, back) = valid.split_at(at);
        let expected = format!("text({}) close(1000)", valid.escape_ascii());
        attacked.check([frame(0x01, front), frame(0x80, back), close(1000, "")].concat(), &expected).await;
    }
}

#[tokio::test]
async fn text_is_judged_as_it_arrives() {
    let mut attacked = Attacked::new(Server::new()).await;
    // The frame says 100 bytes, and no more of them comes than the one that is wrong.
    for bad in [&b"hello \xff"[..], b"\xed\xa0", b"\xf4\x90", b"\xc0", b"\xe1\xbd "] {
        for first in [0x81, 0x01] {
            let mut started = frame(first, [bad, &[b'a'; 100]].concat());
            started.truncate(6 + bad.len());
            attacked.check(&started, "close(1007)").await;
        }
        let mut later = [frame(0x01, "\u{e9}"), frame(0x00, [bad, &[b'a'; 100]].concat())].concat();
        later.truncate(8 + 6 + bad.len());
        attacked.check(&later, "close(1007)").await;
    }
}

#[tokio::test]
async fn a_client_that_goes_on_sending_sees_the_close() {
    // Closing TCP over unread bytes would reset it and take the Close with it.
    let server = Running::echo(Server::new()).await;
    for via in BOTH {
        let mut talk = Talk::open(&server, via, "/echo").await;
        let flood = [hex("81 05 48656c6c6f"), vec![0x55; 1024 * 1024]].concat();
        talk.send(flood).await;
        assert_eq!(talk.rest().await, "close(1002)", "{via:?}");
    }
}

#[tokio::test]
async fn well_formed_frames_in_every_delivery() {
    let mut attacked = Attacked::new(Server::new()).await;
    let all = [
        frame(0x81, "hello"),
        frame(0x82, b"\x00\xff"),
        frame(0x81, ""),
        frame(0x82, ""),
        frame(0x89, [b'p'; 125]),
        frame(0x8a, "unasked"),
        frame(0x01, ""),
        frame(0x00, "in "),
        frame(0x00, ""),
        frame(0x80, "pieces"),
        frame(0x82, [7; 126]),
        close(4321, "done"),
    ];
    let expected = "text(hello) binary(\\x00\\xff) text() binary() pong(125 x p) text(in pieces) \
                    binary(126 x \\x07) close(4321)";
    attacked.check(all.concat(), expected).await;
}
