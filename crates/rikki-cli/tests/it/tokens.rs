//! Keys and tokens of topics: who is let in, who is not, and what they are told; and that no key gets out.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::{Value, json};

use crate::process::{Folder, Process};
use crate::topics::{publish, read, with};

const KEY: &str = "a key that is of no use elsewhere";

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

/// A token with these claims, and `exp` in an hour unless they have it.
fn token(claims: Value) -> String {
    let mut whole = json!({ "exp": get_current_timestamp() + 3600 });
    whole.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    whole.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    sign(&Header::default(), &whole, KEY)
}

fn sign(header: &Header, claims: &Value, key: &str) -> String {
    encode(header, claims, &EncodingKey::from_secret(key.as_bytes())).unwrap()
}

fn status((status, text): (String, String)) -> String {
    if status == "200" { status } else { format!("{status} {text}") }
}

#[test]
fn the_key_of_those_who_publish() {
    let folder = Folder::new();
    let key = folder.write("publish.key", "s3cret-key\r\n");
    let flags = ["--topic=/news", "--topic=/open,publish", "--topic=/open/*", "--publish-key", &key];
    let (server, address) = with(&folder, &[&flags[..], &["--access-log", "--log", "trace"]].concat());
    let check = |path: &str, fields: &str, expected: &str| {
        assert_eq!(status(publish(&address, path, fields, "x")), expected, "{path} {fields}");
    };
    let wrong = "401 the key is wrong";
    check("/news", &bearer("s3cret-key"), "200");
    check("/news", "authorization: bearer   s3cret-key \r\n", "200");
    check("/news", "", "401 publishing needs a key");
    check("/news", &bearer("s3cret-kex"), wrong);
    check("/news", &bearer("s3cret-key2"), wrong);
    check("/news", &bearer(""), wrong);
    check("/news", "Authorization: Bearer\r\n", wrong);
    check("/news", "Authorization: Bearer \u{fc}\r\n", wrong);
    check("/news", "Authorization: Basic czNjcmV0LWtleQ==\r\n", "401 publishing needs a key");
    check("/news?token=s3cret-key", "", "401 publishing needs a key");
    let twice = format!("{}{}", bearer("s3cret-key"), bearer("s3cret-key"));
    check("/news", &twice, "401 there is more than one Authorization");
    check("/open", "", "200");
    check("/open", "Authorization: Basic eDp5\r\n", "200");
    check("/open", &bearer("s3cret-key"), "200");
    check("/open", &bearer("wrong"), wrong);
    check("/open/a", "", "401 publishing needs a key");
    // Reading is open, and a wrong key is wrong there too.
    assert_eq!(status(read(&address, "/news", "")), "200");
    assert_eq!(status(read(&address, "/news", &bearer("s3cret-key"))), "200");
    assert_eq!(status(read(&address, "/news", &bearer("wrong"))), wrong);
    let header = format!("--header=Authorization: Bearer {}", "s3cret-key");
    let mut client = Process::start(&["connect", &format!("ws://{address}/news?last=0"), &header]);
    client.write("by WebSocket\n", false);
    assert_eq!(client.line(), "by WebSocket");
    drop(client);
    server.signal("TERM");
    let log = server.end().stderr;
    assert!(log.contains("target=/news?...") && !log.contains("s3cret"), "{log}");
}

