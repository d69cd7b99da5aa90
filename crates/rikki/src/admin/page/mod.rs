//! The live page: one piece of HTML that loads nothing but `/status`.

use std::sync::LazyLock;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::get;

use super::faces;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    include_str!("show.js"),
    include_str!("history.js"),
    include_str!("plots.js"),
    include_str!("tables.js"),
    include_str!("one.js"),
    include_str!("poll.js"),
);

/// The one style sheet and the one script that count are [`STYLE`] and [`SCRIPT`], by their SHA-256. What strangers have
/// chosen becomes text alone: trusted types have the browser refuse any other way.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      connect-src 'self'; img-src data:; require-trusted-types-for 'script'; trusted-types 'none'; \
                      style-src 'sha256-5WLbAjjdu4aqa/NJYoYX2NJQewyBQ7E/RQmh4jN95JY='; \
                      script-src 'sha256-PRbrDlWtgZW3g3lO9cJfGZHzl3e++Ym6x1T1T7QAPjk='";

const HTML: &str = "text/html; charset=utf-8";

/// What leads away from it says nothing of where it is.
const FIELDS: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// The page at `/`, which asks for `status` next to it.
pub(super) fn route() -> Router {
    Router::new().route("/", get(async || (FIELDS, faces::answer(StatusCode::OK, HTML, page())).into_response()))
}

fn page() -> Bytes {
    static WHOLE: LazyLock<Bytes> = LazyLock::new(|| {
        let page = PAGE.replacen("<style></style>", &["<style>", STYLE, "</style>"].concat(), 1);
        page.replacen("<script></script>", &["<script>", SCRIPT, "</script>"].concat(), 1).into()
    });
    WHOLE.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is loaded once stays open for days, also by way of a slow tunnel.
    #[test]
    fn it_is_small_and_whole() {
        let page = page();
        assert!(SCRIPT.len() < 40 * 1024 && page.len() < 50 * 1024, "{} of {} bytes", SCRIPT.len(), page.len());
        assert_eq!(page.len(), PAGE.len() + STYLE.len() + SCRIPT.len());
        // Either would end the element.
        assert!(![STYLE, SCRIPT].iter().any(|content| content.contains("</")));
    }

    /// What is changed changes its hash: the failed assertion shows the new one.
    #[cfg(feature = "aws-lc-rs")]
    #[test]
    fn the_policy_names_the_style_sheet_and_the_script() {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256 as SUITE;

        let suite = SUITE.tls13().unwrap();
        for (directive, content) in [("style-src", STYLE), ("script-src", SCRIPT)] {
            let hash = suite.common.hash_provider.hash(content.as_bytes());
            let source = format!("{directive} 'sha256-{}'", BASE64_STANDARD.encode(hash.as_ref()));
            assert!(POLICY.split("; ").any(|part| part == source), "{source}");
        }
    }
}
