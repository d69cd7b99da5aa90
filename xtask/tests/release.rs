//! What is published: each crate says what it is, and carries what its licences ask for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Those that are no tools or tests of this project.
const PUBLISHED: [&str; 8] =
    ["rikki", "rikki-cli", "rikki-files", "rikki-limits", "rikki-nats", "rikki-proto", "rikki-topics", "rikki-ws"];

#[test]
fn what_is_published_says_what_it_is() {
    let metadata = cargo(&["metadata", "--no-deps", "--format-version=1"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let published: Vec<_> = packages.iter().filter(|package| package["publish"].is_null()).collect();
    let mut names: Vec<_> = published.iter().filter_map(|package| package["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, PUBLISHED, "`publish = false` is missing, or a name here");
    for package in published {
        let check = |field: &str, most: usize| {
            let value = &package[field];
            let given = value.as_array().map_or(value.as_str().map_or(0, str::len), Vec::len);
            assert!((1..=most).contains(&given), "{}: {field} = {value}", package["name"]);
        };
        check("description", 160);
        check("license", 40);
        check("rust_version", 10);
        check("readme", 100);
        // What crates.io takes of these.
        check("keywords", 5);
        check("categories", 5);
        let features = package["features"].as_object().unwrap();
        let shown = &package["metadata"]["docs"]["rs"]["all-features"];
        assert!(features.is_empty() || *shown == true, "docs.rs leaves features of {} out", package["name"]);
    }
}

#[test]
fn what_is_published_carries_its_licences() {
    for package in PUBLISHED {
        let files = cargo(&["package", "--list", "--offline", "--allow-dirty", "--package", package]);
        for file in ["LICENSE-APACHE", "LICENSE-MIT", "README.md"] {
            assert!(files.lines().any(|line| line == file), "{package} has no {file}: {files}");
        }
        for file in ["LICENSE-APACHE", "LICENSE-MIT"] {
            let [own, common] = [root().join("crates").join(package), root()].map(|folder| folder.join(file));
            assert_eq!(fs::read(own).unwrap(), fs::read(common).unwrap(), "{package}: {file}");
        }
    }
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
