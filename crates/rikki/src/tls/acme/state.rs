//! What is kept from one start to the next: an account, and a certificate with its key for each name.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::private;
use crate::ws::TlsError;

/// The folder of one directory: what staging has issued is never taken for production's.
#[derive(Clone, Debug)]
pub(crate) struct State {
    folder: PathBuf,
}

impl State {
    /// Makes the folder, for nobody else to read.
    pub(super) fn open(root: &Path, directory: &str) -> Result<Self, TlsError> {
        let folder = root.join("acme").join(folder_of(directory));
        let opened = private::make_folder(&folder)
            .and_then(|()| private::restrict(&folder, &fs::metadata(&folder)?, 0o700))
            .and_then(|()| private::remove_unfinished(&folder));
        match opened.and_then(|()| std::path::absolute(&folder)) {
            Ok(folder) => Ok(Self { folder }),
            Err(source) => Err(TlsError::State { path: folder, source }),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn account(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    /// The chain of a name with its key, in one file, so that they belong together.
    pub(crate) fn certificate(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    /// `None` for a file that is not there. One that others may read is theirs no more.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, TlsError> {
        private::read(path).map_err(|source| TlsError::State { path: path.to_owned(), source })
    }

    /// Writes a file, with mode 0600. Blocks.
    pub(super) fn write(&self, path: &Path, text: &[u8]) -> Result<(), TlsError> {
        private::write(&self.folder, path, text).map_err(|source| TlsError::State { path: path.to_owned(), source })
    }

    pub(super) fn remove(&self, path: &Path) {
        // What is gone already is fine.
        let _ = fs::remove_file(path);
    }
}

/// What is readable of a URL, and what tells it from others: FNV-1a, which is the same in every build.
fn folder_of(url: &str) -> String {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let print = url.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let plain = |byte: u8| if byte.is_ascii_alphanumeric() || b".-".contains(&byte) { char::from(byte) } else { '_' };
    let shown: String = url.trim_start_matches("https://").bytes().map(plain).take(80).collect();
    format!("{shown}-{print:016x}")
}
