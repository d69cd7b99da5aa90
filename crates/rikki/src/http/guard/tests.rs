use http::{HeaderValue, Request};

use super::*;
use crate::http::Wording;

const PLAIN: ListenerKind = ListenerKind { tls: false, loopback: false, unix: false };
const TLS: ListenerKind = ListenerKind { tls: true, loopback: false, unix: false };
const LOOPBACK: ListenerKind = ListenerKind { tls: false, loopback: true, unix: false };
const TLS_LOOPBACK: ListenerKind = ListenerKind { tls: true, loopback: true, unix: false };

/// A guard with these hosts allowed.
fn guard(hosts: &[&str]) -> Guard {
    let mut guard = Guard::default();
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
            let outcome = known.check(&Guard::default(), LOOPBACK, None, &parts(Version::HTTP_11, target, &lines));
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
    fn other_listeners_are_judged_where_that_is_asked_for() {
        let mut everywhere = guard(&["pc.local", "192.0.2.1"]);
        everywhere.is_everywhere = true;
        let check = |listener: ListenerKind, host: &str, expected: u16| {
            check_with(&everywhere, listener, Version::HTTP_11, "/", &[host], expected);
        };
        for listener in [PLAIN, TLS, LOOPBACK] {
            for host in ["pc.local:8000", "PC.local", "192.0.2.1:8000", "localhost:8000", "127.0.0.1"] {
                check(listener, host, 0);
            }
            for host in ["evil.test", "192.0.2.2", "xpc.local", "pc.local.evil.test", "192.0.2.1.evil.test"] {
                check(listener, host, 403);
            }
        }
        check(ListenerKind { unix: true, ..PLAIN }, "evil.test", 0);
    }

    #[test]
    fn allowed_hosts() {
        let guard_of = |hosts: &[&str]| guard(hosts);
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

#[test]
fn bad_settings() {
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
        let response = refused.response(Wording::default().0);
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["connection"], "close");
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.body(), &format!("{}\n", refused.told(Wording::default().0)));
        assert!(response.body().contains(text), "{refused}");
    }
    let guard = Guard::default();
    let host = |host: &[u8]| guard.check_host(LOOPBACK, &parts(Version::HTTP_11, "/", &[("host", host)]));
    check(host(b"evil.test:80"), 403, "server; Server::allow_host(\"evil.test\") would allow it");
    check(host(b"[2001:db8::1]"), 403, "Server::allow_host(\"[2001:db8::1]\") ");
    check(host(b"a\xff"), 400, r#""a\xff""#);
}
