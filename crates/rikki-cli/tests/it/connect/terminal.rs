//! `rikki connect` where people type: what is on the screen.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use rikki::Server;
use rikki::ws::{CloseCode, Handler, Message, Opening, Sender, Socket};
use vt100::Color;

use super::{Echo, Running};
use crate::emulator::Screen;
use crate::process::{DEADLINE, Folder};

const WIDE: u16 = 120;

fn start(url: &str, flags: &str) -> Screen {
    start_with(url, flags, &[])
}

fn start_with(url: &str, flags: &str, variables: &[(&str, &str)]) -> Screen {
    prompt(&format!("$RIKKI connect --compression off --no-history {flags} {url}"), variables)
}

/// When the terminal no longer has lines of its own.
fn prompt(command: &str, variables: &[(&str, &str)]) -> Screen {
    let screen = Screen::start(command, WIDE, variables);
    screen.has_row(|row| row.starts_with("rikki: connected to "));
    screen.has_row(|row| row == ">");
    screen
}

/// An echo that also gives its senders to the test.
struct Pushing(Mutex<std::sync::mpsc::Sender<Sender>>);

impl Handler for Pushing {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _: &Opening) {
        self.0.lock().unwrap().send(socket.sender()).unwrap();
    }

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        let _ = match message.as_text() {
            Some("bye") => socket.close(CloseCode::NORMAL, ""),
            _ => socket.send(message),
        };
    }
}

fn pushing() -> (Running, Receiver<Sender>) {
    let (senders, received) = channel();
    (Running::start(Server::new().websocket("/", Pushing(Mutex::new(senders)))), received)
}

#[test]
fn messages_come_above_the_line_being_typed() {
    let (server, senders) = pushing();
    let mut screen = start(&server.url, "");
    let connected = format!("rikki: connected to {}", server.url);
    screen.shows(&[&connected, ">"]);
    let sender = senders.recv_timeout(DEADLINE).unwrap();
    screen.keys("half a line");
    screen.shows(&[&connected, "> half a line"]);
    sender.send("one\n\u{1b}[2J\u{202e}").unwrap();
    screen.shows(&[&connected, r"< one\n\u{1b}[2J\u{202e}", "> half a line"]);
    screen.has_cursor_at(13);
    screen.keys("\x1b[H\x1b[C");
    screen.has_cursor_at(3);
    sender.send("two").unwrap();
    screen.shows(&[&connected, r"< one\n\u{1b}[2J\u{202e}", "< two", "> half a line"]);
    screen.has_cursor_at(3);
    // More than a screen of them, and the line is as it was.
    for number in 0..100 {
        sender.send(format!("message {number}")).unwrap();
    }
    screen.ends_with(&["< message 98", "< message 99", "> half a line"]);
    screen.keys("!\r");
    screen.ends_with(&["< message 99", "> h!alf a line", "< h!alf a line", ">"]);
    // A narrower one shows what fits.
    screen.keys("\x0c0123456789abcdefghij");
    screen.shows(&["> 0123456789abcdefghij"]);
    screen.resize(16);
    screen.ends_with(&["> …89abcdefghij"]);
    screen.resize(WIDE);
    screen.ends_with(&["> 0123456789abcdefghij"]);
    screen.keys("\x15\x04");
    screen.ends_with(&["rikki: closed: 1000"]);
    assert_eq!(screen.end(), Some(0));
    screen.is_cooked();
}

#[test]
fn what_begins_with_a_slash() {
    let echo = Echo::plain();
    let folder = Folder::new();
    let (text, bytes) = (folder.write("a.txt", "from a file"), folder.write("b.bin", [0, 255]));
    let mut screen = start(&echo.url, "");
    screen.keys("//slash\r");
    screen.ends_with(&["> //slash", "< /slash", ">"]);
    screen.keys("/binary 00 ff\r");
    screen.ends_with(&["> /binary 00 ff", "< binary, 2 bytes: 00 ff", ">"]);
    screen.keys(&format!("/file {text}\r"));
    screen.ends_with(&["< from a file", ">"]);
    screen.keys(&format!("/file {bytes}\r"));
    screen.ends_with(&["< binary, 2 bytes: 00 ff", ">"]);
    screen.keys("/file /dev/zero\r");
    screen.ends_with(&["> /file /dev/zero", "rikki: cannot send /dev/zero: it is no file", ">"]);
    screen.keys("/nothing\r");
    let unknown = "rikki: there is no /nothing: /help tells what there is, and //nothing sends /nothing";
    screen.ends_with(&["> /nothing", unknown, ">"]);
    screen.keys("/close 1005\r");
    screen.ends_with(&["> /close 1005", "rikki: close code 1005 must not be sent", ">"]);
    screen.keys("/help\r");
    screen.ends_with(&["Ctrl-D             close and wait for answers; Ctrl-C closes at once", ">"]);
    // A paste of several lines is one message.
    screen.keys("\x1b[200~{\n1}\n\x1b[201~\r");
    screen.ends_with(&["> {", "1}", r"< {\n1}", ">"]);
    screen.keys("/close 4001 bye\r");
    screen.ends_with(&["> /close 4001 bye", "rikki: closed: 4001"]);
    assert_eq!(screen.end(), Some(0));
}

