use http::HeaderName;
use proptest::prelude::*;

use super::*;

const VALID: [(&str, &str); 5] = [
    ("host", "h"),
    ("upgrade", "websocket"),
    ("connection", "Upgrade"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("sec-websocket-version", "13"),
];

/// The valid request with these lines, `name=value`, instead of all its own of that name; `name` alone removes them.
fn headers(changes: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in VALID {
        headers.append(name, HeaderValue::from_static(value));
    }
    let changes = changes.iter().map(|change| match change.iter().position(|&byte| byte == b'=') {
        Some(at) => (HeaderName::from_bytes(&change[..at]).unwrap(), Some(&change[at + 1..])),
        None => (HeaderName::from_bytes(change).unwrap(), None),
    });
    for (name, _) in changes.clone() {
        headers.remove(name);
    }
    for (name, value) in changes {
        if let Some(value) = value {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
    }
    headers
}

#[track_caller]
fn check(changes: &[&str], expected: Result<(), Refusal>) {
    let bytes: Vec<&[u8]> = changes.iter().map(|change| change.as_bytes()).collect();
    check_bytes(&bytes, expected);
}

#[track_caller]
fn check_bytes(changes: &[&[u8]], expected: Result<(), Refusal>) {
    let outcome = accept(&Method::GET, Version::HTTP_11, &headers(changes), &[]);
    assert_eq!(outcome.map(drop), expected);
}

#[track_caller]
fn check_subprotocol(spoken: &str, offered: &[&str], expected: Result<Option<&str>, Refusal>) {
    let spoken: Vec<Subprotocol> = spoken.split_whitespace().map(|name| name.parse().unwrap()).collect();
    let lines: Vec<String> = offered.iter().map(|line| format!("sec-websocket-protocol={line}")).collect();
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.as_bytes()).collect();
    let outcome = accept(&Method::GET, Version::HTTP_11, &headers(&lines), &spoken);
    let chosen = outcome.as_ref().map(|accepted| accepted.subprotocol().map(Subprotocol::as_str));
    assert_eq!(chosen.map_err(|refusal| *refusal), expected);
    if let Ok(accepted) = outcome {
        let response = accepted.into_response();
        let sent: Vec<&HeaderValue> = response.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter().collect();
        assert_eq!(sent, Vec::from_iter(expected.unwrap()));
    }
}

#[test]
fn the_example_of_the_rfc() {
    let response = accept(&Method::GET, Version::HTTP_11, &headers(&[]), &[]).unwrap().into_response();
    let lines: Vec<(&str, &[u8])> =
        response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    assert_eq!(response.status(), 101);
    assert_eq!(
        lines,
        [
            ("upgrade", &b"websocket"[..]),
            ("connection", b"Upgrade"),
            ("sec-websocket-accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ]
    );
}

#[test]
fn methods_and_versions() {
    let check = |method: &str, version, expected: Result<(), Refusal>| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        assert_eq!(accept(&method, version, &headers(&[]), &[]).map(drop), expected, "{method} {version:?}");
    };
    check("GET", Version::HTTP_11, Ok(()));
    for method in ["POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "get", "GETS"] {
        check(method, Version::HTTP_11, Err(Refusal::Method));
    }
    check("GET", Version::HTTP_09, Err(Refusal::OldHttp));
    check("GET", Version::HTTP_10, Err(Refusal::OldHttp));
    check("GET", Version::HTTP_2, Err(Refusal::NewHttp));
    check("GET", Version::HTTP_3, Err(Refusal::NewHttp));
}

#[test]
fn host_and_body() {
    check(&["host"], Err(Refusal::Host));
    check(&["host=a", "host=b"], Err(Refusal::Host));
    check(&["host=a", "host=a"], Err(Refusal::Host));
    check(&["content-length=0"], Ok(()));
    check(&["content-length=5"], Err(Refusal::Body));
    check(&["content-length=0", "content-length=5"], Err(Refusal::Body));
    check(&["content-length="], Err(Refusal::Body));
    check(&["content-length=-0"], Err(Refusal::Body));
    check(&["transfer-encoding=chunked"], Err(Refusal::Body));
    check(&["transfer-encoding=identity"], Err(Refusal::Body));
    check(&["transfer-encoding=chunked", "content-length=0"], Err(Refusal::Body));
}

#[test]
fn upgrade_and_connection() {
    check(&["upgrade=WebSocket", "connection=UPGRADE"], Ok(()));
    check(&["upgrade=h2c, websocket"], Ok(()));
    check(&["upgrade=h2c", "upgrade=,\t websocket ,"], Ok(()));
    check(&["connection=keep-alive, Upgrade"], Ok(()));
    check(&["connection=keep-alive", "connection=upgrade"], Ok(()));
    check(&["connection=keep-alive,,upgrade,close"], Ok(()));

    check(&["upgrade"], Err(Refusal::Upgrade));
    check(&["upgrade="], Err(Refusal::Upgrade));
    check(&["upgrade=totally-made-up/1.0"], Err(Refusal::Upgrade));
    check(&["upgrade=websocket/13"], Err(Refusal::Upgrade));
    check(&["upgrade=websockets"], Err(Refusal::Upgrade));
    check(&["upgrade=web socket"], Err(Refusal::Upgrade));
    check(&["upgrade=\"websocket\""], Err(Refusal::Upgrade));
    check(&["upgrade=h2c websocket"], Err(Refusal::Upgrade));
    check_bytes(&[b"upgrade=websocket\xa0"], Err(Refusal::Upgrade));
    check_bytes(&[b"upgrade=\xff\xfe"], Err(Refusal::Upgrade));

    check(&["connection"], Err(Refusal::Connection));
    check(&["connection=keep-alive"], Err(Refusal::Connection));
    check(&["connection=upgraded"], Err(Refusal::Connection));
    check(&["connection=keep-alive;upgrade"], Err(Refusal::Connection));
    check_bytes(&[b"connection=\xffupgrade"], Err(Refusal::Connection));
    // One list element that is not a token does not spoil the others.
    check_bytes(&[b"connection=\xff, upgrade"], Ok(()));
}

#[test]
fn version() {
    check(&["sec-websocket-version"], Err(Refusal::VersionMissing));
    for version in ["12", "99", "8", "0", "013", "+13", "13.0", "13, 8", "8, 13", "13,", "", "x"] {
        check(&[&format!("sec-websocket-version={version}")], Err(Refusal::VersionUnsupported));
    }
    check(&["sec-websocket-version=13", "sec-websocket-version=13"], Err(Refusal::VersionUnsupported));
    check_bytes(&[b"sec-websocket-version=13\xff"], Err(Refusal::VersionUnsupported));
    // A client of another version is told so, whatever its key looks like.
    check(&["sec-websocket-version=14", "sec-websocket-key"], Err(Refusal::VersionUnsupported));
}

#[test]
fn key() {
    for key in [
        "AAAAAAAAAAAAAAAAAAAAAA==",
        "+/+/+/+/+/+/+/+/+/+/+w==",
        // Bits behind the 16 bytes.
        "AAAAAAAAAAAAAAAAAAAAAB==",
        "//////////////////////==",
    ] {
        check(&[&format!("sec-websocket-key={key}")], Ok(()));
    }
    for key in [
        "",
        "==",
        // 13, 15, 17 and 18 bytes.
        "SGVsbG8sIHdvcmxkIQ==",
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        // Padding missing, short, long, or in the middle.
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub2==jZQ=",
        // Other alphabets, and spaces.
        "-_-_-_-_-_-_-_-_-_-_-w==",
        "dGhlIHNhbXBsZSB ub25jZQ=",
        "dGhlIHNhbXBsZSBub25j!Q==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        check(&[&format!("sec-websocket-key={key}")], Err(Refusal::Key));
    }
    check(&["sec-websocket-key"], Err(Refusal::Key));
    let repeated = "sec-websocket-key=dGhlIHNhbXBsZSBub25jZQ==";
    check(&[repeated, repeated], Err(Refusal::Key));
    check_bytes(
        &[b"sec-websocket-key=\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"],
        Err(Refusal::Key),
    );
}

#[test]
fn subprotocols() {
    check_subprotocol("", &[], Ok(None));
    check_subprotocol("chat", &[], Ok(None));
    check_subprotocol("", &["chat"], Ok(None));
    check_subprotocol("chat", &["chat"], Ok(Some("chat")));
    check_subprotocol("chat", &["superchat"], Ok(None));
    check_subprotocol("chat", &["Chat"], Ok(None));
    // The server's order decides.
    check_subprotocol("b a", &["a, b"], Ok(Some("b")));
    check_subprotocol("c b a", &["a", "b"], Ok(Some("b")));
    check_subprotocol("chat", &["x,\t,chat ,"], Ok(Some("chat")));

    // An empty list is none.
    for empty in [&[""][..], &[","], &[" , ,"], &["", ""]] {
        check_subprotocol("chat", empty, Ok(None));
        check_subprotocol("", empty, Ok(None));
    }
    check_subprotocol("chat", &["", "chat"], Ok(Some("chat")));

    for offered in ["a b", "chat, a b", "\"chat\"", "chat;q=1", "chat/1", "chat, chat", "a,b,a", "(x)"] {
        check_subprotocol("chat", &[offered], Err(Refusal::Subprotocol));
        check_subprotocol("", &[offered], Err(Refusal::Subprotocol));
    }
    check_subprotocol("chat", &["chat", "chat"], Err(Refusal::Subprotocol));
    check_bytes(&[b"sec-websocket-protocol=chat, \xc3\xa4"], Err(Refusal::Subprotocol));
}

#[test]
fn extensions_are_passed_over() {
    check(&["sec-websocket-extensions=permessage-deflate; client_max_window_bits"], Ok(()));
    let headers = headers(&[b"sec-websocket-extensions=permessage-deflate"]);
    let response = accept(&Method::GET, Version::HTTP_11, &headers, &[]).unwrap().into_response();
    assert!(!response.headers().contains_key("sec-websocket-extensions"));
}

#[test]
fn a_refusal_tells_the_reason_and_closes() {
    #[track_caller]
    fn check(refusal: Refusal, status: u16, extra: &[(&str, &str)]) {
        let response = refusal.response();
        assert_eq!((refusal.status().as_u16(), response.status().as_u16()), (status, status));
        assert_eq!(response.body(), &format!("{refusal}\n"));
        let mut expected = HeaderMap::new();
        expected.insert("content-type", HeaderValue::from_static("text/plain; charset=utf-8"));
        expected.insert("connection", HeaderValue::from_static("close"));
        for (name, value) in extra {
            expected.insert(HeaderName::try_from(*name).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        assert_eq!(response.headers(), &expected, "{refusal:?}");
    }
    let upgrade = [("upgrade", "websocket"), ("connection", "close, Upgrade")];
    check(Refusal::Method, 405, &[("allow", "GET")]);
    check(Refusal::OldHttp, 400, &[]);
    check(Refusal::NewHttp, 505, &[]);
    check(Refusal::Host, 400, &[]);
    check(Refusal::Body, 400, &[]);
    check(Refusal::Upgrade, 426, &upgrade);
    check(Refusal::Connection, 400, &[]);
    check(Refusal::VersionMissing, 400, &[]);
    check(Refusal::VersionUnsupported, 426, &[upgrade[0], upgrade[1], ("sec-websocket-version", "13")]);
    check(Refusal::Key, 400, &[]);
    check(Refusal::Subprotocol, 400, &[]);
}

#[test]
fn subprotocol_names() {
    for name in ["chat", "v1.json", "graphql-transport-ws", "!#$%&'*+-.^_`|~09azAZ"] {
        assert_eq!(name.parse::<Subprotocol>().unwrap().to_string(), name);
    }
    for name in ["", " ", "a b", "a,b", "a\r\nX: y", "a\0", "ä", "a/b", "\"a\"", "a\t", "a;b", "a=b"] {
        let error = name.parse::<Subprotocol>().unwrap_err();
        assert_eq!(error.given, name);
        assert!(error.to_string().is_ascii() || name == "ä", "{error}");
    }
}

/// A header line with the valid value, one with one byte of it replaced, or one of any bytes a header can hold.
fn line(name: &'static str, valid: &'static str) -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let byte = || prop_oneof![Just(b'\t'), 0x20..=0x7e_u8, 0x80..=0xff_u8];
    let near = (0..valid.len(), byte()).prop_map(move |(at, byte)| {
        let mut value = valid.as_bytes().to_vec();
        value[at] = byte;
        value
    });
    let value = prop_oneof![4 => Just(valid.as_bytes().to_vec()), 1 => near, 1 => prop::collection::vec(byte(), 0..40)];
    value.prop_map(move |value| (name, value))
}

proptest! {
    /// No header bytes make it panic, and what is accepted has a key of 16 bytes and all the rest.
    #[test]
    fn whatever_is_accepted_keeps_the_rules(lines in prop::collection::vec(
        prop_oneof![
            line("host", "h"),
            line("upgrade", "websocket"),
            line("connection", "keep-alive, Upgrade"),
            line("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            line("sec-websocket-version", "13"),
            line("sec-websocket-protocol", "chat, superchat"),
            line("sec-websocket-extensions", "permessage-deflate"),
            line("content-length", "0"),
        ],
        0..8,
    ), valid in any::<bool>()) {
        // Either on top of the valid request, each named header replaced by the last line for it, or from nothing.
        let mut map = if valid { headers(&[]) } else { HeaderMap::new() };
        for (name, value) in &lines {
            let value = HeaderValue::from_bytes(value).unwrap();
            if valid { map.insert(*name, value); } else { map.append(*name, value); }
        }
        let spoken: Vec<Subprotocol> = vec!["superchat".parse().unwrap()];
        if let Ok(accepted) = accept(&Method::GET, Version::HTTP_11, &map, &spoken) {
            let keys: Vec<&[u8]> = map.get_all("sec-websocket-key").iter().map(HeaderValue::as_bytes).collect();
            prop_assert_eq!(keys.len(), 1);
            prop_assert!(keys[0].len() == 24 && keys[0].ends_with(b"=="), "22 characters are 16 bytes and 4 bits");
            prop_assert!(keys[0][..22].iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte)));
            prop_assert_eq!(map.get_all("host").iter().count(), 1);
            prop_assert_eq!(map.get_all("sec-websocket-version").iter().collect::<Vec<_>>(), ["13"]);
            prop_assert!(map.get_all("content-length").iter().all(|length| length == "0"));
            prop_assert!(map.contains_key("upgrade") && map.contains_key("connection"));
            let asked = map.get_all("sec-websocket-protocol").iter().any(|line| {
                line.as_bytes().windows(9).any(|window| window == b"superchat")
            });
            prop_assert!(asked || accepted.subprotocol().is_none());
        }
    }
}