/// Each is sent to the topic `chat`, which all may publish to where there are no tokens.
#[test]
fn tokens_that_are_good_and_tokens_that_are_not() {
    let folder = Folder::new();
    let key = folder.write("jwt.key", KEY);
    let flags = ["--topic=/chat,publish,presence", "--topic=/rooms/*", "--topic-jwt-key", &key];
    let (server, address) = with(&folder, &[&flags[..], &["--access-log", "--log", "trace"]].concat());
    let check = |token: &str, reads: &str, publishes: &str| {
        assert_eq!(status(read(&address, "/chat", &bearer(token))), reads, "{token}");
        assert_eq!(status(publish(&address, "/chat", &bearer(token), "x")), publishes, "{token}");
        // By the URL it is the same.
        assert_eq!(status(read(&address, &format!("/chat?last=1&token={token}"), "")), reads, "{token}");
        assert_eq!(status(publish(&address, &format!("/chat?token={token}"), "", "x")), publishes, "{token}");
    };
    let refused = |token: &str, why: &str| check(token, &format!("401 {why}"), &format!("401 {why}"));
    let (no_reading, no_writing) =
        ("403 the token does not let subscribe to this topic", "403 the token does not let publish to this topic");
    check(&token(json!({ "subscribe": ["chat"], "publish": ["chat"] })), "200", "200");
    check(&token(json!({ "subscribe": ["chat"] })), "200", no_writing);
    check(&token(json!({ "channels": ["a", "chat"] })), "200", no_writing);
    check(&token(json!({ "publish": ["ch*"] })), no_reading, "200");
    check(&token(json!({ "publish": ["*"], "subscribe": ["c*"] })), "200", "200");
    check(&token(json!({})), no_reading, no_writing);
    let for_one = "403 the token is for one subscription";
    check(&token(json!({ "channel": "chat", "subscribe": ["*"], "publish": ["*"] })), for_one, for_one);
    for others in [json!(["chats", "cha", "/chat", "CHAT", "", "chat/*", "rooms/*", "*chat"]), json!([])] {
        check(&token(json!({ "subscribe": others, "publish": others })), no_reading, no_writing);
    }
    let all = json!({ "subscribe": ["*"], "publish": ["*"] });
    let now = get_current_timestamp();
    let with = |name: &str, value: Value| {
        let mut claims = all.clone();
        claims.as_object_mut().unwrap().insert(name.to_owned(), value);
        token(claims)
    };
    check(&with("nbf", json!(now - 5)), "200", "200");
    check(&with("exp", json!(now as f64 + 100.5)), "200", "200");
    refused(&with("exp", json!(now - 5)), "the token has expired");
    refused(&with("exp", json!(0)), "the token has expired");
    for no_time in [json!(null), json!("soon"), json!(-1), json!({})] {
        refused(&with("exp", no_time), "the token has no exp, the second at which it expires");
    }
    refused(&with("nbf", json!(now + 1000)), "the token is not valid yet");
    refused(&with("nbf", json!("now")), "nbf of the token is no number of seconds");
    refused(&with("aud", json!("another")), "the token is for another audience");
    let malformed = "the token is malformed";
    refused(&with("subscribe", json!("*")), malformed);
    refused(&with("sub", json!(7)), malformed);
    for text in ["x", "a.b.c", "..", "a.b.c.d", "\u{fc}", &KEY.replace(' ', "-")] {
        refused(text, malformed);
    }
    let good = token(all.clone());
    let mut parts: Vec<_> = good.split('.').collect();
    refused(&parts[..2].join("."), malformed);
    refused(&format!("{good}="), malformed);
    let algorithm = "the token is not signed with HS256";
    for none in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOT05FIn0", "e30"] {
        for signature in ["", parts[2]] {
            refused(&[none, parts[1], signature].join("."), algorithm);
        }
    }
    let claims = json!({ "exp": now + 3600, "subscribe": ["*"], "publish": ["*"] });
    for other in [Algorithm::HS384, Algorithm::HS512] {
        refused(&sign(&Header::new(other), &claims, KEY), algorithm);
    }
    // {"alg":"RS256"}
    refused(&["eyJhbGciOiJSUzI1NiJ9", parts[1], parts[2]].join("."), algorithm);
    let critical = Header { crit: Some(vec!["b64".to_owned()]), ..Header::default() };
    refused(&sign(&critical, &claims, KEY), "the token wants something of its header to be understood that is not");
    let signature = "the signature of the token is wrong";
    refused(&sign(&Header::default(), &claims, "another key, of which nobody here knows"), signature);
    let other = token(json!({}));
    parts[1] = other.split('.').nth(1).unwrap();
    refused(&parts.join("."), signature);
    parts[2] = "";
    refused(&parts.join("."), signature);
    server.signal("TERM");
    let log = server.end().stderr;
    assert!(log.contains("target=/chat?...") && !log.contains("eyJ") && !log.contains(KEY), "{log}");
}

