//! Files that are for this user alone.
//!
//! One is there as a whole or not at all, whoever else writes at the same time: each is written under a name that nobody
//! else has, and renamed. Of two that are written at once the last one stays.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// No file is larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// What a process left behind that was killed while it wrote is removed when it is this old.
const LEFT_BEHIND: Duration = Duration::from_secs(60 * 60);

/// How the name of a file begins that is being written.
const UNFINISHED: &str = ".new-";

/// Makes a folder, for nobody else to read; one that is there stays as it is.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// `None` for a file that is not there. One that others may read is theirs no more.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    restrict(path, &file.metadata()?, 0o600)?;
    let mut text = Vec::new();
    file.take(LARGEST).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Writes a file in `folder`, with mode 0600. Blocks.
pub(super) fn write(folder: &Path, path: &Path, text: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{UNFINISHED}{:016x}", RandomState::new().build_hasher().finish()));
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
        File::open(folder)?.sync_all()?;
        Ok(())
    };
    write().inspect_err(|_| _ = fs::remove_file(&unfinished))
}

/// Takes from a file or a folder what others may do with it.
#[cfg(unix)]
pub(super) fn restrict(path: &Path, metadata: &fs::Metadata, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    if metadata.permissions().mode() & 0o777 & !mode == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
pub(super) fn restrict(_: &Path, _: &fs::Metadata, _: u32) -> io::Result<()> {
    Ok(())
}

/// Removes what others have left behind.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
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
