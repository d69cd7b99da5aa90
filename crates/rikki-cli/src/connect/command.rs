//! What begins with a slash on a terminal: a command, unless there are two.

use std::path::PathBuf;

use rikki::ws::Message;

/// What a line asks for.
#[derive(Debug, PartialEq)]
pub(super) enum Item {
    Message(Message<'static>),
    Command(Command),
}

#[derive(Debug, PartialEq)]
pub(super) enum Command {
    Ping,
    Close { code: u16, reason: String },
    File(PathBuf),
    Help,
}

pub(super) const HELP: [&str; 8] = [
    "/ping              ping the server, and say how long its answer took",
    "/close [CODE [REASON]]  close, with 1000 if there is no code",
    "/binary HEX        send bytes, as in /binary 00 ff",
    "/file PATH         send a file: as text if it is UTF-8, else as bytes",
    "/help              this; //TEXT sends /TEXT",
    "Up, Down, Ctrl-R   lines that were entered before; those that begin with a",
    "                   space are not remembered, those with secrets not on disk",
    "Ctrl-D             close and wait for answers; Ctrl-C closes at once",
];

/// What is meant by a line, or why it means nothing.
pub(super) fn parse(line: &str) -> Result<Item, String> {
    let Some(command) = line.strip_prefix('/') else { return Ok(Item::Message(Message::from(line.to_owned()))) };
    if command.starts_with('/') {
        return Ok(Item::Message(Message::from(command.to_owned())));
    }
    let (name, rest) = command.split_once([' ', '\t', '\n']).unwrap_or((command, ""));
    let rest = rest.trim();
    let alone =
        |command| if rest.is_empty() { Ok(Item::Command(command)) } else { Err(format!("/{name} stands alone")) };
    match name {
        "ping" => alone(Command::Ping),
        "help" | "?" => alone(Command::Help),
        "close" => close(rest).map(Item::Command),
        "binary" => bytes(rest).map(|bytes| Item::Message(Message::from(bytes))),
        "file" if rest.is_empty() => Err("/file needs a PATH".to_owned()),
        "file" => Ok(Item::Command(Command::File(at_home(rest)))),
        _ => Err(format!("there is no /{name}: /help tells what there is, and //{name} sends /{name}")),
    }
}

fn close(text: &str) -> Result<Command, String> {
    let (code, reason) = text.split_once(' ').unwrap_or((text, ""));
    if code.is_empty() {
        return Ok(Command::Close { code: 1000, reason: String::new() });
    }
    let code = code.parse().map_err(|_| format!("{code:?} is no code to close with, such as 1000 or 4001"))?;
    Ok(Command::Close { code, reason: reason.trim().to_owned() })
}

/// Bytes as people write them: `00ff`, `00 FF`, `0x00, 0xff` or `00:ff`.
fn bytes(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || "/binary needs pairs of hexadecimal digits, as in /binary 00 ff".to_owned();
    let mut bytes = Vec::new();
    for word in text.split([' ', ',', ':', '\t', '\n']).filter(|word| !word.is_empty()) {
        let digits = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X")).unwrap_or(word);
        if digits.len() % 2 != 0 || digits.is_empty() {
            return Err(wrong());
        }
        for pair in digits.as_bytes().chunks(2) {
            let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
            let (Some(high), Some(low)) = (digit(pair.first()), digit(pair.get(1))) else { return Err(wrong()) };
            bytes.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
        }
    }
    if bytes.is_empty() { Err(wrong()) } else { Ok(bytes) }
}

/// No shell has replaced `~`.
fn at_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let check = |line: &str, expected: Result<Item, &str>| {
            assert_eq!(
                parse(line).as_ref().map_err(String::as_str),
                expected.as_ref().map_err(|error| *error),
                "{line:?}"
            );
        };
        let text = |text: &str| Ok(Item::Message(Message::from(text.to_owned())));
        let bytes = |bytes: &[u8]| Ok(Item::Message(Message::from(bytes.to_vec())));
        let close = |code, reason: &str| Ok(Item::Command(Command::Close { code, reason: reason.to_owned() }));
        check("hello /ping", text("hello /ping"));
        check("", text(""));
        check(" /ping", text(" /ping"));
        check("//ping", text("/ping"));
        check("///", text("//"));
        check("/ping", Ok(Item::Command(Command::Ping)));
        check("/ping ", Ok(Item::Command(Command::Ping)));
        check("/ping x", Err("/ping stands alone"));
        check("/help", Ok(Item::Command(Command::Help)));
        check("/", Err("there is no /: /help tells what there is, and // sends /"));
        check("/PING", Err("there is no /PING: /help tells what there is, and //PING sends /PING"));
        check("/close", close(1000, ""));
        check("/close 4001  bye now ", close(4001, "bye now"));
        check("/close x", Err("\"x\" is no code to close with, such as 1000 or 4001"));
        check("/close 70000", Err("\"70000\" is no code to close with, such as 1000 or 4001"));
        check("/binary 00fF", bytes(&[0, 255]));
        check("/binary 0x00, 0Xff 01:02", bytes(&[0, 255, 1, 2]));
        for wrong in ["", "0", "0x", "0g", "é", "000", "+1"] {
            check(&format!("/binary {wrong}"), Err("/binary needs pairs of hexadecimal digits, as in /binary 00 ff"));
        }
        check("/file a b.txt", Ok(Item::Command(Command::File("a b.txt".into()))));
        check("/file", Err("/file needs a PATH"));
    }
}