#[test]
fn pings_and_times_and_json() {
    let (server, senders) = pushing();
    let mut screen = start(&server.url, "--json --show-pings");
    senders.recv_timeout(DEADLINE).unwrap().ping(b"there?").unwrap();
    screen.ends_with(&["rikki: ping of the server: \"there?\"", ">"]);
    screen.keys("{\"b\":1.0,\"a\":[]}\r");
    screen.ends_with(&["< {", "  \"b\": 1.0,", "  \"a\": []", "}", ">"]);
    screen.keys("/ping\r");
    let pinged = |row: &str| row.starts_with("rikki: pong after ") && row.ends_with(" ms");
    screen.has_row(pinged);
    screen.has_row(|row| row.starts_with("rikki: pong of the server: "));
    screen.keys("\x04");
    assert_eq!(screen.end(), Some(0));
    let mut screen = start(&server.url, "--time");
    screen.keys("one\r");
    // As in `20:27:41.123Z < one`.
    screen.has_row(|row| row.len() == 19 && row.ends_with("Z < one"));
    screen.keys("\x04");
    assert_eq!(screen.end(), Some(0));
}

#[test]
fn colours_are_a_wish() {
    let echo = Echo::plain();
    for (variables, expected) in [
        (vec![], [Color::Idx(3), Color::Idx(2), Color::Idx(6), Color::Idx(2)]),
        (vec![("NO_COLOR", "1")], [Color::Default; 4]),
    ] {
        let mut screen = start_with(&echo.url, "", &variables);
        screen.keys("one\r");
        screen.ends_with(&["> one", "< one", ">"]);
        assert_eq!(screen.colours(), expected, "{variables:?}");
    }
    // A terminal that can do nothing has lines of its own.
    let command = format!("$RIKKI connect --compression off {}", echo.url);
    let mut screen = Screen::start(&command, WIDE, &[("TERM", "dumb")]);
    screen.has_row(|row| row.starts_with("rikki: connected to "));
    // Its end may come a moment later.
    screen.has_cursor_at(0);
    screen.keys("one\n");
    screen.ends_with(&["one", "one"]);
}

#[test]
fn lines_are_remembered_between_runs() {
    let echo = Echo::plain();
    let folder = Folder::new();
    let state = folder.path("state");
    let run = |keys: &str, last: &[&str]| {
        let command = format!("$RIKKI connect --compression off {}", echo.url);
        let mut screen = prompt(&command, &[("XDG_STATE_HOME", &state)]);
        screen.keys(keys);
        screen.ends_with(last);
        screen.keys("\x15\x04");
        assert_eq!(screen.end(), Some(0));
    };
    run("one\rmy password\r spaced\rtwo\r", &["< two", ">"]);
    run("\x1b[A\x1b[A", &["> one"]);
    run("\x12on", &["(found 'on') one"]);
    let kept = folder.path("state/rikki/connect-history");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "one\ntwo\n");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    // Where nothing can be kept that is said, and all else works.
    let mut screen = prompt(&format!("$RIKKI connect {}", echo.url), &[("XDG_STATE_HOME", "/dev/null")]);
    screen.has_row(|row| row.starts_with("rikki: lines are not kept in /dev/null/rikki/connect-history: "));
    screen.keys("one\r\x1b[A");
    screen.ends_with(&["< one", "> one"]);
}

