use http::{Request, Version};

use super::*;

const PLAIN: ListenerKind = ListenerKind { tls: false, loopback: false, unix: false };
const TLS: ListenerKind = ListenerKind { tls: true, loopback: false, unix: false };
const LOOPBACK: ListenerKind = ListenerKind { tls: false, loopback: true, unix: false };
const TLS_LOOPBACK: ListenerKind = ListenerKind { tls: true, loopback: true, unix: false };

/// These origins allowed.
fn origins(allowed: &[&str]) -> Origins {
    let mut origins = Origins::default();
    for origin in allowed {
        origins.allow_origin(origin).unwrap();
    }
    origins
}

fn parts(version: Version, target: &str, lines: &[(&'static str, &[u8])]) -> Parts {
    let mut request = Request::get(target).version(version).body(()).unwrap();
    for (name, value) in lines {
        request.headers_mut().append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    request.into_parts().0
}

/// 0 for a request that is let in, else the status.
fn status(outcome: Result<(), RefusedOrigin>) -> u16 {
    outcome.map_or_else(|refused| refused.status().as_u16(), |()| 0)
}

mod allowed {
    use super::*;

    #[track_caller]
    fn check(listener: ListenerKind, host: &str, origin: &str, expected: u16) {
        check_with(&Origins::default(), listener, host, &[origin.as_bytes()], expected);
    }

    #[track_caller]
    fn check_with(allowed: &Origins, listener: ListenerKind, host: &str, origins: &[&[u8]], expected: u16) {
        let mut lines = vec![("host", host.as_bytes())];
        lines.extend(origins.iter().map(|origin| ("origin", *origin)));
        let outcome = allowed.check(listener, None, &parts(Version::HTTP_11, "/websocket", &lines));
        assert_eq!(status(outcome.clone()), expected, "{outcome:?}");
    }

    #[test]
    fn a_function_judges_what_was_sent() {
        let mut ours = origins(&["https://other.test"]);
        ours.allow_origin_if(|origin| origin.ends_with(".app.test") || origin == "null");
        let both = Origins::default().with(&ours);
        assert!(ours.clone() == both && ours != Origins::default() && !both.is_empty());
        for allowed in [ours, both] {
            let check = |origins: &[&[u8]], expected| check_with(&allowed, PLAIN, "localhost", origins, expected);
            check(&[b"https://a.app.test"], 0);
            check(&[b"null"], 0);
            check(&[b"https://other.test"], 0);
            check(&[b"http://localhost"], 0);
            check(&[b"https://a.app.test.evil.test"], 403);
            check(&[b"https://a.app.test", b"https://a.app.test"], 403);
            check(&[b"\xff.app.test"], 403);
        }
    }

    /// What a proxy tells is compared in the place of what it asks for itself.
    #[test]
    fn behind_a_proxy_what_the_client_has_asked_for_counts() {
        let check = |public: (&str, Option<bool>), origin: &str, expected: u16| {
            let public = Public { authority: Authority::parse(public.0).map(Authority::into_owned), is_tls: public.1 };
            for listener in [PLAIN, TLS] {
                let request =
                    parts(Version::HTTP_11, "/", &[("host", b"10.0.0.1:8000"), ("origin", origin.as_bytes())]);
                let outcome = Origins::default().check(listener, Some(&public), &request);
                assert_eq!(status(outcome), expected, "{listener:?} {public:?} {origin}");
            }
        };
        check(("app.test", Some(true)), "https://app.test", 0);
        check(("app.test:8443", Some(true)), "https://app.test:8443", 0);
        check(("app.test", Some(true)), "http://app.test", 403);
        check(("app.test", Some(false)), "http://app.test", 0);
        check(("app.test", Some(false)), "https://app.test", 403);
        check(("app.test", None), "https://app.test", 0);
        check(("app.test", Some(true)), "https://10.0.0.1:8000", 403);
        check(("app.test", Some(true)), "https://evil.test", 403);
        check(("", Some(true)), "https://10.0.0.1:8000", 0);
        check(("", Some(true)), "http://10.0.0.1:8000", 403);
        check(("", Some(false)), "http://10.0.0.1:8000", 0);
        check(("", None), "https://10.0.0.1:8000", 0);
    }

    #[test]
    fn plain_listeners_compare_host_and_port() {
        check(PLAIN, "good.test:8000", "http://good.test:8000", 0);
        check(PLAIN, "Good.Test:8000", "HTTP://GOOD.TEST:8000", 0);
        check(PLAIN, "good.test", "http://good.test", 0);
        check(PLAIN, "good.test:80", "http://good.test", 0);
        check(PLAIN, "good.test", "http://good.test:80", 0);
        // Behind a proxy that ends TLS.
        check(PLAIN, "good.test", "https://good.test", 0);
        check(PLAIN, "good.test:443", "https://good.test", 0);
        check(PLAIN, "good.test:8443", "https://good.test:8443", 0);

        check(PLAIN, "good.test:80", "https://good.test", 403);
        check(PLAIN, "good.test:443", "http://good.test", 403);
        check(PLAIN, "good.test:8000", "http://good.test", 403);
        check(PLAIN, "good.test", "http://good.test:8000", 403);
        check(PLAIN, "good.test:8000", "http://good.test:8001", 403);
    }

    #[test]
    fn other_hosts_are_refused() {
        for origin in [
            "https://evil.test",
            "https://good.test.evil.test",
            "https://evilgood.test",
            "https://sub.good.test",
            "https://good.tes",
            "https://good.test.",
            "https://good.test@evil.test",
            "https://evil.test@good.test",
            "https://good.test:443@evil.test",
            "https://good.test/",
            "https://good.test/path",
            "https://good.test?",
            "https://good.test#",
            "https://good.test\\",
            "https://good.test, https://good.test",
            "https://good.test https://good.test",
            "good.test",
            "//good.test",
            "://good.test",
            "",
            "null",
            "NULL",
            "*",
            "ftp://good.test",
            "ftp://good.test:443",
            "file://",
            "chrome-extension://good.test",
        ] {
            check(PLAIN, "good.test", origin, 403);
            check(TLS, "good.test", origin, 403);
        }
        for origin in [&b"https://good.test\xff"[..], b"\xff\xfe", b"https://good.test\t", b"https://g\xc3\xb6od.test"]
        {
            check_with(&Origins::default(), TLS, "good.test", &[origin], 403);
        }
    }

    #[test]
    fn tls_listeners_compare_the_scheme_too() {
        check(TLS, "good.test", "https://good.test", 0);
        check(TLS, "good.test", "https://good.test:443", 0);
        check(TLS, "good.test:443", "https://good.test", 0);
        check(TLS, "good.test:8443", "https://good.test:8443", 0);
        check(TLS, "good.test", "wss://good.test", 0);

        check(TLS, "good.test", "http://good.test", 403);
        check(TLS, "good.test", "http://good.test:443", 403);
        check(TLS, "good.test:80", "http://good.test", 403);
        check(TLS, "good.test:8443", "http://good.test:8443", 403);
        check(TLS, "good.test:8443", "https://good.test", 403);
    }

    #[test]
    fn loopback_listeners_have_one_host() {
        let names = ["localhost:8000", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:8000"];
        for host in names {
            for origin in names {
                check(LOOPBACK, host, &format!("http://{origin}"), 0);
                check(TLS_LOOPBACK, host, &format!("https://{origin}"), 0);
                check(TLS_LOOPBACK, host, &format!("http://{origin}"), 403);
                let same_name = host.eq_ignore_ascii_case(origin);
                check(PLAIN, host, &format!("http://{origin}"), if same_name { 0 } else { 403 });
            }
            check(LOOPBACK, "app.example:8000", &format!("http://{host}"), 403);
            // On another address of loopback there may be somebody else's server.
            for other in ["127.0.0.2:8000", "127.1.2.3:8000", "[::ffff:127.0.0.1]:8000"] {
                check(LOOPBACK, host, &format!("http://{other}"), 403);
                check(TLS_LOOPBACK, host, &format!("https://{other}"), 403);
            }
            check(LOOPBACK, "127.0.0.2:8000", &format!("http://{host}"), 403);
            check(LOOPBACK, host, "http://localhost:8001", 403);
            check(LOOPBACK, host, "http://localhost", 403);
            check(LOOPBACK, host, "http://evil.test:8000", 403);
            check(LOOPBACK, host, "http://localhost.evil.test:8000", 403);
            check(LOOPBACK, host, "http://evil.localhost:8000", 403);
            check(LOOPBACK, host, "http://0.0.0.0:8000", 403);
        }
        check(LOOPBACK, "app.localhost:8000", "http://app.localhost:8000", 0);
        check(LOOPBACK, "127.0.0.2:8000", "http://127.0.0.2:8000", 0);
    }

    #[test]
    fn number_of_origins() {
        check_with(&Origins::default(), TLS, "good.test", &[], 0);
        let good = &b"https://good.test"[..];
        check_with(&Origins::default(), TLS, "good.test", &[good, good], 403);
        check_with(&origins(&["https://good.test"]), TLS, "good.test", &[good, good], 403);
    }

    #[test]
    fn allowed_origins() {
        let listed = origins(&["https://app.example:8443", "http://b.example", "chrome-extension://abcdef"]);
        let check = |allowed: &Origins, origin: &str, expected| {
            check_with(allowed, TLS, "good.test", &[origin.as_bytes()], expected);
        };
        check(&listed, "https://app.example:8443", 0);
        check(&listed, "HTTPS://APP.example:8443", 0);
        check(&listed, "http://b.example", 0);
        check(&listed, "http://b.example:80", 0);
        check(&listed, "chrome-extension://abcdef", 0);
        check(&listed, "https://good.test", 0);

        check(&listed, "http://app.example:8443", 403);
        check(&listed, "https://app.example", 403);
        check(&listed, "https://b.example", 403);
        check(&listed, "http://a.b.example", 403);
        check(&listed, "https://app.example:8443/", 403);
        check(&listed, "https://app.example:8443@evil.test", 403);
        check(&listed, "chrome-extension://abcdefg", 403);
        check(&listed, "null", 403);

        // What is no origin is compared byte for byte: arduinoWebSockets sends the first, TinyWebsockets the second.
        let given = ["file://", "https://github.com/gilmaimon/TinyWebsockets", "app.example", "two words", "ä"];
        let texts = origins(&given);
        for origin in given {
            check(&texts, origin, 0);
        }
        for origin in [
            "FILE://",
            "file:///",
            "file:",
            "https://github.com",
            "https://github.com/gilmaimon/TinyWebsockets/",
            "https://github.com/gilmaimon/tinywebsockets",
            "https://app.example",
            "two",
            "Ä",
            "",
            "null",
        ] {
            check(&texts, origin, 403);
        }
        let apps = origins(&["capacitor://localhost", "tauri://localhost", "chrome-extension://abcdef"]);
        for origin in ["capacitor://localhost", "tauri://localhost", "chrome-extension://abcdef"] {
            check(&apps, origin, 0);
        }
        for origin in ["capacitor://localhost:80", "capacitor://localhost/", "ionic://localhost", "http://localhost"] {
            check(&apps, origin, 403);
        }

        let null = origins(&["null"]);
        check(&null, "null", 0);
        check(&null, "Null", 403);
        check(&null, "https://evil.test", 403);

        let any = origins(&["*"]);
        for origin in ["https://evil.test", "null", "garbage", ""] {
            check(&any, origin, 0);
        }
    }

    /// The host is that of the target where it has one, as in HTTP/2.
    #[test]
    fn the_target_stands_for_host() {
        let check = |target: &str, lines: &[(&'static str, &[u8])], expected| {
            let outcome = Origins::default().check(TLS, None, &parts(Version::HTTP_2, target, lines));
            assert_eq!(status(outcome.clone()), expected, "{outcome:?}");
        };
        check("https://good.test/", &[("origin", b"https://good.test")], 0);
        check("https://good.test/", &[("origin", b"https://evil.test"), ("host", b"evil.test")], 403);
        check("/", &[("origin", b"https://good.test")], 400);
    }
}

#[test]
fn bad_settings() {
    for origin in ["", " ", " file://", "file://\t", "a\nb", "a\0b", "a\x7fb"] {
        let error = Origins::default().allow_origin(origin).unwrap_err();
        assert_eq!(error, BadOrigin { given: origin.to_owned() });
        assert!(error.to_string().contains("scheme://host[:port]"), "{error}");
    }
}

/// Settings as some server has them.
const HINTS: Hints = |hint| format!("{}={}", hint.setting, hint.value.unwrap());

#[test]
fn refusals_tell_what_would_allow_them() {
    #[track_caller]
    fn check(outcome: Result<(), RefusedOrigin>, status: u16, text: &str) {
        let refused = outcome.unwrap_err();
        let response = refused.response(Asked::WebSocket, HINTS);
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.body(), &format!("{}\n", refused.told(Asked::WebSocket, HINTS)));
        assert!(response.body().contains(text), "{}", response.body());
    }
    let origin = |origin: &[u8]| {
        Origins::default().check(
            TLS,
            None,
            &parts(Version::HTTP_11, "/", &[("host", b"good.test:1"), ("origin", origin)]),
        )
    };
    check(origin(b"https://evil.test:444"), 403, "on good.test:1; allow-origin=https://evil.test:444 would allow it\n");
    check(origin(b"null"), 403, "allow-origin=null ");
    check(origin(b"https://good.test:1/"), 403, "\"https://good.test:1/\" is not of the form");
    check(origin(b"https://a.test/b"), 403, "allow-origin=https://a.test/b ");
    check(origin(b"file://"), 403, "allow-origin=file:// ");
    check(origin(b"capacitor://localhost"), 403, "allow-origin=capacitor://localhost ");
    check(origin(b"; sudo x"), 403, "allow-origin=; sudo x ");
    // What is not shown as it was sent, or cannot be allowed by itself, is not offered.
    check(origin(b"a'; sudo x '"), 403, "allow-origin=* ");
    check(origin(b"a\tb"), 403, "allow-origin=* ");
    check(origin(b""), 403, "allow-origin=* ");
    // What a terminal would obey is escaped, and nothing is quoted at length.
    check(origin(b"a\t\x80\xffb\"\\"), 403, r#""a\t\x80\xffb\"\\""#);
    check(origin(&[b'x'; 200]), 403, &format!("\"{}\"", "x".repeat(200)));
    check(origin(&[b'x'; 10_000]), 403, &format!("\"{}...\"", "x".repeat(200)));
}
