//! The example of GraphQL, a workspace of its own: its server, and a client on the package graphql-ws against it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::install::{self, Missing};
use crate::process::{run as run_command, tee};
use crate::project::Project;
use crate::suites::{CARGO_LIMIT, Outcome};

pub(crate) const EXAMPLE: &str = "examples/graphql";

/// What the client is.
const CLIENT: [&str; 3] = ["client.mjs", "package.json", "package-lock.json"];

/// It gives up by itself before that.
const CLIENT_LIMIT: Duration = Duration::from_secs(60);

/// Builds the server, installs the client, and runs one against the other.
pub(crate) fn run(project: &Project) -> Vec<Outcome> {
    let target = project.target.join("graphql");
    let client = match install(project, &target) {
        Ok(client) => client,
        Err(missing) => return vec![Outcome::new("graphql-ws", Err(missing))],
    };
    let mut passed = 0;
    let tried = build(project, &target).and_then(|server| {
        let mut node = Command::new("node");
        let status = tee(node.arg(client).arg(server), CLIENT_LIMIT, |line| {
            passed += usize::from(line.starts_with("ok: "));
        })?;
        if status.success() { Ok(()) } else { Err(format!("the client of graphql-ws: {status}")) }
    });
    let failure = tried.err();
    failure.iter().for_each(|failure| println!("{failure}"));
    vec![Outcome::ran("graphql-ws", passed, failure.into_iter().collect())]
}

/// The server, below a target folder of its own, since its workspace has one.
fn build(project: &Project, target: &Path) -> Result<PathBuf> {
    let mut cargo = project.cargo();
    cargo.current_dir(project.folder(EXAMPLE)).args(["build", "--quiet", "--locked", "--target-dir"]).arg(target);
    run_command(&mut cargo, CARGO_LIMIT)?;
    Ok(target.join("debug").join("graphql"))
}

/// The client, with the packages that its lock file says.
fn install(project: &Project, target: &Path) -> std::result::Result<PathBuf, Missing> {
    let folder = target.join("client");
    install::npm_ci(&project.folder(EXAMPLE), &CLIENT, &folder)?;
    Ok(folder.join("client.mjs"))
}
