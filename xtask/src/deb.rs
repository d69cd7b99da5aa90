//! The package for Debian: cargo-deb puts it together, as the manifest of the command says; the pages of the manual and
//! the completions are printed by the command itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::install::{self, Missing};
use crate::process::{output, run};
use crate::project::Project;
use crate::suites::CARGO_LIMIT;

const CARGO_DEB: &str = "3.7.0";

/// What the command prints, and the names of these files.
const PRINTED: [(&str, &[&str]); 8] = [
    ("rikki.1", &["man"]),
    ("rikki-admin.1", &["man", "admin"]),
    ("rikki-check.1", &["man", "check"]),
    ("rikki-connect.1", &["man", "connect"]),
    ("rikki-health.1", &["man", "health"]),
    ("rikki.bash", &["completions", "bash"]),
    ("_rikki", &["completions", "zsh"]),
    ("rikki.fish", &["completions", "fish"]),
];

/// Makes the package of the release build; where it is.
pub(crate) fn make(project: &Project) -> std::result::Result<PathBuf, Missing> {
    let cargo_deb = install::cargo_tool(project, "cargo-deb", CARGO_DEB, &["--debug"])?;
    package(project, &cargo_deb).map_err(|error| Missing(format!("the package could not be made: {error}")))
}

fn package(project: &Project, cargo_deb: &Path) -> Result<PathBuf> {
    run(project.cargo().args(["build", "--release", "--package", "rikki-cli"]), CARGO_LIMIT)?;
    let programs = project.target.join("release");
    let printed = programs.join("packaging");
    fs::create_dir_all(&printed).map_err(|error| format!("{}: {error}", printed.display()))?;
    for (name, words) in PRINTED {
        let text = output(Command::new(programs.join("rikki")).args(words), Duration::from_secs(30))?;
        let path = printed.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let folder = project.target.join("debian");
    let mut command = Command::new(cargo_deb);
    // It is stripped by its profile.
    command.args(["--no-build", "--no-strip", "--fast", "--quiet", "--package", "rikki-cli", "--output"]).arg(&folder);
    let made = output(command.current_dir(&project.root), CARGO_LIMIT)?;
    made.lines().last().map(|line| folder.join(line.trim())).ok_or_else(|| "cargo-deb names no file".to_owned())
}
