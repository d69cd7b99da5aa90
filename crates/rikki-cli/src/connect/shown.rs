//! How messages and the words of others look: a server must not be able to write escape sequences to a terminal.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use rikki::ws::Message;

use super::json;

/// How many bytes of a binary message are shown.
const BYTES: usize = 64;

/// How long a line of report may be, in characters: much of it may be somebody else's words.
const LINE: usize = 500;

/// What messages are printed for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Style {
    /// Their bytes as they are, and nothing else.
    Bytes,
    /// A line for each.
    Lines,
    /// A line for each, without control characters.
    Terminal,
}

/// How messages are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    pub(super) style: Style,
    /// JSON is laid out over several lines.
    pub(super) json: bool,
    /// Each begins with the time of day, in UTC.
    pub(super) time: bool,
    /// Each begins with a mark that tells who has sent it.
    pub(super) marks: bool,
    pub(super) colours: bool,
}

const GREEN: &str = "\x1b[32m";
const CYAN: &str = "\x1b[36m";
const YELLOW: &str = "\x1b[33m";
const USUAL: &str = "\x1b[0m";

/// Appends a message of the server to what is to be printed.
pub(super) fn show(to: &mut Vec<u8>, look: Look, message: &Message<'_>) {
    if look.style == Style::Bytes {
        return to.extend_from_slice(message.as_bytes());
    }
    begin(to, look, "<", CYAN);
    match message {
        Message::Binary(bytes) => to.extend_from_slice(hex(bytes).as_bytes()),
        Message::Text(text) => match look.json.then(|| json::pretty(text)).flatten() {
            Some(lines) => show_lines(to, look, &lines),
            None => show_line(to, look, text),
        },
    }
    to.push(b'\n');
}

/// Appends a line that was typed.
pub(super) fn show_typed(to: &mut Vec<u8>, look: Look, line: &str) {
    begin(to, look, ">", GREEN);
    show_lines(to, look, line);
    to.push(b'\n');
}

/// Appends what is said about the connection.
pub(super) fn show_report(to: &mut Vec<u8>, look: Look, text: &str) {
    let (begin, end) = if look.colours { (YELLOW, USUAL) } else { ("", "") };
    to.extend_from_slice(format!("{begin}rikki: {}{end}\n", line(text)).as_bytes());
}

/// Appends what a program has written.
pub(super) fn show_foreign(to: &mut Vec<u8>, look: Look, bytes: &[u8]) {
    if look.style != Style::Terminal {
        return to.extend_from_slice(bytes);
    }
    show_lines(to, look, &String::from_utf8_lossy(bytes));
    if !bytes.ends_with(b"\n") && !bytes.is_empty() {
        to.push(b'\n');
    }
}

fn begin(to: &mut Vec<u8>, look: Look, mark: &str, colour: &str) {
    if look.time {
        to.extend_from_slice(time_of_day(SystemTime::now()).as_bytes());
        to.push(b' ');
    }
    match (look.marks, look.colours) {
        (false, _) => {}
        (true, false) => to.extend_from_slice(format!("{mark} ").as_bytes()),
        (true, true) => to.extend_from_slice(format!("{colour}{mark}{USUAL} ").as_bytes()),
    }
}

/// Several lines, of which the ends stay ends.
fn show_lines(to: &mut Vec<u8>, look: Look, text: &str) {
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            to.push(b'\n');
        }
        show_line(to, look, line);
    }
}

fn show_line(to: &mut Vec<u8>, look: Look, text: &str) {
    match look.style {
        Style::Terminal => to.extend_from_slice(escaped(text).as_bytes()),
        Style::Bytes | Style::Lines => to.extend_from_slice(text.as_bytes()),
    }
}

/// As in `20:27:41.123Z`.
fn time_of_day(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since.as_secs() % (24 * 60 * 60);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}.{:03}Z", seconds % 60, since.subsec_millis())
}

/// A line of report: no control characters, and not too long.
pub(super) fn line(text: &str) -> String {
    match text.char_indices().nth(LINE) {
        Some((end, _)) => escaped(&text[..end]) + "...",
        None => escaped(text),
    }
}

/// Whether it changes the direction in which a line is shown, so that it looks like another:
/// <https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters>.
pub(super) fn is_bidirectional(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Control characters, C1 included, as in Rust's source; tabs are harmless.
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

/// Bytes as numbers, with how many there are.
pub(super) fn hex(bytes: &[u8]) -> String {
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

    const PLAIN: Look = Look { style: Style::Lines, json: false, time: false, marks: false, colours: false };
    const PEOPLE: Look = Look { style: Style::Terminal, marks: true, colours: true, ..PLAIN };

    #[track_caller]
    fn check(look: Look, message: Message<'_>, expected: &[u8]) {
        let mut shown = b"before ".to_vec();
        show(&mut shown, look, &message);
        assert_eq!(shown.escape_ascii().to_string(), [b"before ", expected].concat().escape_ascii().to_string());
    }

    #[test]
    fn messages() {
        let check = |style: Style, message, expected: &[u8]| check(Look { style, ..PLAIN }, message, expected);
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
    fn messages_for_people() {
        check(PEOPLE, "a\n\x1b".into(), b"\x1b[36m<\x1b[0m a\\n\\u{1b}\n");
        check(Look { colours: false, ..PEOPLE }, "a".into(), b"< a\n");
        let json = Look { json: true, colours: false, ..PEOPLE };
        check(json, "{\"a\":\"\u{9b}\"}".into(), b"< {\n  \"a\": \"\\u{9b}\"\n}\n");
        check(json, "{a}".into(), b"< {a}\n");
        check(Look { json: true, ..PLAIN }, "[1]".into(), b"[\n  1\n]\n");
        let mut shown = Vec::new();
        show_typed(&mut shown, json, "a\n\x1b");
        show_report(&mut shown, PEOPLE, "closed: \x1b");
        show_foreign(&mut shown, json, b"one\ntwo\x1b");
        show_foreign(&mut shown, PLAIN, b"\x1b");
        let expected = "> a\n\\u{1b}\n\x1b[33mrikki: closed: \\u{1b}\x1b[0m\none\ntwo\\u{1b}\n\x1b";
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
    }

    #[test]
    fn times() {
        let at = |millis| time_of_day(UNIX_EPOCH + std::time::Duration::from_millis(millis));
        assert_eq!(at(0), "00:00:00.000Z");
        assert_eq!(at(1_700_000_000_999), "22:13:20.999Z");
        let mut shown = Vec::new();
        show(&mut shown, Look { time: true, marks: true, ..PLAIN }, &"a".into());
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.len() == "22:13:20.999Z < a\n".len() && shown.ends_with("Z < a\n"), "{shown}");
    }

    #[test]
    fn reports() {
        assert_eq!(line("a\n\u{1b}[2J"), "a\\n\\u{1b}[2J");
        assert_eq!(line(&"é".repeat(500)), "é".repeat(500));
        assert_eq!(line(&"é".repeat(501)), "é".repeat(500) + "...");
    }
}
