//! The README and the pages of `docs/` tell what the command and the library do.

use std::path::Path;
use std::process::Command;

use rikki::client::Builder;
use rikki::topics::{TopicConfig, TopicsConfig};
use rikki::{Files, Limit, Server};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The code in the ```` ```rust ```` blocks of a Markdown file, whatever follows `rust`.
fn rust_blocks(markdown: &str) -> Vec<&str> {
    let blocks = markdown.split("```rust").skip(1);
    blocks.filter_map(|rest| rest.split_once('\n')?.1.split("```").next()).collect()
}

/// Each long flag of the help, with its default in brackets if it has one.
fn flags(help: &str) -> Vec<(&str, Option<&str>)> {
    let mut flags: Vec<(&str, Option<&str>)> = Vec::new();
    for line in help.lines() {
        let default = line.split_once("[default: ").and_then(|(_, rest)| rest.strip_suffix(']'));
        let is_flag = line.trim_start().starts_with('-');
        if let Some(flag) = line.split_whitespace().find(|word| is_flag && word.starts_with("--")) {
            // What follows `=` may be left out.
            flags.push((flag.split([',', '[']).next().unwrap(), default));
        } else if let (Some(default), Some(flag)) = (default, flags.last_mut()) {
            // It may stand below its flag.
            flag.1 = Some(default);
        }
    }
    flags
}

#[test]
fn every_flag_stands_in_its_table_with_its_default() {
    let check = |command: &[&str], page: &str, least: usize| {
        let output = Command::new(env!("CARGO_BIN_EXE_rikki")).args(command).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let flags = flags(&help);
        assert!(flags.len() > least, "{help}");
        let table = read(page);
        // The last is `--help`, `--version`.
        for row in table.lines().filter(|line| line.starts_with("| `--") && !line.starts_with("| `--help")) {
            let flag = row.split('`').nth(1).unwrap();
            assert!(flags.iter().any(|(known, _)| *known == flag), "{flag} in {page} is no flag: {row}");
        }
        for (flag, default) in flags {
            let row = table.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{flag}`")));
            let row = row.unwrap_or_else(|| panic!("no row for {flag} in {page}"));
            if let Some(default) = default {
                assert!(row.contains(default), "{flag} has the default {default}: {row}");
            }
        }
    };
    check(&[], "docs/flags.md", 20);
    check(&["connect"], "docs/connect.md", 10);
}

/// Prints the row that is missing, to be put in the place of the one that is there.
#[test]
fn the_row_of_a_limit_is_what_the_library_says_of_it() {
    let check = |limits: &mut dyn Iterator<Item = &'static Limit>, page: &str| {
        let table = read(page);
        let missing: Vec<_> = limits.map(Limit::row).filter(|row| !table.lines().any(|line| line == row)).collect();
        assert!(missing.is_empty(), "not in {page}\n{}", missing.join("\n"));
    };
    check(&mut Server::limits().chain(Files::limits()).chain(TopicsConfig::limits()), "docs/flags.md");
    #[cfg(feature = "nats")]
    check(&mut rikki_nats::NatsConfig::limits(), "docs/flags.md");
    // Those of one topic are options.
    for limit in TopicConfig::limits() {
        let row =
            format!("| `{}={}` | {} | {} |", limit.name, limit.unit.word(), limit.default.unwrap(), meaning(limit));
        assert!(read("docs/flags.md").contains(&row), "not in docs/flags.md\n{row}");
    }
    check(&mut Builder::limits().filter(|limit| limit.name == "connect-timeout"), "docs/connect.md");
}

/// What a limit means, as its row says it.
fn meaning(limit: &Limit) -> String {
    limit.row().trim_end_matches(" |").rsplit_once("| ").unwrap().1.to_owned()
}

/// `--max-message` 4MiB: each limit that has a default stands in the table with its flag and that default, and none
/// stands there with another or is no limit.
#[test]
fn the_defaults_of_security_are_those_of_the_library() {
    let security = read("SECURITY.md");
    let section = security.split("\n## ").find(|section| section.starts_with("Defaults\n")).unwrap();
    let table: String = section.lines().filter(|line| line.starts_with('|')).collect();
    // What stands behind a flag: `--max-message` 4MiB, and more.
    let told: Vec<(&str, &str)> = table
        .split("`--")
        .skip(1)
        .filter_map(|text| text.split_once("` "))
        .map(|(flag, behind)| (flag, behind.split([',', ';', ' ']).next().unwrap()))
        .filter(|(_, value)| value.starts_with(|first: char| first.is_ascii_digit()))
        .collect();
    let limits = Server::limits().chain(Files::limits()).chain(TopicsConfig::limits()).chain(Builder::limits());
    #[cfg(feature = "nats")]
    let limits = limits.chain(rikki_nats::NatsConfig::limits());
    let limits: Vec<_> = limits.collect();
    for limit in limits.iter().filter(|limit| limit.default.is_some()) {
        let is_told = told.iter().any(|(flag, _)| *flag == limit.name);
        assert!(is_told, "`--{}` {} is not in SECURITY.md, under Defaults", limit.name, limit.default.unwrap());
    }
    for (flag, value) in told {
        let limit = limits.iter().find(|limit| limit.name == flag);
        assert_eq!(limit.and_then(|limit| limit.default), Some(value), "`--{flag}` in SECURITY.md, under Defaults");
    }
}

#[test]
fn examples_are_those_that_the_library_compiles() {
    let (project, library) = (read("README.md"), read("crates/rikki/README.md"));
    let compiled = rust_blocks(&library);
    let shown = rust_blocks(&project);
    assert!(!shown.is_empty());
    for block in shown {
        assert!(compiled.contains(&block), "not in crates/rikki/README.md: {block}");
    }
}

/// Every link of a page to another file of the project leads to one.
#[test]
fn links_lead_somewhere() {
    for page in [
        "README.md",
        "docs/flags.md",
        "docs/logs.md",
        "docs/connect.md",
        "docs/recipes.md",
        "docs/mongoose.md",
        "docs/scale.md",
        "docs/topics.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ] {
        let text = read(page);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for link in links.filter(|link| !link.starts_with("http") && !link.starts_with('#')) {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
            let target = folder.parent().unwrap().join(link.split('#').next().unwrap());
            assert!(target.exists(), "{page} links to {link}");
        }
    }
}

/// Appends the text of every source file below a folder.
fn sources(folder: &Path, all: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            *all += &std::fs::read_to_string(path).unwrap();
        }
    }
}

