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
}
