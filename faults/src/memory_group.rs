//! A control group with a limit of memory, in the hierarchy of version 1. Needs root and Linux.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup/memory";

/// The group; it must be empty when it is dropped.
pub(crate) struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Whether there is such a hierarchy.
    pub(crate) fn is_there() -> bool {
        Path::new(ROOT).join("memory.limit_in_bytes").exists()
    }

    pub(crate) fn with_limit(bytes: u64) -> Result<Self, String> {
        let path = Path::new(ROOT).join(format!("rikki-faults-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let group = Self(path);
        group.write("memory.limit_in_bytes", bytes)?;
        Ok(group)
    }

    /// Moves a process into the group; what it has in memory stays outside.
    pub(crate) fn hold(&self, process: u32) -> Result<(), String> {
        self.write("cgroup.procs", process.into())
    }

    /// The most that was in memory at a time, in bytes, files that were read included.
    pub(crate) fn peak(&self) -> Result<u64, String> {
        let path = self.0.join("memory.max_usage_in_bytes");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        text.trim().parse().map_err(|error| format!("{}: {error}", path.display()))
    }

    fn write(&self, file: &str, value: u64) -> Result<(), String> {
        let path = self.0.join(file);
        fs::write(&path, value.to_string()).map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Fails while a process is in it, which then keeps it.
        let _ = fs::remove_dir(&self.0);
    }
}
