//! The guide is whole: each of its pages is compiled, its links lead somewhere, and what it says of runtimes is so.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rikki::Server;
use rikki::ws::{CloseCode, Message, Socket};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages, by their file names.
fn pages() -> Vec<(String, String)> {
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let paths = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(is_page);
    let read =
        |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap());
    paths.map(read).collect()
}

#[test]
fn each_page_is_compiled_and_in_the_index() {
    let (source, index) = (include_str!("../src/lib.rs"), include_str!("../README.md"));
    let pages = pages();
    assert!(pages.len() > 8, "{}", pages.len());
    for (name, _) in pages {
        assert!(source.contains(&format!("\"{name}\"")), "{name} is not in src/lib.rs");
        assert!(name == "README.md" || index.contains(&format!("]({name}): ")), "{name} is not in README.md");
    }
}

/// What GitHub makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(markdown: &str) -> Vec<String> {
    let text = markdown.split("```").step_by(2).flat_map(str::lines);
    text.filter_map(|line| line.strip_prefix('#')).map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_lead_somewhere() {
    for (name, text) in pages() {
        let prose: String = text.split("```").step_by(2).collect();
        let links = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.starts_with("http")) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = folder().join(if file.is_empty() { &name } else { file });
            assert!(target.exists(), "{name} links to {link}");
            let is_there = || anchors(&fs::read_to_string(&target).unwrap()).iter().any(|anchor| anchor == place);
            assert!(place.is_empty() || is_there(), "{name} links to {link}: no such heading");
        }
    }
}

/// What `runtime.md` says of our workers: work that wants a thread of a multi-thread runtime is refused there, and goes
/// elsewhere.
#[tokio::test]
async fn workers_refuse_to_block_in_place() {
    let work = |socket: &mut Socket<'_>, message: Message<'_>| {
        if message.as_text() == Some("here") {
            return tokio::task::block_in_place(|| ());
        }
        let sender = socket.sender();
        tokio::task::spawn_blocking(move || sender.send("done"));
    };
    let server = Server::new().websocket("/work", work).listen("http://127.0.0.1:0").start().await.unwrap();
    let mut socket = rikki::client::connect(&format!("ws://{}/work", server.bound()[0])).await.unwrap();
    socket.send("elsewhere").await.unwrap();
    assert_eq!(socket.recv().await.unwrap().unwrap().as_text(), Some("done"));
    socket.send("here").await.unwrap();
    assert!(socket.recv().await.is_none());
    assert_eq!(socket.closed().unwrap().code, CloseCode::INTERNAL_ERROR);
    assert_eq!(server.counters().closed_panics, 1);
    server.shutdown().await;
}

/// The rows of a table, by its heading, as cells.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(folder().join(page)).unwrap();
    let table = text.split(heading).nth(1).unwrap_or_else(|| panic!("no table `{heading}` in {page}"));
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn who_comes_from_axum_finds_thirty_answers() {
    let rows = rows("axum-to-rikki.md", "| you want | in axum | in rikki |");
    assert!(rows.len() >= 30, "{}", rows.len());
    for row in &rows {
        assert!(row.len() == 3 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
    }
    let wants: BTreeSet<_> = rows.iter().map(|row| &row[0]).collect();
    assert_eq!(wants.len(), rows.len(), "no row is there twice");
}
