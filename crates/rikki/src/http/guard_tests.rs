use http::Request;

use super::*;

const PLAIN: ListenerKind = ListenerKind { tls: false, loopback: false };
const TLS: ListenerKind = ListenerKind { tls: true, loopback: false };
const LOOPBACK: ListenerKind = ListenerKind { tls: false, loopback: true };
const TLS_LOOPBACK: ListenerKind = ListenerKind { tls: true, loopback: true };

/// A guard with these origins and hosts allowed.
fn guard(origins: &[&str], hosts: &[&str]) -> Guard {
    let mut guard = Guard::default();
    for origin in origins {
        guard.allow_origin(origin).unwrap();
    }
    for host in hosts {
        guard.allow_host(host).unwrap();
    }
    guard
}

fn parts(version: Version, target: &str, lines: &[(&'static str, &[u8])]) -> Parts {
    let mut request = Request::get(target).version(version).body(()).unwrap();
    for (name, value) in lines {
        request.headers_mut().append(*name, HeaderValue::from_bytes(value).unwrap());
    }
    request.into_parts().0
}

/// 0 for a request that is let in, else the status.
fn status(outcome: Result<(), Refused>) -> u16 {
    outcome.map_or_else(|refused| refused.status().as_u16(), |()| 0)
}

mod host {
    use super::*;

    #[track_caller]
    fn check(listener: ListenerKind, target: &str, hosts: &[&str], expected: u16) {
        check_with(&Guard::default(), listener, Version::HTTP_11, target, hosts, expected);
    }

    #[track_caller]
    fn check_with(
        guard: &Guard,
        listener: ListenerKind,
        version: Version,
        target: &str,
        hosts: &[&str],
        expected: u16,
    ) {
        let lines: Vec<_> = hosts.iter().map(|host| ("host", host.as_bytes())).collect();
        let outcome = guard.check_host(listener, &parts(version, target, &lines));
        assert_eq!(status(outcome.clone()), expected, "{outcome:?}");
    }

    /// What has been let in says nothing of other hosts, of other places for a host, nor of requests without one.
    #[test]
    fn every_request_of_a_connection() {
        let known = KnownHost::default();
        let check = |target: &str, hosts: &[&str], expected: u16| {
            let lines: Vec<_> = hosts.iter().map(|host| ("host", host.as_bytes())).collect();
            let outcome = known.check(&Guard::default(), LOOPBACK, &parts(Version::HTTP_11, target, &lines));
            assert_eq!(status(outcome), expected, "{target} {hosts:?}");
        };
        check("/", &["evil.test"], 403);
        for _ in 0..2 {
            check("/", &["localhost"], 0);
            check("/", &["127.0.0.1"], 0);
            check("/", &["evil.test"], 403);
            check("/", &[], 400);
            check("/", &["localhost", "localhost"], 400);
            check("/", &["localhost", "evil.test"], 400);
            check("http://evil.test/", &["localhost"], 403);
            check("http://127.0.0.1/", &["localhost"], 400);
        }
    }

    #[test]
    fn exactly_one_valid_host() {
        for listener in [PLAIN, TLS, LOOPBACK, TLS_LOOPBACK] {
            check(listener, "/", &["localhost"], 0);
            check(listener, "/", &[], 400);
            check(listener, "/", &["localhost", "localhost"], 400);
            for host in ["", " ", ":80", "a b", "localhost,localhost", "u@localhost", "localhost:x", "http://localhost"]
            {
                check(listener, "/", &[host], 400);
            }
            check(listener, "/", &["localhost:65536"], 400);
            check(listener, "/", &["löcalhost"], 400);
            check_with(&Guard::default(), listener, Version::HTTP_10, "/", &[], 0);
            check_with(&Guard::default(), listener, Version::HTTP_10, "*", &[], 0);
            check_with(&Guard::default(), listener, Version::HTTP_10, "/", &["localhost"], 0);
            check_with(&Guard::default(), listener, Version::HTTP_10, "/", &["localhost", "localhost"], 400);
            check_with(&Guard::default(), listener, Version::HTTP_10, "/", &[""], 400);
            check_with(&Guard::default(), listener, Version::HTTP_10, "http://localhost/", &[], 0);
            let foreign = if listener.loopback { 403 } else { 0 };
            check_with(&Guard::default(), listener, Version::HTTP_10, "/", &["evil.test"], foreign);
            check_with(&Guard::default(), listener, Version::HTTP_10, "http://evil.test/", &[], foreign);
        }
        check(PLAIN, "*", &["localhost"], 0);
        check(PLAIN, "*", &[], 400);
    }

    #[test]
    fn names_of_a_loopback_listener() {
        for (host, expected) in [
            ("localhost", 0),
            ("LOCALHOST:1", 0),
            ("127.0.0.1:8000", 0),
            ("127.9.9.9", 0),
            ("[::1]:8000", 0),
            ("app.localhost:8000", 0),
            ("evil.test", 403),
            ("evil.test:8080", 403),
            ("127.0.0.1.nip.test", 403),
            ("localhost.evil.test", 403),
            ("notlocalhost", 403),
            ("192.168.1.5:8000", 403),
            ("0.0.0.0", 403),
            ("[::2]", 403),
            ("2130706433", 403),
        ] {
            check(LOOPBACK, "/", &[host], expected);
            check(TLS_LOOPBACK, "/", &[host], expected);
            check(PLAIN, "/", &[host], 0);
            check(TLS, "/", &[host], 0);
        }
    }

    #[test]
    fn allowed_hosts() {
        let guard_of = |hosts: &[&str]| guard(&[], hosts);
        let check = |guard: &Guard, host, expected| {
            check_with(guard, LOOPBACK, Version::HTTP_11, "/", &[host], expected);
        };
        let named = guard_of(&["app.example", "192.168.1.5", "[fe80::1]"]);
        check(&named, "app.example", 0);
        check(&named, "APP.example:1234", 0);
        check(&named, "192.168.1.5:80", 0);
        check(&named, "[fe80:0::1]", 0);
        check(&named, "localhost", 0);
        check(&named, "x.app.example", 403);
        check(&named, "app.example.evil.test", 403);
        check(&guard_of(&["*"]), "evil.test", 0);
        check(&guard_of(&["*"]), "evil test", 400);
    }

    #[test]
    fn absolute_targets_agree_with_host() {
        check(PLAIN, "http://a/x", &["a"], 0);
        check(PLAIN, "http://a:80/x", &["A"], 0);
        check(PLAIN, "https://a/x", &["a:443"], 0);
        check(PLAIN, "http://a/x", &[], 400);
        check(PLAIN, "http://a/x", &["b"], 400);
        check(PLAIN, "http://a/x", &["a:81"], 400);
        check(PLAIN, "http://u@a/x", &["a"], 400);
        check(LOOPBACK, "http://localhost:8000/x", &["localhost:8000"], 0);
        check(LOOPBACK, "http://evil.test/x", &["localhost"], 403);
        check(LOOPBACK, "http://localhost/x", &["evil.test"], 403);
        check(LOOPBACK, "http://127.0.0.1/x", &["localhost"], 400);
    }

    #[test]
    fn authorities_of_http_2() {
        let check = |listener, target, hosts: &[&str], expected| {
            check_with(&Guard::default(), listener, Version::HTTP_2, target, hosts, expected);
        };
        check(TLS, "https://a/", &[], 0);
        check(TLS, "https://a/", &["a:443"], 0);
        check(TLS, "https://a/", &["b"], 400);
        check(TLS, "https://a/", &["a", "a"], 400);
        check(TLS, "/", &["a"], 0);
        check(TLS, "/", &[], 400);
        check(TLS_LOOPBACK, "https://evil.test/", &[], 403);
        check(TLS_LOOPBACK, "https://localhost:8443/", &[], 0);
    }
}

mod origin {
    use super::*;

    #[track_caller]
    fn check(listener: ListenerKind, host: &str, origin: &str, expected: u16) {
        check_with(&Guard::default(), listener, host, &[origin.as_bytes()], expected);
    }

    #[track_caller]
    fn check_with(guard: &Guard, listener: ListenerKind, host: &str, origins: &[&[u8]], expected: u16) {
        let mut lines = vec![("host", host.as_bytes())];
        lines.extend(origins.iter().map(|origin| ("origin", *origin)));
        let outcome = guard.check_origin(listener, &parts(Version::HTTP_11, "/websocket", &lines));
        assert_eq!(status(outcome.clone()), expected, "{outcome:?}");
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
            check_with(&Guard::default(), TLS, "good.test", &[origin], 403);
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
        check_with(&Guard::default(), TLS, "good.test", &[], 0);
        let good = &b"https://good.test"[..];
        check_with(&Guard::default(), TLS, "good.test", &[good, good], 403);
        check_with(&guard(&["https://good.test"], &[]), TLS, "good.test", &[good, good], 403);
    }

    #[test]
    fn allowed_origins() {
        let listed = guard(&["https://app.example:8443", "http://b.example", "chrome-extension://abcdef"], &[]);
        let check = |guard: &Guard, origin: &str, expected| {
            check_with(guard, TLS, "good.test", &[origin.as_bytes()], expected);
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
        let texts = guard(&given, &[]);
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
        let apps = guard(&["capacitor://localhost", "tauri://localhost", "chrome-extension://abcdef"], &[]);
        for origin in ["capacitor://localhost", "tauri://localhost", "chrome-extension://abcdef"] {
            check(&apps, origin, 0);
        }
        for origin in ["capacitor://localhost:80", "capacitor://localhost/", "ionic://localhost", "http://localhost"] {
            check(&apps, origin, 403);
        }

        let null = guard(&["null"], &[]);
        check(&null, "null", 0);
        check(&null, "Null", 403);
        check(&null, "https://evil.test", 403);

        let any = guard(&["*"], &[]);
        for origin in ["https://evil.test", "null", "garbage", ""] {
            check(&any, origin, 0);
        }
    }

    /// The host is that of the target where it has one, as in HTTP/2.
    #[test]
    fn the_target_stands_for_host() {
        let check = |target: &str, lines: &[(&'static str, &[u8])], expected| {
            let outcome = Guard::default().check_origin(TLS, &parts(Version::HTTP_2, target, lines));
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
        let error = Guard::default().allow_origin(origin).unwrap_err();
        assert_eq!(error, BadOrigin { given: origin.to_owned() });
        assert!(error.to_string().contains("scheme://host[:port]"), "{error}");
    }
    for host in ["", "app.example:80", "https://app.example", "::1", "a b", "*.example"] {
        let error = Guard::default().allow_host(host).unwrap_err();
        assert_eq!(error, BadHost { given: host.to_owned() });
        assert!(error.to_string().contains("without scheme and port"), "{error}");
    }
}

#[test]
fn refusals_tell_what_would_allow_them() {
    #[track_caller]
    fn check(outcome: Result<(), Refused>, status: u16, text: &str) {
        let refused = outcome.unwrap_err();
        let response = refused.response();
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.body(), &format!("{refused}\n"));
        assert!(refused.to_string().contains(text), "{refused}");
    }
    let guard = Guard::default();
    let host = |host: &[u8]| guard.check_host(LOOPBACK, &parts(Version::HTTP_11, "/", &[("host", host)]));
    let origin = |origin: &[u8]| {
        guard.check_origin(TLS, &parts(Version::HTTP_11, "/", &[("host", b"good.test:1"), ("origin", origin)]))
    };
    check(host(b"evil.test:80"), 403, "--allow-host evil.test (in the library Server::allow_host)");
    check(host(b"[2001:db8::1]"), 403, "--allow-host [2001:db8::1] ");
    check(origin(b"https://evil.test:444"), 403, "on good.test:1; --allow-origin https://evil.test:444 (");
    check(origin(b"null"), 403, "--allow-origin null ");
    check(origin(b"https://good.test:1/"), 403, "\"https://good.test:1/\" is not of the form");
    check(origin(b"https://a.test/b"), 403, "--allow-origin 'https://a.test/b' (in the library Server::allow_origin)");
    check(origin(b"file://"), 403, "--allow-origin 'file://' ");
    check(origin(b"capacitor://localhost"), 403, "--allow-origin capacitor://localhost ");
    check(origin(b"; sudo x"), 403, "--allow-origin '; sudo x' ");
    // What would not come to the same in a shell is not offered.
    check(origin(b"a'; sudo x '"), 403, "--allow-origin '*' ");
    check(origin(b"a\tb"), 403, "--allow-origin '*' ");
    check(origin(b""), 403, "--allow-origin '*' ");
    // What a terminal would obey is escaped, and nothing is quoted at length.
    check(origin(b"a\t\x80\xffb\"\\"), 403, r#""a\t\x80\xffb\"\\""#);
    check(origin(&[b'x'; 200]), 403, &format!("\"{}\"", "x".repeat(200)));
    check(origin(&[b'x'; 10_000]), 403, &format!("\"{}...\"", "x".repeat(200)));
    check(host(b"a\xff"), 400, r#""a\xff""#);
}
