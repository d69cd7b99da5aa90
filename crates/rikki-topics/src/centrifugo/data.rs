//! Payloads as values of JSON, and back: what is JSON stays as it is, and any other text becomes a string.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rikki_ws::Message;
use serde::de::IgnoredAny;

/// How deep arrays and objects may lie in one another: clients read them by recursion.
const DEEPEST: usize = 128;

/// A message as a value of JSON, on one line.
pub(super) fn of_message<'m>(message: &'m Message<'_>) -> Cow<'m, str> {
    match message {
        Message::Text(text) => of_text(text),
        // There is no value for bytes.
        Message::Binary(bytes) => Cow::Owned(format!("{{\"base64\":\"{}\"}}", STANDARD.encode(&**bytes))),
    }
}

/// A text as a value of JSON, on one line: the value that it is, or itself as a string.
pub(super) fn of_text(text: &str) -> Cow<'_, str> {
    if !is_shallow(text) || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Cow::Owned(quoted(text));
    }
    // Within a string they would be escaped, so these are between values.
    match text.contains(['\n', '\r']) {
        true => Cow::Owned(text.replace(['\n', '\r'], " ")),
        false => Cow::Borrowed(text),
    }
}

/// A text as a string of JSON.
pub(super) fn quoted(text: &str) -> String {
    // A string can always be written.
    serde_json::to_string(text).unwrap_or_default()
}

/// Whether JSON is not too deep for those who read it.
pub(super) fn is_shallow(json: &str) -> bool {
    let (mut depth, mut is_in_string, mut is_escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            _ if is_in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_json() {
        let check = |text: &str, expected: &str| {
            let value = of_text(text);
            assert_eq!(value, expected, "{text}");
            assert!(serde_json::from_str::<IgnoredAny>(&value).is_ok() && !value.contains('\n'), "{value}");
        };
        check(r#"{"a":[1,2.50,"ü"]}"#, r#"{"a":[1,2.50,"ü"]}"#);
        check("17", "17");
        check("null", "null");
        check("\"quoted\"", "\"quoted\"");
        check("hello", "\"hello\"");
        check("", "\"\"");
        check("two\nlines", r#""two\nlines""#);
        check("{\n\t\"a\":\r\n1}\n", "{ \t\"a\":  1} ");
        check("{} {}", r#""{} {}""#);
        check("{\"a\":01}", r#""{\"a\":01}""#);
        check("\"\n\"", r#""\"\n\"""#);
        check("123456789012345678901234567890", "123456789012345678901234567890");
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        check(&deep(DEEPEST), &deep(DEEPEST));
        check(&deep(DEEPEST + 1), &format!("\"{}\"", deep(DEEPEST + 1)));
        // No bracket of a string counts.
        let brackets = format!("\"\\\"{}\"", "[".repeat(1000));
        check(&brackets, &brackets);
    }

    #[test]
    fn bytes() {
        assert_eq!(of_message(&Message::from(vec![0, 159])), r#"{"base64":"AJ8="}"#);
    }
}
