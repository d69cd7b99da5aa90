//! What the server spends, read from `/proc`.

use std::fs;
use std::time::Duration;

use crate::Result;

/// The CPU time of a process and its threads so far, user and kernel; its resolution is usually 10 ms.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let stat = read(pid, "stat")?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| format!("/proc/{pid}/stat is not understood: {stat:?}"))?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
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

/// Fields 14 and 15, utime and stime: see proc_pid_stat(5). The second field may hold blanks and parentheses.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_cpu_time() {
        let check = |stat: &str, expected| assert_eq!(cpu_ticks(stat), expected, "{stat}");
        check("7 (a b) c) S 1 7 7 0 -1 4194560 99 0 0 0 31 11 0 0 20 0 1 0 5", Some(42));
        check("7 (a) S 1 7 7 0 -1 4194560 99 0 0 0 31", None);
        check("", None);
        assert!(memory(std::process::id()).unwrap() > 4096);
    }
}
