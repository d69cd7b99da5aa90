//! What is kept from one start to the next: an account, and a certificate with its key for each name.
//!
//! A file is there as a whole or not at all, whoever else writes at the same time: each is written under a name that
//! nobody else has, and renamed. Of two that are written at once the last one stays.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::ws::TlsError;

/// No file is larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// What a process left behind that was killed while it wrote is removed when it is this old.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// How the name of a file begins that is being written.
const UNFINISHED: &str = ".new-";

/// The folder of one directory: what staging has issued is never taken for production's.
#[derive(Clone, Debug)]
pub(crate) struct State {
    folder: PathBuf,
}

impl State {
    /// Makes the folder, for nobody else to read.
    pub(super) fn open(root: &Path, directory: &str) -> Result<Self, TlsError> {
        let folder = root.join("acme").join(folder_of(directory));
        let opened = make(&folder).and_then(|()| remove_unfinished(&folder));
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
        let read = || {
            let file = File::open(path)?;
            restrict(path, &file.metadata()?, 0o600)?;
            let mut text = Vec::new();
            file.take(LARGEST).read_to_end(&mut text)?;
            Ok(text)
        };
        match read() {
            Ok(text) => Ok(Some(text)),
            Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(TlsError::State { path: path.to_owned(), source }),
        }
    }

    /// Writes a file, with mode 0600. Blocks.
    pub(super) fn write(&self, path: &Path, text: &[u8]) -> Result<(), TlsError> {
        let unfinished = self.folder.join(format!("{UNFINISHED}{:016x}", rand::random::<u64>()));
        let write = || {
            let mut options = OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(&unfinished)?;
            file.write_all(text)?;
            file.sync_all()?;
            fs::rename(&unfinished, path)?;
            // The name, too, is to be there after a power cut.
            #[cfg(unix)]
            File::open(&self.folder)?.sync_all()?;
            Ok(())
        };
        write().map_err(|source| {
            let _ = fs::remove_file(&unfinished);
            TlsError::State { path: path.to_owned(), source }
        })
    }

    pub(super) fn remove(&self, path: &Path) {
        // What is gone already is fine.
        let _ = fs::remove_file(path);
    }
}

fn make(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    restrict(folder, &fs::metadata(folder)?, 0o700)
}

#[cfg(unix)]
fn restrict(path: &Path, metadata: &fs::Metadata, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.permissions().mode() & 0o777 & !mode == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_: &Path, _: &fs::Metadata, _: u32) -> io::Result<()> {
    Ok(())
}

fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_old = |time: SystemTime| time.elapsed().is_ok_and(|age| age > LEFT_BEHIND);
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(is_old)
        {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// What is readable of a URL, and what tells it from others: FNV-1a, which is the same in every build.
fn folder_of(url: &str) -> String {
    let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let print = url.bytes().fold(0xcbf2_9ce4_8422_2325, hash);
    let plain = |byte: u8| if byte.is_ascii_alphanumeric() || b".-".contains(&byte) { char::from(byte) } else { '_' };
    let shown: String = url.trim_start_matches("https://").bytes().map(plain).take(80).collect();
    format!("{shown}-{print:016x}")
}
