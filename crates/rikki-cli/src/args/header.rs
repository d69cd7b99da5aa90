//! A header field as a flag has it: `NAME:VALUE`.

use axum::http::{HeaderName, HeaderValue};

/// Optional whitespace around the value is not part of it
/// ([RFC 9110 section 5.5](https://www.rfc-editor.org/rfc/rfc9110#section-5.5)).
pub(crate) fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME:VALUE")?;
    let name = name.parse().map_err(|_| "the name of a header is a token, as in authorization")?;
    Ok((name, header_value(value.trim_matches([' ', '\t']))?))
}

pub(crate) fn header_value(text: &str) -> Result<HeaderValue, String> {
    text.parse().map_err(|_| "the value of a header has no control characters".to_owned())
}

/// Directives of `Cache-Control`, as far as they are known to be wrong: the usual mistake is a bare number
/// ([RFC 9111 section 5.2](https://www.rfc-editor.org/rfc/rfc9111#section-5.2)).
pub(crate) fn cache_control(text: &str) -> Result<HeaderValue, String> {
    /// The directives of Cache-Control that have a number of seconds.
    const TIMES: [&str; 4] = ["max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"];
    let value = header_value(text)?;
    for directive in text.split(',').map(str::trim) {
        let (name, seconds) = directive.split_once('=').map_or((directive, None), |(name, value)| (name, Some(value)));
        let seconds = seconds.map(|seconds| seconds.trim_matches('"'));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_time = TIMES.iter().any(|time| name.eq_ignore_ascii_case(time));
        // A directive is a token, and none of them begins with a digit.
        let is_token = name.parse::<HeaderName>().is_ok() && !name.starts_with(|first: char| first.is_ascii_digit());
        if !is_token || (is_time && !seconds.is_some_and(is_number)) {
            return Err("expected directives with whole seconds, as in max-age=3600 or no-store".to_owned());
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let check = |text: &str, expected: Result<(&str, &str), &str>| {
            let actual = header(text);
            let shown = actual.as_ref().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
            assert_eq!(shown.map_err(String::as_str), expected, "{text:?}");
        };
        check("Authorization: Bearer 42", Ok(("authorization", "Bearer 42")));
        check("x:", Ok(("x", "")));
        check("origin:\thttps://a:8443 ", Ok(("origin", "https://a:8443")));
        check("cookie", Err("expected NAME:VALUE"));
        check(": value", Err("the name of a header is a token, as in authorization"));
        check("two words: value", Err("the name of a header is a token, as in authorization"));
        check("x: a\r\ny: b", Err("the value of a header has no control characters"));
    }

    #[test]
    fn directives_for_caches() {
        for text in [
            "max-age=3600",
            "no-cache",
            "no-store",
            "public, max-age=31536000, immutable",
            "Max-Age=\"60\",stale-while-revalidate=30",
            "private=\"set-cookie\"",
            "x-own=later",
        ] {
            assert_eq!(cache_control(text).unwrap(), text, "{text}");
        }
        for text in [
            "3600",
            "60s",
            "",
            "max-age",
            "max-age=",
            "max-age=1h",
            "max-age:3600",
            "max-age 3600",
            "max-age=-1",
            "no-cache,",
            "public, 60",
            "s-maxage=soon",
        ] {
            let error = cache_control(text).unwrap_err();
            assert!(error.contains("max-age=3600"), "{text}: {error}");
        }
    }
}