#[test]
fn where_tokens_are_looked_for() {
    let folder = Folder::new();
    let (jwt, key) = (folder.write("jwt.key", KEY), folder.write("publish.key", "s3cret-key"));
    let flags = ["--topic=/chat,publish,presence", "--topic=/rooms/*", "--topic-jwt-key", &jwt, "--publish-key", &key];
    let (_server, address) = with(&folder, &flags);
    let good = token(
        json!({ "sub": "ada", "info": { "mood": "blue" }, "subscribe": ["chat", "rooms/a/*"], "publish": ["rooms/*"] }),
    );
    let check = |path: &str, fields: &str, expected: &str| {
        assert_eq!(status(read(&address, path, fields)), expected, "{path} {fields}");
    };
    let needed = "401 a token is needed";
    let (in_url, in_head) = (format!("/chat?token={good}"), bearer(&good));
    check("/chat", "", needed);
    check("/chat", "Authorization: Basic eDp5\r\n", needed);
    check("/chat?Token=x", "", needed);
    check("/chat?token=", "", "401 the token is malformed");
    check("/chat", &in_head, "200");
    check(&in_url, "", "200");
    check(&in_url, &in_head, "200");
    let different = "401 the token of Authorization and that of the URL are not the same";
    check(&in_url, &bearer("x"), different);
    check("/chat?token=x", &in_head, different);
    check("/chat?token=", &in_head, different);
    check(&format!("{in_url}&token={good}"), "", "401 there is more than one token in the URL");
    check("/chat?presence=true", &in_head, "200");
    // A prefix is one of the name as it is, which is not spelled otherwise.
    let other = "403 the token does not let subscribe to this topic";
    check("/rooms/a/b", &in_head, "200");
    let spelled = "400 the path has a percent-encoding of a letter, a digit, or one of - . _ ~ /: write it plainly";
    check("/rooms/%61%2fb", &in_head, spelled);
    check("/rooms/a/%C3%BC", &in_head, "200");
    check("/rooms/b", &in_head, other);
    check("/rooms/a", &in_head, other);
    // The key is for publishing.
    check("/chat", &bearer("s3cret-key"), "403 the key is for publishing alone");
    check("/chat", &bearer("s3cret-kex"), "401 the token is malformed");
    check("/chat?token=s3cret-key", "", "401 the token is malformed");
    assert_eq!(status(publish(&address, "/chat", &bearer("s3cret-key"), "x")), "200");
    assert_eq!(status(publish(&address, &in_url, &bearer("s3cret-key"), "x")), different);
    assert_eq!(status(publish(&address, "/chat", "", "x")), needed);
    // A browser's WebSocket has the token in its URL; others see who it is.
    let url = format!("ws://{address}/chat?envelope=json&presence=true&token={good}");
    let mut client = Process::start(&["connect", &url]);
    let told = loop {
        let line = client.line();
        if line.contains("\"user\"") {
            break line;
        }
    };
    assert!(told.contains(r#""info":"{\"mood\":\"blue\"}""#) && told.contains(r#""user":"ada""#), "{told}");
    client.write("no\n", false);
    let reports = [client.report(), client.report()];
    assert!(reports[1].contains("1008"), "{reports:?}");
    let refused = Process::start(&["connect", &format!("ws://{address}/chat")]).end();
    assert!(refused.code == Some(1) && refused.stderr.contains("401"), "{refused:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn key_files_that_cannot_be_used() {
    let folder = Folder::new();
    let check = |flag: &str, file: &str, why: &str| {
        let ended = Process::start(&["--listen", "http://127.0.0.1:0", "--topic=/chat", flag, file]).end();
        assert_eq!((ended.code, &*ended.stdout), (Some(2), ""), "{flag} {file}: {ended:?}");
        assert_eq!(ended.stderr, format!("rikki: no key in {file}: {why} (try --help)\n"));
    };
    let file = |content: &[u8]| {
        let name = format!("{}.key", content.len());
        folder.write(&name, content)
    };
    let missing = folder.path("missing.key");
    let (no_file, no_text) = ("No such file or directory (os error 2)", "Is a directory (os error 21)");
    for flag in ["--publish-key", "--topic-jwt-key"] {
        check(flag, &missing, no_file);
        check(flag, &folder.path(""), no_text);
        check(flag, &file(&[b'x'; 4097]), "more than 4096 bytes");
        check(flag, "/dev/zero", "more than 4096 bytes");
    }
    let publish = |content: &[u8], why: &str| check("--publish-key", &file(content), why);
    let empty = "it is empty";
    let line = "a key is one line of ASCII letters, digits and signs, without spaces";
    publish(b"", empty);
    publish(b"\n", empty);
    publish(b"\r\n", empty);
    for wrong in ["two words", "two\nlines", " key", "key ", "key\n\n", "k\u{e9}y", "\0", "tab\t", "\u{feff}key"] {
        publish(wrong.as_bytes(), line);
    }
    let jwt = |content: &[u8], why: &str| check("--topic-jwt-key", &file(content), why);
    jwt(b"", "0 bytes, where HS256 needs 32 or more");
    jwt(&[b'x'; 31], "31 bytes, where HS256 needs 32 or more");
    // The end of the line is not of the key.
    jwt(&[&[b'x'; 31][..], b"\n"].concat(), "31 bytes, where HS256 needs 32 or more");
    let lines = "text of several lines: a key is one line, or bytes that are no text";
    for end in ["\n\n", "\r\n\n", "\nmore", "\nmore\n"] {
        jwt(format!("{KEY}{end}").as_bytes(), lines);
    }
    let pem = b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
    jwt(pem, "PEM, where HS256 needs a secret that both sides have");
}

/// Bytes that are no text are taken as they are.
#[test]
fn keys_of_bytes() {
    let folder = Folder::new();
    let bytes = [&[7, 0, 255][..], &[b'\n'; 29]].concat();
    let (_server, address) = with(&folder, &["--topic=/chat", "--topic-jwt-key", &folder.write("jwt.key", &bytes)]);
    let claims = json!({ "exp": get_current_timestamp() + 3600, "subscribe": ["*"] });
    let good = encode(&Header::default(), &claims, &EncodingKey::from_secret(&bytes)).unwrap();
    assert_eq!(status(read(&address, "/chat", &bearer(&good))), "200");
}

#[test]
fn key_files_are_not_served() {
    let folder = Folder::new();
    let (jwt, key) = (folder.write("jwt.key", KEY), folder.write("publish.key", "s3cret-key"));
    folder.write("other.key", "of nobody");
    let mount = format!("--mount=/again={}", folder.path(""));
    let (_server, address) = with(&folder, &["--topic=/chat", "--topic-jwt-key", &jwt, "--publish-key", &key, &mount]);
    for name in ["jwt.key", "publish.key"] {
        for path in [format!("/{name}"), format!("/again/{name}"), format!("/{}", name.replace('.', "%2e"))] {
            assert_eq!(read(&address, &path, "").0, "404", "{path}");
        }
        for listing in ["/", "/again/"] {
            let (_, listing) = read(&address, listing, "");
            assert!(listing.contains("other.key") && !listing.contains(name), "{listing}");
        }
    }
    assert_eq!(read(&address, "/again/other.key", ""), ("200".to_owned(), "of nobody".to_owned()));
}

/// A client of Centrifugo shows when it connects what others show in the head of a request.
#[test]
fn clients_of_centrifugo() {
    let folder = Folder::new();
    let jwt = ["--topic-jwt-key", &folder.write("jwt.key", KEY)];
    let key = ["--publish-key", &folder.write("publish.key", "s3cret-key")];
    let flags = ["--topic=/chat,publish", "--topic=/news"];
    let connect = |token: &str| format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#);
    let publish = |topic: &str| format!(r#"{{"id":2,"publish":{{"channel":"{topic}","data":1}}}}"#);
    let history = r#"{"id":2,"history":{"channel":"chat"}}"#.to_owned();
    let (published, denied) = (r#"{"id":2,"publish":{}}"#, r#"{"id":2,"error":{"code":103,"#);
    let read = r#"{"id":2,"history":{"#;
    let with = |more: &[&str], rows: &[(&str, &str, &str, &str)]| {
        let (_server, address) = with(&folder, &[&flags[..], more].concat());
        for (header, token, command, expected) in rows {
            let header =
                if header.is_empty() { "X-Nothing: 1".to_owned() } else { format!("Authorization: Bearer {header}") };
            let url = format!("ws://{address}/connection/websocket");
            let mut client = Process::start(&["connect", &url, "--header", &header]);
            client.write(format!("{}\n", connect(token)), false);
            let reply = client.line();
            // Without a command the reply to the first is what counts.
            let reply = if command.is_empty() {
                reply
            } else {
                assert!(reply.starts_with(r#"{"id":1,"connect":{"client":""#), "{token} {reply}");
                client.write(format!("{command}\n"), false);
                client.line()
            };
            assert!(reply.starts_with(expected), "{token} {command} {reply}");
        }
    };
    with(&[], &[("", "", &publish("chat"), published), ("", "whatever", &publish("news"), denied)]);
    with(
        &key,
        &[
            ("", "s3cret-key", &publish("news"), published),
            ("s3cret-key", "", &publish("news"), published),
            ("", "", &publish("chat"), published),
            ("", "", &publish("news"), denied),
        ],
    );
    let ada = token(json!({ "sub": "ada", "subscribe": ["chat"], "publish": ["news"] }));
    with(
        &[jwt, key].concat(),
        &[
            ("", &ada, &publish("news"), published),
            ("", &ada, &publish("chat"), denied),
            ("", &ada, &history, read),
            (&ada, "", &history, read),
            ("", "s3cret-key", &publish("chat"), published),
            ("", "s3cret-key", &history, denied),
            ("", &token(json!({ "exp": 1 })), "", r#"{"id":1,"error":{"code":109,"#),
        ],
    );
}
