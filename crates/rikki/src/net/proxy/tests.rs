//! Headers good and bad, each fed whole, bytewise, and with what is behind it.

use proptest::prelude::*;

use super::*;

/// What a stream of these bytes says, read at most `at_a_time`, and how much of it has been read. `None` where it ends
/// before the header does.
fn fed(stream: &[u8], at_a_time: usize) -> (Option<Result<Source, BadHeader>>, usize) {
    let (mut header, mut at) = (Header::new(), 0);
    while at < stream.len() {
        let length = header.wanted().min(at_a_time).min(stream.len() - at);
        assert!(length > 0, "it reads on");
        let read = header.handle_input(&stream[at..at + length]);
        at += length;
        match read {
            Ok(None) => {}
            Ok(Some(source)) => return (Some(Ok(source)), at),
            Err(error) => return (Some(Err(error)), at),
        }
    }
    (None, at)
}

#[track_caller]
fn check(bytes: &[u8], expected: Result<Source, BadHeader>) {
    for at_a_time in [usize::MAX, 1, 2, 3, 7] {
        let (read, length) = fed(&[bytes, b"\r\nGET / HTTP/1.1\r\n\r\n".repeat(20).as_slice()].concat(), at_a_time);
        assert_eq!(read, Some(expected), "{:?} by {at_a_time}", bytes.escape_ascii().to_string());
        if expected.is_ok() {
            assert_eq!(length, bytes.len(), "what is behind it stays there: {:?}", bytes.escape_ascii().to_string());
            assert_eq!(fed(bytes, at_a_time).0, Some(expected), "nothing more is waited for");
        }
    }
    // None of its beginnings is a whole one, or another.
    for end in (0..bytes.len()).step_by(1 + bytes.len() / 800) {
        let read = fed(&bytes[..end], 1).0;
        assert!(read.is_none() || (expected.is_err() && read == Some(expected)), "{end} bytes: {read:?}");
    }
}

fn client(address: &str) -> Result<Source, BadHeader> {
    Ok(Source::Client(address.parse().unwrap()))
}

const UNKNOWN: Result<Source, BadHeader> = Ok(Source::Unknown);

#[test]
fn lines() {
    let good = |line: &str, expected| check(format!("{line}\r\n").as_bytes(), expected);
    good("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443", client("192.0.2.1:56324"));
    good("PROXY TCP4 0.0.0.0 0.0.0.0 0 0", client("0.0.0.0:0"));
    good("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", client("255.255.255.255:65535"));
    good("PROXY TCP6 2001:db8::1 2001:db8::2 1 2", client("[2001:db8::1]:1"));
    good("PROXY TCP6 :: ::1 0 0", client("[::]:0"));
    good("PROXY TCP6 ::ffff:192.0.2.1 ::1 5 6", client("[::ffff:192.0.2.1]:5"));
    let long = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    good(&format!("PROXY TCP6 {long} {long} 65535 65535"), client(&format!("[{long}]:65535")));
    good("PROXY UNKNOWN", UNKNOWN);
    good("PROXY UNKNOWN ", UNKNOWN);
    good(&format!("PROXY UNKNOWN {long} {long} 65535 65535"), UNKNOWN);
    good("PROXY UNKNOWN whatever\rthere\nis  \u{e9}", UNKNOWN);
    let all = " ".repeat(LONGEST_LINE - 2 - "PROXY UNKNOWN".len());
    good(&format!("PROXY UNKNOWN{all}"), UNKNOWN);
}

#[test]
fn lines_that_are_none() {
    let bad = |line: &str| check(format!("{line}\r\n").as_bytes(), Err(BadHeader::Line));
    for line in [
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 ",
        "PROXY TCP4  192.0.2.1 198.51.100.2 56324 443",
        "PROXY TCP4\t192.0.2.1 198.51.100.2 56324 443",
        "PROXY TCP4 192.0.2.1 198.51.100.2 056324 443",
        "PROXY TCP4 192.0.2.1 198.51.100.2 65536 443",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +5632 443",
        "PROXY TCP4 192.0.2.1 198.51.100.2 -1111 443",
        "PROXY TCP4 192.0.2.1 198.51.100.2 0x11 443",
        "PROXY TCP4 192.0.2.1 198.51.100.2 00 443",
        "PROXY TCP4 192.0.2.1 198.51.100.2  443",
        "PROXY TCP4 192.0.2.01 198.51.100.2 56324 443",
        "PROXY TCP4 192.0.2.256 198.51.100.2 56324 443",
        "PROXY TCP4 192.0.2 198.51.100.2 56324 4433333",
        "PROXY TCP4 2001:db8::1 2001:db8::2 56324 443",
        "PROXY TCP4 localhost localhost 56324 443",
        "PROXY TCP6 192.0.2.1 198.51.100.2 56324 443",
        "PROXY TCP6 [2001:db8::1] [2001:db8::2] 1 2",
        "PROXY TCP6 2001:db8::1%eth0 2001:db8::2 1 2",
        "PROXY TCP6 2001:db8:::1 2001:db8::2 1 2",
        "PROXY tcp4 192.0.2.1 198.51.100.2 56324 443",
        "PROXY UDP4 192.0.2.1 198.51.100.2 56324 443",
        "PROXY UNKNOWNS and so on",
        "PROXY  UNKNOWN and so on",
        "PROXY unknown and so on",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324\n443",
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324\r443",
        "PROXY TCP4 \u{e9} 198.51.100.2 56324 443 11111",
    ] {
        bad(line);
    }
    let long =
        |fill: usize| check(format!("PROXY UNKNOWN {}\r\n", "x".repeat(fill)).as_bytes(), Err(BadHeader::TooLong));
    long(LONGEST_LINE - 15);
    long(1000);
    for missing in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "proxy TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
        "PROXY\r\n",
        " PROXY",
        "\0",
        "\r\n\r\n",
        "\r\nPROXY UNKNOWN",
    ] {
        let behind = format!("{missing}{}", " ".repeat(20));
        assert_eq!(fed(behind.as_bytes(), 1).0, Some(Err(BadHeader::Missing)), "{missing:?}");
    }
    // A handshake of TLS.
    assert_eq!(fed(b"\x16\x03\x01", 1), (Some(Err(BadHeader::Missing)), 1), "told as soon as it shows");
}

