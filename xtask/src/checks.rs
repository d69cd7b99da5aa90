//! What is judged without running anything: format, lock files, lints, features apart, documentation, packages,
//! dependencies.
//!
//! Each check is a suite of its own in the account, so that one that was left out is seen there.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::api;
use crate::graphql;
use crate::install;
use crate::process::run as run_command;
use crate::project::Project;
use crate::suites::{CARGO_LIMIT, Outcome};

const CARGO_DENY: &str = "0.20.2";

/// Denies warnings in what clippy sees of the workspace, and not in what it depends on.
const DENY_WARNINGS: [&str; 3] = ["--", "-D", "warnings"];

/// Workspaces of their own, which `--workspace` does not reach.
const APART: [&str; 3] = ["bench", graphql::EXAMPLE, "fuzz"];

/// The command, whose package has no library.
const COMMAND: &str = "rikki-cli";

/// The libraries with features, and the sets of these that are looked at: none, each alone, those that meet in the
/// sources, and all. What needs somebody's cryptography is looked at with that of ring.
const FEATURES: [(&str, &[&str]); 6] = [
    ("rikki-proto", &["", "serde", "json"]),
    (
        "rikki-ws",
        &[
            "",
            "axum",
            "client",
            "aws-lc-rs",
            "ring",
            "serde",
            "client,aws-lc-rs",
            "axum,ring",
            "json",
            "test-util",
            "axum,client",
            "tungstenite-0_30",
            "axum,client,aws-lc-rs,ring,serde,json,test-util,tungstenite-0_30",
        ],
    ),
    ("rikki-topics", &["", "axum", "serde", "axum,serde"]),
    ("rikki-nats", &[""]),
    // It is no library.
    (COMMAND, &["", "nats"]),
    (
        "rikki",
        &[
            "",
            "acme,ring",
            "admin",
            "client",
            "files",
            "topics",
            "aws-lc-rs",
            "ring",
            "self-signed,ring",
            "serde",
            "json",
            "test-util",
            "tungstenite-0_30",
            "client,files,topics,self-signed,aws-lc-rs,admin,serde,json",
            "acme,client,files,topics,self-signed,ring,serde,json",
            "acme,admin,client,files,topics,self-signed,aws-lc-rs,ring,serde,json,test-util,tungstenite-0_30",
        ],
    ),
];

/// Performs all checks. Each goes on after another has failed: together they take little.
pub(crate) fn run(project: &Project) -> Vec<Outcome> {
    let mut outcomes = vec![
        check("format", &mut format(project)),
        check("lock files", &mut locks(project)),
        check("lints", &mut [clippy(project, &["--workspace", "--all-targets"])]),
        features(project),
        check("documentation", &mut [documentation(project)]),
        api::check(project),
    ];
    outcomes.push(check("packages", &mut [packages(project)]));
    outcomes.push(dependencies(project));
    outcomes
}

/// A suite of one command a test.
fn check(suite: &str, commands: &mut [Command]) -> Outcome {
    println!("checking {suite}");
    let mut failures = Vec::new();
    for command in &mut *commands {
        if let Err(error) = run_command(command, CARGO_LIMIT) {
            println!("{error}");
            failures.push(error);
        }
    }
    Outcome::ran(suite, commands.len() - failures.len(), failures)
}

fn format(project: &Project) -> Vec<Command> {
    let command = |folder| {
        let mut command = project.cargo();
        command.current_dir(folder).args(["fmt", "--all", "--check"]);
        command
    };
    folders(project).map(command).collect()
}

/// Whether the lock files know every dependency: nothing else looks at those of the other workspaces each time.
fn locks(project: &Project) -> Vec<Command> {
    let command = |folder| {
        let mut command = project.cargo();
        command.current_dir(folder).args(["metadata", "--quiet", "--locked", "--format-version", "1"]);
        command.stdout(Stdio::null());
        command
    };
    folders(project).map(command).collect()
}

/// The workspace, and those apart.
fn folders(project: &Project) -> impl Iterator<Item = PathBuf> {
    std::iter::once(project.root.clone()).chain(APART.iter().map(|name| project.folder(name)))
}

fn clippy(project: &Project, what: &[&str]) -> Command {
    let mut command = project.cargo();
    command.args(["clippy", "--quiet", "--locked"]).args(what).args(DENY_WARNINGS);
    command
}

/// Each library by itself: within the workspace the features that one crate asks for are there for all.
fn features(project: &Project) -> Outcome {
    let sets = FEATURES.iter().flat_map(|(package, sets)| sets.iter().map(move |set| (*package, *set)));
    let command = |(package, set)| {
        let target = if package == COMMAND { "--bins" } else { "--lib" };
        let what = [target, "--examples", "--package", package, "--no-default-features", "--features", set];
        clippy(project, &what)
    };
    check("features apart", &mut sets.map(command).collect::<Vec<_>>())
}

/// As docs.rs shows it: with every feature.
pub(crate) fn documentation(project: &Project) -> Command {
    let mut command = project.cargo();
    command.env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--quiet", "--workspace", "--no-deps", "--all-features"]);
    command
}

/// What a release uploads, made and not sent. It is built from the same sources above.
fn packages(project: &Project) -> Command {
    let mut command = project.cargo();
    command.args(["publish", "--quiet", "--workspace", "--dry-run", "--no-verify", "--allow-dirty"]);
    command
}

/// What `deny.toml` says, but for advisories: these need the network, and change without a commit.
fn dependencies(project: &Project) -> Outcome {
    let suite = "licences, duplicates and sources of dependencies";
    // Not optimized: it is built once and runs for seconds.
    match install::cargo_tool(project, "cargo-deny", CARGO_DENY, &["--debug"]) {
        Err(missing) => Outcome::new(suite, Err(missing)),
        Ok(program) => {
            let mut command = Command::new(program);
            command.current_dir(&project.root).args(["--locked", "check", "bans", "licenses", "sources"]);
            check(suite, &mut [command])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suites::Tally;

    #[test]
    fn every_feature_is_looked_at_alone() {
        for (package, sets) in FEATURES {
            let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/").to_owned() + package + "/Cargo.toml";
            let text = std::fs::read_to_string(manifest).unwrap();
            // One without has none to look at.
            let table = text.split("\n[").find_map(|table| table.strip_prefix("features]")).unwrap_or_default();
            let names = table.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
            let is_alone = |name: &str| sets.contains(&name) || sets.contains(&&*format!("{name},ring"));
            // Alone `tls` is refused, and either provider brings it.
            let missing: Vec<_> = names.filter(|name| !["default", "tls"].contains(name) && !is_alone(name)).collect();
            assert!(missing.is_empty(), "{package}: {missing:?}");
            assert!(sets.contains(&""), "{package} without features");
        }
    }

    #[test]
    fn a_check_that_fails_is_counted() {
        let check = |commands: &[&str], expected: Tally| {
            let mut commands: Vec<_> = commands.iter().map(Command::new).collect();
            let outcome = check("these", &mut commands);
            assert_eq!((outcome.result.unwrap(), outcome.failures.len()), (expected, expected.failed));
        };
        check(&["true"], Tally { passed: 1, failed: 0 });
        check(&["true", "false", "true"], Tally { passed: 2, failed: 1 });
        check(&["./not-there"], Tally { passed: 0, failed: 1 });
    }
}
