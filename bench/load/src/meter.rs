//! What the server spends, read from `/proc`.

use std::fs;
use std::time::Duration;

use crate::Result;

/// The CPU time of a process so far, user and kernel: the sum over the threads that it has now, to the nanosecond as
/// the scheduler counts it.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let folder = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))?;
    // A thread may end while it is looked at.
    let times = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok());
    times
        .map(|text| time_on_cpu(&text).ok_or_else(|| format!("{folder}/*/schedstat is not understood: {text:?}")))
        .sum()
}

/// The memory of a process that is in RAM, in bytes.
pub(crate) fn memory(pid: u32) -> Result<u64> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    line.map(|kib: u64| kib * 1024).ok_or_else(|| format!("/proc/{pid}/status names no VmRSS"))
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
}

/// The first field, in nanoseconds.
fn time_on_cpu(schedstat: &str) -> Option<Duration> {
    schedstat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_cpu_time() {
        let check = |text: &str, expected| assert_eq!(time_on_cpu(text), expected, "{text}");
        check("969980 78727 2\n", Some(Duration::from_nanos(969_980)));
        check("", None);
        assert!(cpu_time(std::process::id()).unwrap() > Duration::ZERO);
        assert!(memory(std::process::id()).unwrap() > 4096);
    }
}
