//! All floods, one after another and at once, on a server with little memory.

use std::time::Duration;

use super::fairness::FLOODS;
use crate::case::{Bench, Case, Trouble};
use crate::fair::Strength::InAll;
use crate::fair::{Attack, Flood, Need, Stage, frames};
use crate::memory_group::MemoryGroup;

pub(crate) const CASES: &[Case] = &[Case { name: "memory-group", run: memory_group }];

/// The memory that there is, in bytes.
const LIMIT: u64 = 256 << 20;

/// What the server is told about it.
const FLAG: [&str; 2] = ["--memory", "256MiB"];

/// How many clients of floods there are at a time: with those that have just left, no more than the flag has places
/// for.
const CLIENTS: usize = 400;

/// Floods that nobody waits for the end of; who sends what is no message, or too much, is cut.
const BLIND: &[&Flood] = &[
    &blind("messages", |to, done| Box::pin(frames::messages(to, done))),
    &blind("pings", |to, done| Box::pin(frames::pings(to, done))),
    &blind("fragments", |to, done| Box::pin(frames::fragments(to, done))),
    &blind("parts of an endless message", |to, done| Box::pin(frames::endless_message(to, done))),
    &blind("parts of an endless head", |to, done| Box::pin(frames::endless_head(to, done))),
    &blind("rapid resets", |to, done| Box::pin(frames::rapid_resets(to, done))),
];

const fn blind(name: &'static str, client: crate::fair::Client) -> Flood {
    Flood { name, needs: &[], clients: (200, 40), client, least: (InAll(1), InAll(1)), unit: name }
}

/// In a group whose memory is limited, so that the system would kill it: it is not, and serves others all the while.
fn memory_group(bench: &Bench) -> Result<String, Trouble> {
    if !MemoryGroup::is_there() || !rustix::process::geteuid().is_root() {
        return Err(Trouble::NotRun("limiting memory needs root and control groups of version 1".to_owned()));
    }
    let needs = [Need::Many, Need::Hostile, Need::Hung, Need::UnreadLog, Need::FewRequests];
    // Before the server: what is dropped last must find it empty.
    let group = MemoryGroup::with_limit(LIMIT)?;
    let mut stage = Stage::set(bench, &needs, &FLAG)?;
    group.hold(stage.server.id())?;
    let floods = [FLOODS, BLIND].concat();
    let (each, together) = bench.pick((5000, 30_000), (300, 2000));
    let mut worst = (Duration::ZERO, "none");
    let mut flood = |floods: &[&Flood], name, time| {
        let time = Duration::from_millis(time);
        let attack = Attack { floods, most: CLIENTS / floods.len(), time, strong: false };
        let flooded = attack.beside(bench, stage.addresses, Duration::ZERO);
        let peak = group.peak()? >> 20;
        if !stage.server.runs() {
            return Err(format!("{name}: the server was killed, {peak} MiB at most"));
        }
        let (figures, _, with) = flooded.map_err(|error| format!("{name}: {error}"))?;
        with.check(1).map_err(|error| format!("{name}: {error}; {peak} MiB at most"))?;
        worst = worst.max((with.p99(), name));
        Ok((figures.join(", "), peak))
    };
    let mut most = (0, "none");
    for one in &floods {
        let (_, peak) = flood(&[one], one.name, each)?;
        most = most.max((peak, one.name));
    }
    let (figures, peak) = flood(&floods, "all at once", together)?;
    let ((after, which), (p99, longest)) = (most, worst);
    Ok(format!(
        "{} floods: {after} MiB at most after each in turn ({which}), {peak} MiB after all at once ({figures}); \
         others' p99 at most {p99:.1?} ({longest})",
        floods.len(),
    ))
}
