//! Origins of pages that this computer serves itself.

use std::net::IpAddr;

use axum::http::uri::Authority;

/// Whether a page is one of `localhost`, a name below it, or an address of loopback, on any port. `null` is none: every
/// site can make a page of that origin, in a frame.
pub(crate) fn is_loopback(origin: &str) -> bool {
    let Some((scheme, rest)) = origin.split_once("://") else { return false };
    if !["http", "https"].contains(&scheme) || rest.contains('@') {
        return false;
    }
    let Ok(authority) = rest.parse::<Authority>() else { return false };
    let host = authority.host();
    let last = host.rsplit('.').next().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    last.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_this_computer() {
        for origin in [
            "http://localhost:5173",
            "http://localhost",
            "https://LocalHost:8443",
            "http://app.localhost:3000",
            "http://127.0.0.1:5500",
            "http://127.9.9.9",
            "http://[::1]:3000",
        ] {
            assert!(is_loopback(origin), "{origin}");
        }
        for origin in [
            "null",
            "",
            "localhost",
            "file://",
            "ftp://localhost",
            "http://localhost.evil.test",
            "http://evil.test:80",
            "http://xlocalhost",
            "http://localhost@evil.test",
            "http://127.0.0.1@evil.test",
            "http://127.0.0.1.evil.test",
            "http://localhost/",
            "http://localhost:80/evil",
            "http://evil.test/localhost",
            "http://192.168.1.5:3000",
            "http://0.0.0.0:3000",
            "http://[::ffff:192.0.2.1]",
            "http://",
            "chrome-extension://localhost",
            "http://localhost http://evil.test",
        ] {
            assert!(!is_loopback(origin), "{origin}");
        }
    }
}