/// What the glossary explains is there, under that name.
#[test]
fn words_are_types() {
    let architecture = read("ARCHITECTURE.md");
    let section = architecture.split("\n## ").find(|section| section.starts_with("Words\n")).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    let words: Vec<_> = rows.filter_map(|row| row.split(" |").next()).flat_map(|cell| cell.split(", ")).collect();
    assert!(words.len() >= 15, "{words:?}");
    let mut text = String::new();
    for library in ["rikki-limits", "rikki-ws", "rikki-files", "rikki-topics", "rikki"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(library).join("src"), &mut text);
    }
    // One that two ideas have says in brackets which it is.
    let words = words.into_iter().filter_map(|word| word.split(" (").next());
    for word in words.filter(|word| *word != "Mark") {
        let is_type = |kind: &str| {
            let named = format!("{kind} {word}");
            text.match_indices(&named).any(|(at, _)| !text[at + named.len()..].starts_with(char::is_alphanumeric))
        };
        assert!(["struct", "enum", "trait", "type"].into_iter().any(is_type), "{word} of ARCHITECTURE.md is no type");
    }
}

/// The version of axum that a version of rikki stands for is the one that it depends on.
#[test]
fn the_version_of_axum_is_told() {
    let manifest = read("Cargo.toml");
    let version = manifest.lines().find_map(|line| line.strip_prefix("axum = { version = \"")).unwrap();
    let breaking: Vec<_> = version.split(['.', '"']).take(2).collect();
    let told = format!("breaking version of axum, {} now", breaking.join("."));
    let library = read("crates/rikki/README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(library.contains(&told), "crates/rikki/README.md does not say: {told}");
}
