//! How messages and the words of others look: a server must not be able to write escape sequences to a terminal.

use std::fmt::Write as _;

use rikki::ws::Message;

/// How many bytes of a binary message are shown.
const BYTES: usize = 64;

/// How long a line of report may be, in characters: much of it may be somebody else's words.
const LINE: usize = 500;

/// What messages are printed for.
#[derive(Clone, Copy)]
pub(super) enum Style {
    /// Their bytes as they are, and nothing else.
    Bytes,
    /// A line for each.
    Lines,
    /// A line for each, without control characters.
    Terminal,
}

/// Appends a message to what is to be printed.
pub(super) fn show(to: &mut Vec<u8>, style: Style, message: &Message<'_>) {
    match (style, message) {
        (Style::Bytes, message) => return to.extend_from_slice(message.as_bytes()),
        (_, Message::Binary(bytes)) => to.extend_from_slice(hex(bytes).as_bytes()),
        (Style::Lines, Message::Text(text)) => to.extend_from_slice(text.as_bytes()),
        (Style::Terminal, Message::Text(text)) => to.extend_from_slice(escaped(text).as_bytes()),
    }
    to.push(b'\n');
}

/// A line of report: no control characters, and not too long.
pub(super) fn line(text: &str) -> String {
    match text.char_indices().nth(LINE) {
        Some((end, _)) => escaped(&text[..end]) + "...",
        None => escaped(text),
    }
}

/// Control characters, C1 included, as in Rust's source; tabs are harmless.
/// Whether it changes the direction in which a line is shown, so that it looks like another:
/// <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>.
fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if (character.is_control() && character != '\t') || is_bidirectional(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

fn hex(bytes: &[u8]) -> String {
    let mut line = format!("binary, {} bytes", bytes.len());
    for (index, byte) in bytes.iter().take(BYTES).enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(line, "{}{byte:02x}", if index == 0 { ": " } else { " " });
    }
    if bytes.len() > BYTES {
        line.push_str(" ...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let check = |style: Style, message: Message<'_>, expected: &[u8]| {
            let mut shown = b"before ".to_vec();
            show(&mut shown, style, &message);
            assert_eq!(shown.escape_ascii().to_string(), [b"before ", expected].concat().escape_ascii().to_string());
        };
        let hostile = "\x1b]0;title\x07a\nb\r\u{9b}2J\u{202e}é\t\\";
        check(Style::Bytes, hostile.into(), hostile.as_bytes());
        check(Style::Bytes, [0, 255].as_slice().into(), &[0, 255]);
        check(Style::Bytes, "".into(), b"");
        check(Style::Lines, hostile.into(), format!("{hostile}\n").as_bytes());
        check(Style::Lines, "".into(), b"\n");
        let harmless = r"\u{1b}]0;title\u{7}a\nb\r\u{9b}2J\u{202e}é".to_owned() + "\t\\\n";
        check(Style::Terminal, hostile.into(), harmless.as_bytes());
        for style in [Style::Lines, Style::Terminal] {
            check(style, b"hel\x00\xff".as_slice().into(), b"binary, 5 bytes: 68 65 6c 00 ff\n");
            check(style, b"".as_slice().into(), b"binary, 0 bytes\n");
            let whole = format!("binary, 64 bytes: {}\n", ["2a"; 64].join(" "));
            check(style, [42; 64].as_slice().into(), whole.as_bytes());
            let cut = format!("binary, 65 bytes: {} ...\n", ["2a"; 64].join(" "));
            check(style, [42; 65].as_slice().into(), cut.as_bytes());
        }
    }

    #[test]
    fn reports() {
        assert_eq!(line("a\n\u{1b}[2J"), "a\\n\\u{1b}[2J");
        assert_eq!(line(&"é".repeat(500)), "é".repeat(500));
        assert_eq!(line(&"é".repeat(501)), "é".repeat(500) + "...");
    }
}
