//! Python's side: the scripts of this crate, and a certificate that both sides know.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

/// Awaits one step of a test.
pub(crate) async fn within<F: Future>(seconds: u64, what: &str, step: F) -> F::Output {
    match timeout(Duration::from_secs(seconds), step).await {
        Ok(output) => output,
        Err(_) => panic!("took longer than {seconds} s: {what}"),
    }
}

/// A command that runs a script of this crate; it is killed on drop.
pub(crate) fn script<S: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = python();
    // No compiled modules are left in the source folder.
    command.arg("-B").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).args(arguments);
    command
}

/// The interpreter; it is killed on drop.
pub(crate) fn python() -> Command {
    let python = std::env::var_os("INTEROP_PYTHON")
        .expect("INTEROP_PYTHON names a Python that has `websockets`: run `cargo xtask interop`");
    let mut command = Command::new(python);
    command.stdout(Stdio::piped()).kill_on_drop(true);
    command
}

/// A snippet of docs/topics.md, as it stands but for the address.
pub(crate) fn snippet(name: &str, address: &str) -> String {
    let page = include_str!("../../../docs/topics.md");
    let snippet = testkit::snippets(page).into_iter().find(|snippet| snippet.name == name);
    snippet.expect("there is one of this name").text.replace("localhost:8000", address)
}

/// A certificate for localhost and its key, as PEM files that are removed on drop.
pub(crate) struct Certificate {
    folder: PathBuf,
    pub(crate) pem: String,
}

impl Certificate {
    /// `name` keeps tests that run at a time apart.
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("interop-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let testkit::Certificate { certificate: pem, key } = testkit::Certificate::new(["localhost", "127.0.0.1"]);
        fs::write(folder.join("certificate.pem"), &pem).unwrap();
        fs::write(folder.join("key.pem"), key).unwrap();
        Self { folder, pem }
    }

    /// The file of the certificate and that of its key.
    pub(crate) fn files(&self) -> [PathBuf; 2] {
        ["certificate.pem", "key.pem"].map(|name| self.folder.join(name))
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
