//! What the compiler says of programs that are wrong: our sentences, whatever stands around them.
//!
//! Each is compiled with the library as it was built for this test: without cargo, a network or anything more to build.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HANDLER: &str = "a handler is a type that implements `Handler`, or a closure or function with the arguments";
const SHARED: &str = "all connections share it: what changes belongs into `Handler::State`, or behind a lock";
const RETURNS: &str = "it may return nothing, or a `Result<(), E>` whose error can be shown";
const NOT_ASYNC: &str =
    "callbacks are not async: an async function takes a `WebSocket` and belongs into `Upgrade::on_upgrade`";

/// Name, body of `main`, and what is said.
const PROGRAMS: [(&str, &str, &[&str]); 9] = [
    ("fine", "Client::open(|socket: &mut Socket<'_>, message: Message<'_>| socket.send(message));", &[]),
    (
        "async_closure",
        "Client::open(async |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message));",
        &["a callback of a WebSocket cannot return `", NOT_ASYNC],
    ),
    (
        "async_function",
        "async fn echo(_: &mut Socket<'_>, _: Message<'_>) {} Client::open(echo);",
        &["a callback of a WebSocket cannot return `", NOT_ASYNC],
    ),
    (
        "number",
        "Client::open(|_: &mut Socket<'_>, _: Message<'_>| 42);",
        &["a callback of a WebSocket cannot return `", RETURNS],
    ),
    (
        "result_of_a_number",
        "Client::open(|_: &mut Socket<'_>, _: Message<'_>| Ok::<u32, SendError>(42));",
        &["a callback of a WebSocket cannot return `Result<u32, ", RETURNS],
    ),
    ("no_handler", "struct Chat; Client::open(Chat);", &["`Chat` does not serve WebSockets", HANDLER]),
    (
        "changing",
        "let mut count = 0; Client::open(move |_: &mut Socket<'_>, _: Message<'_>| count += 1);",
        &["does not serve WebSockets", SHARED],
    ),
    (
        "no_handler_at_the_endpoint",
        "let _ = |upgrade: Upgrade| upgrade.serve(&Endpoint::default());",
        &["`()` does not serve WebSockets", HANDLER],
    ),
    (
        "end_of_a_task",
        "let _ = |upgrade: Upgrade| upgrade.on_upgrade(async |_: WebSocket| 42);",
        &["a task that serves a WebSocket cannot end with `", "it may end with `()`, or with a `Result` whose"],
    ),
];

/// What the compiler says of a program that is built with `library`, this crate.
fn said(name: &str, body: &str, library: &Path) -> String {
    let rustc = Path::new(env!("CARGO")).with_file_name("rustc");
    let mut rustc = Command::new(if rustc.exists() { rustc } else { "rustc".into() });
    rustc.args(["-", "--crate-name", name, "--edition=2024", "--emit=metadata", "--color=never", "--out-dir"]);
    rustc.arg(env!("CARGO_TARGET_TMPDIR")).arg("--extern").arg(format!("rikki_ws={}", library.display()));
    rustc.arg("-L").arg(format!("dependency={}", library.parent().unwrap().display()));
    let mut child = rustc.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let program = format!("#![allow(unused)]\nuse rikki_ws::{{testing::Client, *}};\nfn main() {{ {body} }}\n");
    child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap()
}

/// The library that this test was built with, or else the latest one with the same features.
fn library() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let entries = fs::read_dir(this.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("librikki_ws-") && name.ends_with(".rlib")
    };
    let mut libraries: Vec<_> = entries.filter(is_library).collect();
    libraries.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
    let fits = |path: &PathBuf| said("fits", "let _: Upgrade;", path).is_empty();
    libraries.into_iter().rfind(fits).unwrap()
}

#[test]
fn the_compiler_says_what_to_do() {
    let library = library();
    for (name, body, expected) in PROGRAMS {
        let said = said(name, body, &library);
        assert_eq!(said.is_empty(), expected.is_empty(), "{name}: {said}");
        for sentence in expected {
            assert!(said.contains(sentence), "{name}: {sentence}\n{said}");
        }
    }
}