/// A header of version 2 that says how long it is.
fn binary(command: u8, family: u8, length: usize, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(length).unwrap().to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, content].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 1, 0xbb];

fn v6() -> Vec<u8> {
    let addresses =
        ["2001:db8::1", "2001:db8::2"].map(|address| address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    [&addresses.concat()[..], &[0x12, 0x34, 0, 80]].concat()
}

#[test]
fn binary_headers() {
    let good = |command, family, content: &[u8], expected| {
        check(&binary(command, family, content.len(), content), expected);
    };
    let (first, second) = (client("192.0.2.1:56324"), client("[2001:db8::1]:4660"));
    let behind = |addresses: &[u8], more: &[u8]| [addresses, more].concat();
    good(0x21, 0x11, &V4, first);
    good(0x21, 0x12, &V4, first);
    good(0x21, 0x21, &v6(), second);
    good(0x21, 0x22, &v6(), second);
    good(0x21, 0x31, &[b'/'; 216], UNKNOWN);
    good(0x21, 0x32, &[0; 216], UNKNOWN);
    good(0x21, 0x00, b"", UNKNOWN);
    good(0x21, 0x00, &V4, UNKNOWN);
    good(0x20, 0x00, b"", UNKNOWN);
    good(0x20, 0x11, &V4, UNKNOWN);
    // The family of LOCAL is ignored, and what length it would have.
    good(0x20, 0x11, b"", UNKNOWN);
    good(0x20, 0xff, b"anything", UNKNOWN);
    // What is behind the addresses is passed over: an ALPN, a length that lies, and no form at all.
    good(0x21, 0x11, &behind(&V4, b"\x01\x00\x02h2"), first);
    good(0x21, 0x11, &behind(&V4, b"\x01\xff\xffh2"), first);
    good(0x21, 0x11, &behind(&V4, b"\x01"), first);
    good(0x21, 0x21, &behind(&v6(), &[0xff; 700]), second);
    good(0x21, 0x21, &behind(&v6(), b"PROXY UNKNOWN\r\n"), second);
    good(0x21, 0x11, &behind(&V4, &[0; 4096 - 12]), first);
    good(0x21, 0x31, &[0; 4096], UNKNOWN);
    good(0x20, 0x00, &[0; 4096], UNKNOWN);
}

#[test]
fn binary_headers_that_are_none() {
    let bad = |bytes: &[u8], expected| check(bytes, Err(expected));
    let of = |command, family, length| binary(command, family, length, &[&V4[..], &[0; 300]].concat());
    for command in [0x00, 0x01, 0x10, 0x11, 0x31, 0xf1] {
        bad(&of(command, 0x11, 12), BadHeader::Version);
    }
    for command in [0x22, 0x23, 0x2f] {
        bad(&of(command, 0x11, 12), BadHeader::Command);
    }
    for family in [0x01, 0x02, 0x10, 0x13, 0x1f, 0x20, 0x23, 0x30, 0x33, 0x41, 0xff] {
        bad(&of(0x21, family, 12), BadHeader::Family);
    }
    for (family, length) in
        [(0x11, 0), (0x11, 11), (0x12, 4), (0x21, 12), (0x21, 35), (0x22, 0), (0x31, 215), (0x32, 0)]
    {
        bad(&of(0x21, family, length), BadHeader::TooShort);
    }
    for length in [4097, 0x7fff, 0xffff] {
        bad(&of(0x21, 0x11, length), BadHeader::TooLong);
        bad(&of(0x20, 0x00, length), BadHeader::TooLong);
    }
    // A signature with one byte wrong.
    for at in 0..12 {
        let mut bytes = of(0x21, 0x11, 12);
        bytes[at] ^= 0x20;
        assert_eq!(fed(&bytes, 1), (Some(Err(BadHeader::Missing)), at + 1));
    }
}

proptest! {
    /// Never a panic, and never more than a header may have.
    #[test]
    fn any_bytes(
        start in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", b"PROXY TCP6 ", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"]),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at_a_time in 1_usize..50,
    ) {
        let stream = [start, &bytes].concat();
        let (read, length) = fed(&stream, at_a_time);
        prop_assert!(length <= 16 + 4096);
        prop_assert_eq!(read, fed(&stream, usize::MAX).0);
    }
}
