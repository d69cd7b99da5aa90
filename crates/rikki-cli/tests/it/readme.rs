//! The README tells what the command and the library do.

use std::path::Path;
use std::process::Command;

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
    let mut flags = Vec::new();
    for line in help.lines() {
        if let Some(flag) = line.split_whitespace().find(|word| word.starts_with("--")) {
            let default = line.split_once("[default: ").and_then(|(_, rest)| rest.strip_suffix(']'));
            flags.push((flag.trim_end_matches(','), default));
        }
    }
    flags
}

#[test]
fn every_flag_stands_in_its_table_with_its_default() {
    let readme = read("README.md");
    let check = |command: &[&str], heading: &str, least: usize| {
        let output = Command::new(env!("CARGO_BIN_EXE_rikki")).args(command).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let options: String = help
            .lines()
            .filter(|line| line.trim_start().starts_with('-'))
            .fold(String::new(), |all, line| all + line + "\n");
        let flags = flags(&options);
        assert!(flags.len() > least, "{help}");
        let section = readme.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
        for (flag, default) in flags {
            let row = section.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{flag}`")));
            let row = row.unwrap_or_else(|| panic!("no row for {flag} under {heading} in README.md"));
            if let Some(default) = default {
                assert!(row.contains(default), "{flag} has the default {default}: {row}");
            }
        }
    };
    check(&[], "Flags\n", 20);
    check(&["connect"], "A client in the terminal\n", 10);
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