#[test]
fn what_is_left_over_never_reaches_the_shell() {
    let (server, _senders) = pushing();
    let command = format!(
        "$RIKKI connect --compression off --no-history {}; echo ended; read -r line; echo \"got $line\"",
        server.url
    );
    let mut screen = prompt(&command, &[]);
    // The server closes, in the middle of a paste.
    screen.keys("bye\r\x1b[200~rm -rf x\rrm -rf y");
    screen.keys("\rrm -rf z\r\x1b[201~");
    let left = r"rikki: not sent: rm -rf x\nrm -rf y\nrm -rf z";
    screen.has_row(|row| row == "rikki: closed by the server: 1000");
    screen.has_row(|row| left.starts_with(row) && row.starts_with("rikki: not sent: rm"));
    screen.has_row(|row| row == "ended");
    screen.keys("ok\r");
    screen.ends_with(&["got ok"]);
}

#[test]
fn ctrl_c_closes_and_ctrl_z_stops() {
    let echo = Echo::plain();
    // Job control, as at a prompt.
    let command =
        format!("set -m; $RIKKI connect --compression off --no-history {}; echo stopped; fg; echo ended $?", echo.url);
    let mut screen = prompt(&command, &[]);
    screen.keys("one\r");
    screen.ends_with(&["< one", ">"]);
    // A signal of a key takes what was not read before it.
    screen.keys("two");
    screen.ends_with(&["> two"]);
    screen.keys("\x1a");
    screen.has_row(|row| row == "stopped");
    screen.ends_with(&["> two"]);
    screen.keys("!\r");
    screen.ends_with(&["> two!", "< two!", ">"]);
    screen.keys("three");
    screen.ends_with(&["> three"]);
    screen.keys("\x03");
    screen.has_row(|row| row == "rikki: closed: 1000");
    screen.has_row(|row| row == "ended 130");
}

#[test]
fn lines_wait_for_a_connection_and_show() {
    let (server, senders) = pushing();
    let mut screen = start(&server.url, "--reconnect");
    let sender = senders.recv_timeout(DEADLINE).unwrap();
    sender.close(CloseCode::INTERNAL_ERROR, "").unwrap();
    screen.has_row(|row| row.starts_with("rikki: closed by the server: 1011; connecting again in 0."));
    screen.keys("one\rtwo\rthree");
    screen.has_row(|row| row == "> two");
    screen.ends_with(&["< one", "< two", "> three"]);
}

#[test]
fn the_log_does_not_break_the_line() {
    let echo = Echo::plain();
    let mut screen = start(&echo.url, "--log trace");
    screen.keys("half");
    screen.ends_with(&["> half"]);
    screen.keys("\r");
    screen.ends_with(&["< half", ">"]);
}

#[test]
fn any_signal_gives_the_terminal_back() {
    let echo = Echo::plain();
    for (signal, code) in [("HUP", 129), ("QUIT", 131), ("TERM", 143)] {
        let flags = format!("--compression off --no-history --exec 'kill -{signal} $PPID'");
        let mut screen = prompt(&format!("$RIKKI connect {flags} {}; echo ended $?", echo.url), &[]);
        screen.keys("one\rhalf");
        screen.ends_with(&["rikki: closed: 1000", "rikki: not sent: half", &format!("ended {code}")]);
        screen.is_cooked();
    }
}

#[test]
fn what_was_entered_and_not_sent_is_counted() {
    // It answers nobody.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let mut screen = Screen::start(&format!("exec $RIKKI connect --no-history {url}"), WIDE, &[]);
    screen.ends_with(&[">"]);
    screen.keys("one\rtwo\rhalf");
    screen.ends_with(&["> one", "> two", "> half"]);
    screen.keys("\x03");
    screen.ends_with(&["> two", "rikki: not sent: 2 lines, and half"]);
    assert_eq!(screen.end(), Some(130));
}

#[test]
fn what_goes_wrong_does_not_break_the_line() {
    let echo = Echo::plain();
    let mut screen = start(&echo.url, "--exec 'cat; echo; echo oops >&2'");
    screen.keys("one\rhalf");
    screen.ends_with(&["> one", "one", "oops", "> half"]);
    #[cfg(target_os = "linux")]
    {
        let mut screen = start(&echo.url, "--output /dev/full");
        screen.keys("one\r");
        let full = "rikki: cannot write to /dev/full: No space left on device (os error 28)";
        screen.ends_with(&["> one", "< one", full, "rikki: closed: 1000"]);
        assert_eq!(screen.end(), Some(1));
    }
}
