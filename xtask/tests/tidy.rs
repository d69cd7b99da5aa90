//! Rules about the sources themselves: sizes, paths, lints, the changelog.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Lines of a production file, tests at its end not counted: above the first it is named, above the second refused.
const LONG: usize = 400;
const TOO_LONG: usize = 500;

/// Folders of one machine; a file that names a path below one of them works nowhere else.
const PRIVATE: [&str; 3] = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "tmp/h/")];

#[test]
fn production_files_are_short() {
    let mut too_long = Vec::new();
    for (path, text) in sources().filter(|(path, _)| is_production(path)) {
        let length = production_lines(&text);
        if length > TOO_LONG {
            too_long.push(format!("{}: {length} lines", path.display()));
        } else if length > LONG {
            // The harness swallows what `println!` prints in a test that passes.
            let _ = writeln!(std::io::stderr(), "warning: {} has {length} lines", path.display());
        }
    }
    assert!(too_long.is_empty(), "split these files, {TOO_LONG} lines are the limit: {too_long:#?}");
}

#[test]
fn no_file_names_a_private_path() {
    let named = files().into_iter().filter_map(|path| {
        let text = String::from_utf8(fs::read(&path).ok()?).ok()?;
        let line = text.lines().position(names_private_path)?;
        Some(format!("{}:{}", path.display(), line + 1))
    });
    let named: Vec<_> = named.collect();
    assert!(named.is_empty(), "these lines name a path of one machine: {named:#?}");
}

#[test]
fn no_test_is_ignored() {
    let ignored = sources().filter(|(_, text)| text.lines().any(|line| line.trim_start().starts_with("#[ignore")));
    let ignored: Vec<_> = ignored.map(|(path, _)| path).collect();
    assert!(ignored.is_empty(), "a test that does not run proves nothing: {ignored:#?}");
}

#[test]
fn every_crate_inherits_the_lints() {
    let manifests = files().into_iter().filter(|path| path.file_name() == Some(OsStr::new("Cargo.toml")));
    let crates = manifests.map(|path| (fs::read_to_string(&path).unwrap(), path));
    // A folder outside the workspace has a table of its own; the root has nothing to inherit from.
    let crates: Vec<_> = crates.filter(|(text, _)| !text.lines().any(|line| line.trim() == "[workspace]")).collect();
    assert!(crates.len() >= 4, "found only {} crates", crates.len());
    let without = crates.iter().filter(|(text, _)| !text.replace("\r\n", "\n").contains("[lints]\nworkspace = true\n"));
    let without: Vec<_> = without.map(|(_, path)| path).collect();
    assert!(without.is_empty(), "without `[lints] workspace = true`: {without:#?}");
}

#[test]
fn the_changelog_knows_this_version() {
    let version = env!("CARGO_PKG_VERSION");
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).expect("CHANGELOG.md is there");
    let names_it = |line: &str| {
        let heading = line.strip_prefix("## ").and_then(|heading| heading.split_whitespace().next());
        heading.is_some_and(|word| word.trim_matches(['[', ']']) == version)
    };
    assert!(changelog.lines().any(names_it), "CHANGELOG.md has no section `## {version}`");
}

#[test]
fn the_rules_see_what_they_forbid() {
    let check = |text: &str, lines| assert_eq!(production_lines(text), lines, "{text}");
    check("fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n", 2);
    check("#[cfg(test)]\nuse a::b;\nfn a() {}\n", 3);
    check("fn a() {}\n#[cfg(all(test, unix))]\nmod tests {}\n", 1);

    let check = |line: &str, named| assert_eq!(names_private_path(line), named, "{line}");
    for folder in PRIVATE {
        check(&format!("read {folder}file"), true);
        check(&format!("\"{folder}file\""), true);
        check(&format!("target{folder}file"), false);
        check(&format!("http://h{folder}file"), false);
    }
}

fn names_private_path(line: &str) -> bool {
    // Inside a longer path it is another folder of that name.
    let begins_path = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-}".contains(c));
    PRIVATE.iter().any(|folder| line.match_indices(folder).any(|(at, _)| begins_path(at)))
}

/// The lines before the first module of tests.
fn production_lines(text: &str) -> usize {
    let lines: Vec<_> = text.lines().collect();
    let begins_tests = |pair: &[&str]| {
        (pair[0] == "#[cfg(test)]" || pair[0].starts_with("#[cfg(all(test")) && pair[1].starts_with("mod ")
    };
    lines.windows(2).position(begins_tests).unwrap_or(lines.len())
}

fn is_production(path: &Path) -> bool {
    let is_test = |name: &OsStr| name == "tests" || name.to_string_lossy().ends_with("tests.rs");
    !path.strip_prefix(root()).unwrap().iter().any(is_test)
}

/// Every Rust file with its text.
fn sources() -> impl Iterator<Item = (PathBuf, String)> {
    let found: Vec<_> = files().into_iter().filter(|path| path.extension() == Some(OsStr::new("rs"))).collect();
    assert!(found.len() > 10, "found only {found:?}");
    found.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
}

/// Every file of the project, built ones left out.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() && !["target", ".git"].iter().any(|left_out| entry.file_name() == *left_out) {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
