//! How many files and connections the system lets this process open: as many as it can have, shared out.

use crate::settings::Settings;

/// What is neither a connection nor a file that is being sent: listeners, event queues, files that are being looked at.
const OTHERS: u64 = 64;

/// Connections beyond the limit that each worker tells so at a time.
const REFUSED: u64 = 64;

/// What looks inside, if anything does: its connections, and its own others.
const LOOKING: u64 = 64 + 16;

/// Files that are being sent have this part where there are few descriptors.
const SHARE_OF_FILES: u64 = 4;

/// Raises the limit as far as the system lets it, and lowers settings that go beyond it. Returns what there is to say
/// of that.
pub(crate) fn share_out(settings: &mut Settings) -> Option<String> {
    let most = raise()?;
    let workers = settings.workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let folders = 1 + settings.files.mounts.len() as u64;
    let asked = settings.memory().connections;
    let inside = if settings.admin.is_some() { LOOKING } else { 0 };
    let shares = Shares::new(most.saturating_sub(inside), asked as u64, workers as u64);
    let for_each = usize::try_from((shares.files / folders).max(1)).unwrap_or(usize::MAX);
    let connections = usize::try_from(shares.connections).unwrap_or(usize::MAX);
    let files = &mut settings.files.limits;
    files.set("max-open", files.number("max-open").unwrap_or(for_each).min(for_each));
    for mount in &mut settings.files.mounts {
        if mount.limits.number("max-open").is_some_and(|own: usize| own > for_each) {
            mount.limits.set("max-open", for_each);
        }
    }
    settings.limits.given.set("max-connections", connections);
    (connections < asked).then(|| {
        format!(
            "at most {connections} connections, not {asked}: the system lets this process open {most} files \
             (raise the hard limit, as with ulimit -Hn)"
        )
    })
}

/// What descriptors are for.
#[derive(Debug, PartialEq)]
struct Shares {
    connections: u64,
    files: u64,
}

impl Shares {
    fn new(most: u64, asked: u64, workers: u64) -> Self {
        let reserve = (OTHERS + REFUSED * workers).min(most / 4);
        let least = (most / SHARE_OF_FILES).min(1024);
        let left = most - reserve;
        let files = left.saturating_sub(asked).max(least);
        Self { connections: asked.min(left.saturating_sub(files)).max(1), files }
    }
}

/// The limit that holds now; `None` where there is none, or it is not known.
#[cfg(unix)]
fn raise() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // The soft limit is low for the sake of programs that use select(2), which this one does not.
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    limit.current
}

#[cfg(not(unix))]
fn raise() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let check = |most: u64, asked: u64, connections: u64, files: u64| {
            let shares = Shares::new(most, asked, 2);
            assert_eq!(shares, Shares { connections, files }, "{most} for {asked}");
            assert!(connections + files <= most, "{most} for {asked}");
        };
        check(1_048_576, 16_384, 16_384, 1_032_000);
        check(20_000, 16_384, 16_384, 3_424);
        check(16_384, 16_384, 15_168, 1_024);
        check(1_024, 16_384, 576, 256);
        check(1_024, 100, 100, 732);
        check(64, 16_384, 32, 16);
        check(4, 16_384, 2, 1);
        check(1, 16_384, 1, 0);
    }
}
