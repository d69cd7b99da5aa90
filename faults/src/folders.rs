//! Folders that make it hard to serve them: with many files, with names that have to be escaped, on a disk that hangs.

use std::fs::{self, File};
use std::path::PathBuf;

use rustix::fd::AsRawFd as _;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::Result;
use crate::case::{Bench, Trouble};

/// Makes the folder `many` below the one that is served, which takes long to list.
pub(crate) fn many(bench: &Bench) -> Result<()> {
    fill(bench, "many", bench.pick(60_000, 10_000), |index| index.to_string())
}

/// Makes `hostile`, whose listing is many times as long as the names in it: each `'` is `&#39;`.
pub(crate) fn hostile(bench: &Bench) -> Result<()> {
    fill(bench, "hostile", bench.pick(10_000, 2000), |index| format!("{index:0>5}{}", "'".repeat(250)))
}

/// Fills a folder with empty files, unless another case has; it goes with the bench.
fn fill(bench: &Bench, name: &str, count: usize, file: impl Fn(usize) -> String) -> Result<()> {
    let folder = bench.root().join(name);
    if folder.exists() {
        return Ok(());
    }
    let filled = || {
        fs::create_dir(&folder)?;
        (0..count).try_for_each(|index| File::create(folder.join(file(index))).map(drop))
    };
    filled().map_err(|error| format!("{}: {error}", folder.display()))
}

/// A folder with a file system `hung` whose program never answers; what waits for it ends when it is dropped.
pub(crate) struct Hung {
    pub(crate) folder: PathBuf,
    program: Option<File>,
}

impl Hung {
    pub(crate) fn mount(bench: &Bench) -> Result<Self, Trouble> {
        let folder = bench.scratch.join("remote");
        let hung = folder.join("hung");
        fs::create_dir_all(&hung).map_err(|error| format!("{}: {error}", hung.display()))?;
        let not_run = |error: std::io::Error| Trouble::NotRun(format!("mounting needs root and FUSE: {error}"));
        let program = File::options().read(true).write(true).open("/dev/fuse").map_err(not_run)?;
        // https://docs.kernel.org/filesystems/fuse.html#mount-options
        let data = format!("fd={},rootmode=40000,user_id=0,group_id=0", program.as_raw_fd());
        let data = std::ffi::CString::new(data).map_err(|error| error.to_string())?;
        mount("hung", &hung, "fuse", MountFlags::empty(), Some(data.as_c_str()))
            .map_err(|error| not_run(error.into()))?;
        Ok(Self { folder, program: Some(program) })
    }

    /// What mounts it at `/remote`.
    pub(crate) fn flag(&self) -> String {
        format!("--mount=/remote={}", self.folder.display())
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        self.program = None;
        let _ = unmount(self.folder.join("hung"), UnmountFlags::DETACH);
    }
}
