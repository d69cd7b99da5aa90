//! The table of docs/connect.md: each row is what happens.

use std::fs;
use std::path::Path;
use std::thread;

use testkit::Certificate;

use crate::emulator::Screen;
use crate::process::{Folder, Process};

const ROWS: usize = 25;

/// A row: what to do, and what it shows.
struct Row {
    command: String,
    /// What has to be in stdout or stderr, in any order.
    shown: Vec<String>,
    code: i32,
}

/// What is in backticks in a cell.
fn codes(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(|code| code.replace("\\|", "|")).collect()
}

fn rows() -> Vec<Row> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/connect.md")).unwrap();
    let table = page.split("## Beside wscat").nth(1).unwrap();
    let lines = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows = lines.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").collect();
        let [_, command, shown, _] = cells[..] else { panic!("{line}") };
        let [typed] = &codes(command)[..] else { panic!("{line}") };
        let command = if command.trim().starts_with("type ") { format!("type {typed}") } else { typed.clone() };
        let code = if shown.contains("exit code 1") { 1 } else { 0 };
        Row { command, shown: codes(shown), code }
    });
    rows.collect()
}

#[test]
fn each_row_is_what_happens() {
    let folder = Folder::new();
    let Certificate { certificate, key } = Certificate::new(["127.0.0.1"]);
    let (certificate, key) = (folder.write("a.crt", certificate), folder.write("a.key", key));
    let socket = format!("unix:{}", folder.path("rikki.sock"));
    let root = folder.path("");
    let listen = ["--listen", "ws://127.0.0.1:0", "--listen", "wss://127.0.0.1:0", "--listen", &socket];
    let server = Process::start(&[&listen[..], &["--cert", &certificate, "--key", &key, &root]].concat());
    let address = || loop {
        let line = server.line();
        if let Some(url) = line.strip_prefix("Starting WS listener on ws") {
            break url.split('/').nth(2).unwrap().to_owned();
        }
    };
    let (plain, secure) = (address(), address());
    let here = |text: &str| text.replace("localhost:8000", &plain).replace("localhost:8443", &secure);
    let rows = rows();
    assert_eq!(rows.len(), ROWS);
    thread::scope(|scope| {
        for row in &rows {
            let (command, shown) = (here(&row.command), row.shown.iter().map(|text| here(text)).collect::<Vec<_>>());
            let (plain, root) = (&plain, &root);
            scope.spawn(move || match command.strip_prefix("type ") {
                Some(keys) => on_a_terminal(plain, keys, &shown),
                None => in_a_shell(root, &command, &shown, row.code),
            });
        }
    });
}

fn in_a_shell(folder: &str, command: &str, shown: &[String], code: i32) {
    let rikki = env!("CARGO_BIN_EXE_rikki").replace("/rikki", "");
    let script = format!("cd '{folder}' && PATH='{rikki}':$PATH && exec 2>&1 && {command}");
    let ended = Process::start_program("sh", &["-c", &script]).end();
    assert_eq!(ended.code, Some(code), "{command}: {}", ended.stdout);
    for text in shown {
        assert!(ended.stdout.contains(text.as_str()), "{command}: no {text:?} in {}", ended.stdout);
    }
}

fn on_a_terminal(address: &str, keys: &str, shown: &[String]) {
    let mut screen = Screen::start(&format!("$RIKKI connect --no-history ws://{address}/websocket"), 80, &[]);
    screen.has_row(|row| row == ">");
    screen.keys(&format!("{keys}\r"));
    for text in shown {
        screen.has_row(|row| row.starts_with(text.as_str()));
    }
}
