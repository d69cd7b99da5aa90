//! The cases, one file for each topic.

mod admission;
mod cluster;
mod descriptors;
mod fairness;
mod files;
mod floods;
mod heads;
mod http2;
mod logs;
mod memory;
mod panics;
mod proxies;
mod reloads;
mod resets;
mod restarts;
mod signals;
mod silence;
mod slow_http;
mod slow_readers;
mod smuggling;
mod soak;
mod topics;

use crate::case::Case;

/// All of them, in the order in which they run.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        signals::CASES,
        reloads::CASES,
        restarts::CASES,
        proxies::CASES,
        descriptors::CASES,
        slow_readers::CASES,
        topics::CASES,
        cluster::CASES,
        resets::CASES,
        panics::CASES,
        floods::CASES,
        files::CASES,
        heads::CASES,
        http2::CASES,
        fairness::CASES,
        silence::CASES,
        admission::CASES,
        logs::CASES,
        slow_http::CASES,
        smuggling::CASES,
        memory::CASES,
        soak::CASES,
    ]
    .into_iter()
    .flatten()
}
