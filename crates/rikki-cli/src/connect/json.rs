//! JSON laid out for people: white space alone changes, so that numbers, order and repeated names stay as they came.

use serde::de::IgnoredAny;

/// What is nested deeper is shown as it came: each level indents all that is in it.
const DEEPEST: usize = 64;

/// How many times its length a text may grow, and by how many bytes whatever its length.
const GROWTH: usize = 16;
const FREE: usize = 64 * 1024;

/// Objects and arrays over several lines; `None` for everything else, be it that it is no JSON.
pub(super) fn pretty(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) || serde_json::from_str::<IgnoredAny>(text).is_err() {
        return None;
    }
    let mut lines = String::with_capacity(2 * text.len());
    let mut depth = 0;
    let mut rest = text.char_indices().peekable();
    while let Some((start, character)) = rest.next() {
        match character {
            '"' => lines.push_str(string(&text[start..], &mut rest)),
            '{' | '[' => {
                lines.push(character);
                while rest.next_if(|(_, next)| next.is_ascii_whitespace()).is_some() {}
                if let Some((_, end)) = rest.next_if(|(_, next)| matches!(next, '}' | ']')) {
                    lines.push(end);
                    continue;
                }
                depth += 1;
                new_line(&mut lines, depth);
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut lines, depth);
                lines.push(character);
            }
            ',' => {
                lines.push(',');
                new_line(&mut lines, depth);
            }
            ':' => lines.push_str(": "),
            _ if character.is_ascii_whitespace() => {}
            _ => lines.push(character),
        }
        if depth > DEEPEST || lines.len() > GROWTH * text.len() + FREE {
            return None;
        }
    }
    Some(lines)
}

/// A string with its quotes, at the beginning of `text`, of which the first has been taken.
fn string<'a>(text: &'a str, rest: &mut impl Iterator<Item = (usize, char)>) -> &'a str {
    let mut length = 1;
    let mut is_escaped = false;
    for (_, character) in rest {
        length += character.len_utf8();
        if character == '"' && !is_escaped {
            break;
        }
        is_escaped = character == '\\' && !is_escaped;
    }
    &text[..length]
}

fn new_line(lines: &mut String, depth: usize) {
    lines.push('\n');
    lines.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_white_space_changes() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(pretty(text).as_deref(), expected, "{text}");
        check("{}", Some("{}"));
        check(" [ ] ", Some("[]"));
        check(r#"{"b":1,"a":[true,null]}"#, Some("{\n  \"b\": 1,\n  \"a\": [\n    true,\n    null\n  ]\n}"));
        // As they came: order, repeated names, more digits than a float has.
        check(
            r#"{"a" : 12345678901234567890.10, "a":"\" {[,:]} \\"}"#,
            Some("{\n  \"a\": 12345678901234567890.10,\n  \"a\": \"\\\" {[,:]} \\\\\"\n}"),
        );
        check(r#"["é😀"]"#, Some("[\n  \"é😀\"\n]"));
        for text in ["", "1", "\"a\"", "{", "{}}", "{a:1}", "hello", "[1,]"] {
            check(text, None);
        }
        let nested = |depth: usize| "[".repeat(depth) + "1" + &"]".repeat(depth);
        assert!(pretty(&nested(64)).is_some() && pretty(&nested(65)).is_none() && pretty(&nested(100_000)).is_none());
        let wide = "[".repeat(64) + &"0,".repeat(10_000) + "0" + &"]".repeat(64);
        assert!(pretty(&wide).is_none(), "it would be a hundred times as long");
    }
}
