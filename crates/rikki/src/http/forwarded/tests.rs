//! What is read of the fields of proxies, good, bad and hostile.

use http::HeaderValue;
use proptest::prelude::*;

use super::*;

/// The nearest proxy, and those behind it.
const PROXY: &str = "10.0.0.1:99";

fn trust() -> Networks {
    let mut trust = Networks::default();
    trust.add("10.0.0.0/8").unwrap();
    trust.add("fd00::/8").unwrap();
    trust
}

fn fields(lines: &[(&'static str, &[u8])]) -> HeaderMap {
    let line = |(name, value): &(&'static str, &[u8])| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
    };
    lines.iter().map(line).collect()
}

fn read(forwarding: Forwarding, lines: &[(&'static str, &[u8])]) -> (String, String) {
    let peer = Peer::Ip(PROXY.parse().unwrap());
    let (client, Public { authority, is_tls }) = forwarding.read(&trust(), &fields(lines), peer);
    let scheme = is_tls.map_or("", |is_tls| if is_tls { "https://" } else { "http://" });
    (client.to_string(), format!("{scheme}{}", authority.map(|authority| authority.to_string()).unwrap_or_default()))
}

#[track_caller]
fn check_separate(lines: &[&str], expected: &str) {
    let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", line.as_bytes())).collect();
    assert_eq!(read(Forwarding::Separate, &lines).0, expected, "{lines:?}");
    assert_eq!(read(Forwarding::Standard, &lines).0, PROXY, "the other one is not read");
}

#[test]
fn addresses_of_x_forwarded_for() {
    let check = check_separate;
    check(&[], PROXY);
    check(&["192.0.2.1"], "192.0.2.1:0");
    check(&["192.0.2.1:4711"], "192.0.2.1:4711");
    check(&["2001:db8::1"], "[2001:db8::1]:0");
    check(&["[2001:db8::1]"], "[2001:db8::1]:0");
    check(&["[2001:db8::1]:4711"], "[2001:db8::1]:4711");
    check(&["  192.0.2.1\t"], "192.0.2.1:0");
    // The first from the right that is not trusted, whatever stands to the left of it.
    check(&["198.51.100.9, 192.0.2.1"], "192.0.2.1:0");
    check(&["10.0.0.5, 192.0.2.1"], "192.0.2.1:0");
    check(&["192.0.2.1, 10.0.0.5"], "192.0.2.1:0");
    check(&["192.0.2.1,10.0.0.5,fd00::1 , 10.9.9.9"], "192.0.2.1:0");
    check(&["198.51.100.9", "192.0.2.1, 10.0.0.5"], "192.0.2.1:0");
    check(&["192.0.2.1", "10.0.0.5", "10.0.0.6"], "192.0.2.1:0");
    check(&["198.51.100.9", "192.0.2.1"], "192.0.2.1:0");
    check(&["garbage, 192.0.2.1"], "192.0.2.1:0");
    check(&["\"unclosed, 192.0.2.1"], "192.0.2.1:0");
    check(&["\u{e9}, 192.0.2.1"], "192.0.2.1:0");
    check(&["192.0.2.1, ::ffff:10.0.0.5"], "192.0.2.1:0");
    // All are trusted: the farthest.
    check(&["10.0.0.7, 10.0.0.6:5"], "10.0.0.7:0");
    check(&["192.0.2.1:_hidden"], "192.0.2.1:0");
}

/// What cannot be read ends the search.
#[test]
fn what_is_no_address() {
    let check = check_separate;
    for unreadable in [
        "unknown",
        "_hidden",
        "",
        "192.0.2",
        "192.0.2.256",
        "192.0.2.1:",
        "192.0.2.1:x",
        "192.0.2.1:65536",
        "192.0.2.1:+80",
        "192.0.2.1:000080",
        "192.0.2.1 192.0.2.2",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]80",
        "[2001:db8::1]:",
        "[192.0.2.1]",
        "[]",
        "[",
        "]",
        ":",
        "::ffff:",
        "fe80::1%eth0",
        "unix:",
        "localhost",
        "\"192.0.2.1\"",
        "192.0.2.1;",
        "for=192.0.2.1",
        "-",
        "\u{e9}",
    ] {
        check(&[unreadable], PROXY);
        check(&[&format!("192.0.2.1, {unreadable}")], PROXY);
        check(&[&format!("192.0.2.1, {unreadable}, 10.0.0.5")], "10.0.0.5:0");
        check(&["192.0.2.1", unreadable, "10.0.0.5:1"], "10.0.0.5:1");
    }
    check(&["192.0.2.1,"], PROXY);
}

#[test]
fn hosts_and_schemes_beside_it() {
    let check = |addresses: &str, hosts: &[&str], protos: &str, expected: &str| {
        let mut lines = vec![("x-forwarded-for", addresses.as_bytes()), ("x-forwarded-proto", protos.as_bytes())];
        lines.extend(hosts.iter().map(|host| ("x-forwarded-host", host.as_bytes())));
        assert_eq!(read(Forwarding::Separate, &lines).1, expected, "{addresses} {hosts:?} {protos}");
    };
    check("192.0.2.1", &["app.example"], "https", "https://app.example");
    check("192.0.2.1", &["App.Example:8443"], "HTTPS", "https://App.Example:8443");
    check("192.0.2.1", &["[2001:db8::1]:80"], "http", "http://[2001:db8::1]:80");
    check("192.0.2.1", &["app.example"], "wss", "https://app.example");
    check("192.0.2.1", &["app.example"], "ftp", "app.example");
    check("192.0.2.1", &["user@app.example"], "https", "https://");
    check("192.0.2.1", &[""], "", "");
    check("192.0.2.1", &[], "https", "https://");
    // What is furthest to the right is from the nearest.
    check("192.0.2.1", &["evil.example, app.example"], "http, https", "https://app.example");
    check("192.0.2.1", &["evil.example", "app.example"], "http, https", "https://app.example");
    // That of the element of the client, or the only one.
    check("192.0.2.1, 10.0.0.2", &["evil.example, app.example, inner.example"], "https, http", "https://app.example");
    check("192.0.2.1, 10.0.0.2, 10.0.0.3", &["app.example"], "https", "https://app.example");
    check("192.0.2.1, 10.0.0.2, 10.0.0.3", &["app.example, inner.example"], "https, http", "");
    check("unknown", &["app.example"], "https", "https://app.example");
}

#[track_caller]
fn check_standard(lines: &[&str], client: &str, public: &str) {
    let lines: Vec<_> = lines.iter().map(|line| ("forwarded", line.as_bytes())).collect();
    assert_eq!(read(Forwarding::Standard, &lines), (client.to_owned(), public.to_owned()), "{lines:?}");
    assert_eq!(read(Forwarding::Separate, &lines), (PROXY.to_owned(), String::new()), "the other one is not read");
}

#[test]
fn elements_of_forwarded() {
    let check = check_standard;
    let one = "192.0.2.1:0";
    check(&[], PROXY, "");
    check(&["for=192.0.2.1"], one, "");
    check(&["For=\"192.0.2.1\""], one, "");
    check(&["for=\"192.0.2.1:4711\""], "192.0.2.1:4711", "");
    check(&["FOR=\"[2001:db8:cafe::17]:4711\""], "[2001:db8:cafe::17]:4711", "");
    check(&["for=\"[2001:db8:cafe::17]\""], "[2001:db8:cafe::17]:0", "");
    check(&["for=\"192.0.2.1:_port\""], one, "");
    check(&["for=\"1\\92.0.2.1\""], one, "");
    check(&["for=192.0.2.1;proto=https;by=203.0.113.43"], one, "https://");
    check(&["for=192.0.2.1; proto=http; host=app.example"], one, "http://app.example");
    check(&[";;for=192.0.2.1;;host=\"app.example:81\";"], one, "app.example:81");
    check(&["for=192.0.2.1;host=\"a,b\""], one, "");
    check(&["for=192.0.2.1;x=\"a,\\\"b;\";proto=https"], one, "https://");
    check(&["for=198.51.100.9, for=192.0.2.1"], one, "");
    check(&["for=192.0.2.1;proto=https;host=a, for=10.0.0.2;proto=http;host=b"], one, "https://a");
    check(&["for=192.0.2.1;proto=https", "for=10.0.0.2", "for=\"[fd00::2]\""], one, "https://");
    check(&["for=10.0.0.3;host=a, for=10.0.0.2;host=b"], "10.0.0.3:0", "a");
    check(&["proto=https;host=app.example"], PROXY, "https://app.example");
    // Who is not named is behind somebody who is trusted.
    check(&["for=192.0.2.1;host=a, for=unknown;host=b"], PROXY, "b");
    check(&["for=192.0.2.1;host=a, for=_secret;host=b;proto=https, for=10.0.0.2"], "10.0.0.2:0", "https://b");
    check(&["for=192.0.2.1;host=a, for=\"_secret:_x\";host=b"], PROXY, "b");
    // What a client opens encloses nothing of what is to the right of it.
    check(&["for=\", for=192.0.2.1"], one, "");
    check(&["for=198.51.100.9;x=\"", "for=192.0.2.1;proto=https"], one, "https://");
    check(&["for=198.51.100.9;x=\", for=\"192.0.2.1\""], one, "");
    check(&["for=198.51.100.9;x=\"\\, for=\"192.0.2.1\""], one, "");
    check(&["\u{e9}, for=192.0.2.1"], one, "");
}

#[test]
fn what_is_no_element() {
    let check = check_standard;
    for unreadable in [
        "",
        ",",
        "for",
        "for=",
        "=192.0.2.1",
        "for =192.0.2.1",
        "for= 192.0.2.1",
        "for=192.0.2.1 proto=https",
        "for=192.0.2.1;for=192.0.2.2",
        "for=192.0.2.1;proto=http;proto=https",
        "for=[2001:db8::1]",
        "for=192.0.2.1:80",
        "for=\"192.0.2.1",
        "for=192.0.2.1\"",
        "for=\"192.0.2.1\"x",
        "for=\"192.0.2.1\\\"",
        "f\u{e9}r=192.0.2.1",
        "f(r=1",
        "for=192.0.2.1;=",
        "for=\"\"",
        "for=\"\\",
        "\"",
        "\"\"",
        ";",
        "192.0.2.1",
    ] {
        check(&[unreadable], PROXY, "");
        check(&["for=192.0.2.1", unreadable], PROXY, "");
        check(
            &["for=192.0.2.1", unreadable, "for=10.0.0.2;host=a"],
            "10.0.0.2:0",
            if unreadable == "for=\"\"" || unreadable == ";" { "" } else { "a" },
        );
    }
}

proptest! {
    /// Never a panic, and never an address that somebody wrote who is not trusted: what is to the left of a client's
    /// own changes nothing.
    #[test]
    fn what_a_client_sends_changes_nothing(
        sent in prop::collection::vec(prop::sample::select(b"10.2,; \t\"\\=:[]_fforhostproto\xe9".to_vec()), 0..60),
        same_line in any::<bool>(),
        standard in any::<bool>(),
    ) {
        let (forwarding, name, own) = match standard {
            true => (Forwarding::Standard, "forwarded", &b"for=\"192.0.2.1:5\";proto=https;host=\"app.example:1\""[..]),
            false => (Forwarding::Separate, "x-forwarded-for", &b"192.0.2.1:5"[..]),
        };
        let all = [&sent, &b", "[..], own].concat();
        let lines = if same_line { vec![(name, &all[..])] } else { vec![(name, &sent[..]), (name, own)] };
        let public = if standard { "https://app.example:1" } else { "" };
        prop_assert_eq!(read(forwarding, &lines), ("192.0.2.1:5".to_owned(), public.to_owned()));
        // And alone, without a panic.
        read(forwarding, &[(name, &sent)]);
    }
}
