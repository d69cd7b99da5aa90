//! Where this workspace is and how cargo is called in it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::Result;
use crate::process::output;

/// The folders of the workspace.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    /// Where cargo builds, and where these commands keep what they install and write.
    pub(crate) target: PathBuf,
}

impl Project {
    /// Asks cargo about the workspace around the current folder.
    pub(crate) fn find() -> Result<Self> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let text = output(&mut command, Duration::from_secs(120))?;
        let metadata: Value = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        let folder = |key: &str| {
            let path = metadata[key].as_str().ok_or_else(|| format!("cargo metadata names no {key}"))?;
            Ok::<_, String>(PathBuf::from(path))
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")? })
    }

    /// A cargo command that starts in the root of the workspace.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = cargo();
        command.current_dir(&self.root);
        command
    }

    /// A folder of the workspace.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn cargo() -> Command {
    // Set by `cargo run`: the very cargo that started this program.
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
