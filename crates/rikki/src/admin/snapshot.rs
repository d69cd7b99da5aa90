//! What there is to tell of a server at one moment, read from where it is counted: the metrics and the status are made
//! of it.

mod websockets;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(feature = "topics")]
use rikki_topics::{BrokerStatus, TopicCounters, internal::TopicSize};
use serde::Serialize;

use super::Inside;
use super::warnings::Warning;
use crate::counters::Counters;
#[cfg(any(feature = "tls", feature = "topics"))]
use crate::live::Monitor;
use crate::live::{BudgetUse, Stage};
use crate::pulse::Reading;
use crate::ws::internal::MeterReading;
use websockets::WebSockets;
pub(super) use websockets::{details, transport, who};

/// How many of the slowest readers are told of.
const SLOWEST: usize = 20;

/// How many topics are, by their subscribers.
#[cfg(feature = "topics")]
const LARGEST: usize = 20;

/// Whether the slowest, the largest and the latest are looked for among all, which takes time in proportion to these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lists {
    Without,
    With,
}

/// All of it. Names are those of the JSON, which docs/admin.md describes.
#[derive(Debug, Default, Serialize)]
pub(super) struct Snapshot {
    pub(super) version: &'static str,
    /// When this was read, in milliseconds of Unix time.
    pub(super) now_ms: u64,
    /// For how long somebody could look.
    pub(super) uptime_ms: u64,
    pub(super) state: &'static str,
    /// 1 for the settings that the server has started with.
    pub(super) generation: u64,
    pub(super) connections: Connections,
    pub(super) websockets: WebSockets,
    pub(super) workers: Vec<Worker>,
    pub(super) memory: Vec<Used>,
    pub(super) places: Vec<Used>,
    pub(super) refusals: Vec<Counted>,
    pub(super) failures: Vec<Counted>,
    #[cfg(feature = "tls")]
    pub(super) tls: Tls,
    pub(super) file_cache: Vec<CacheLooks>,
    #[cfg(feature = "topics")]
    pub(super) topics: Topics,
    #[cfg(feature = "topics")]
    pub(super) brokers: Vec<BrokerStatus>,
    pub(super) warnings: Vec<Warning>,
    /// Since when somebody could look, in milliseconds of Unix time: the same each time that it is read.
    #[serde(skip)]
    pub(super) since_ms: u64,
    #[serde(skip)]
    pub(super) counters: Counters,
    #[serde(skip)]
    pub(super) meters: Vec<MeterReading>,
    #[serde(skip)]
    pub(super) pulses: Vec<Reading>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Connections {
    pub(super) open: u64,
    pub(super) most: u64,
    pub(super) accepted: u64,
    pub(super) by_transport: BTreeMap<&'static str, u64>,
}

/// How far a worker is behind.
#[derive(Debug, Serialize)]
pub(super) struct Worker {
    worker: usize,
    lag_ms: f64,
    lag_max_ms: f64,
    seen_ms_ago: u64,
    stalled: bool,
}

/// How much of a budget is used.
#[derive(Debug, Serialize)]
pub(super) struct Used {
    pub(super) name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mount: Option<String>,
    pub(super) used: u64,
    pub(super) most: u64,
}

/// How often something has happened, for which reason.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    pub(super) reason: &'static str,
    pub(super) count: u64,
}

#[cfg(feature = "topics")]
#[derive(Debug, Default, Serialize)]
pub(super) struct Topics {
    pub(super) topics: u64,
    pub(super) subscribers: u64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) patterns: Vec<TopicCounters>,
    pub(super) largest: Vec<Topic>,
}

/// A topic with many subscribers.
#[cfg(feature = "topics")]
#[derive(Debug, Serialize)]
pub(super) struct Topic {
    name: String,
    subscribers: u64,
    messages: u64,
    bytes: u64,
}

/// How handshakes of TLS have ended, and until when certificates are valid.
#[cfg(feature = "tls")]
#[derive(Debug, Default, Serialize)]
pub(super) struct Tls {
    pub(super) handshakes: BTreeMap<&'static str, u64>,
    pub(super) failures: Vec<Counted>,
    pub(super) certificates: Vec<Certificate>,
}

#[cfg(feature = "tls")]
#[derive(Debug, Serialize)]
pub(super) struct Certificate {
    pub(super) name: String,
    pub(super) not_after_ms: u64,
}

/// How often small files were found in the cache of a folder, and how often not.
#[derive(Debug, Serialize)]
pub(super) struct CacheLooks {
    pub(super) mount: String,
    pub(super) hits: u64,
    pub(super) misses: u64,
}

impl From<(String, [u64; 2])> for CacheLooks {
    fn from((mount, [hits, misses]): (String, [u64; 2])) -> Self {
        Self { mount, hits, misses }
    }
}

#[cfg(feature = "tls")]
impl Tls {
    fn read(monitor: &Monitor) -> Self {
        let certificates = monitor.certificates().into_iter();
        Self {
            handshakes: monitor.handshakes().into_iter().collect(),
            failures: counted(monitor.failed_handshakes()),
            certificates: certificates.map(|(name, ends)| Certificate { name, not_after_ms: unix_ms(ends) }).collect(),
        }
    }
}

/// The budgets that count things; the others count bytes.
const PLACES: [&str; 3] = ["max-connections", "max-topics", "max-subscriptions"];

impl Snapshot {
    pub(super) fn read(inside: &Inside, lists: Lists) -> Self {
        let with_lists = lists == Lists::With;
        let (monitor, counters) = (&inside.monitor, inside.monitor.counters());
        let (places, memory): (Vec<_>, Vec<_>) = monitor.budgets().into_iter().partition(is_of_places);
        let meters = monitor.endpoints();
        let pulses = monitor.pulses();
        let most = places.iter().find(|budget| budget.name == PLACES[0]).map_or(0, |budget| budget.most as u64);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now_ms: unix_ms(SystemTime::now()),
            uptime_ms: u64::try_from(inside.made.elapsed().as_millis()).unwrap_or(u64::MAX),
            state: match monitor.stage() {
                Stage::Starting => "starting",
                Stage::Serving => "serving",
                Stage::Draining => "draining",
            },
            generation: counters.reloads + 1,
            connections: Connections {
                open: counters.connections,
                most,
                accepted: counters.accepted,
                by_transport: monitor.open_by_transport().into_iter().collect(),
            },
            websockets: WebSockets::read(&counters, &meters, &monitor.slowest(if with_lists { SLOWEST } else { 0 })),
            workers: pulses.iter().map(Worker::from).collect(),
            memory: memory.into_iter().map(Used::from).collect(),
            places: places.into_iter().map(Used::from).collect(),
            refusals: refusals(&counters),
            failures: failures(&counters),
            #[cfg(feature = "tls")]
            tls: Tls::read(monitor),
            file_cache: monitor.caches().into_iter().map(CacheLooks::from).collect(),
            #[cfg(feature = "topics")]
            topics: Topics::read(monitor, if with_lists { LARGEST } else { 0 }),
            #[cfg(feature = "topics")]
            brokers: monitor.brokers(),
            warnings: if with_lists { inside.warnings.latest() } else { Vec::new() },
            since_ms: unix_ms(inside.made_at),
            counters,
            meters,
            pulses,
        }
    }

    pub(super) fn json(&self) -> String {
        // Nothing in it can fail to be JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<&Reading> for Worker {
    fn from(reading: &Reading) -> Self {
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        Self {
            worker: reading.worker,
            lag_ms: ms(reading.lag),
            lag_max_ms: ms(reading.lag_max),
            seen_ms_ago: millis(reading.since),
            stalled: reading.is_stalled(),
        }
    }
}

fn is_of_places(budget: &BudgetUse) -> bool {
    PLACES.contains(&budget.name)
}

pub(super) fn unix_ms(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl From<BudgetUse> for Used {
    fn from(BudgetUse { name, mount, used, most }: BudgetUse) -> Self {
        Self { name, mount, used: used as u64, most: most as u64 }
    }
}

#[cfg(feature = "topics")]
impl Topics {
    fn read(monitor: &Monitor, largest: usize) -> Self {
        let patterns = monitor.topics();
        let largest = monitor.largest_topics(largest).into_iter();
        let largest = largest.map(|TopicSize { name, subscribers, messages, bytes }| Topic {
            name,
            subscribers,
            messages,
            bytes,
        });
        let sum = |of: fn(&TopicCounters) -> u64| patterns.iter().map(of).sum();
        Self {
            topics: sum(|pattern| pattern.topics),
            subscribers: sum(|pattern| pattern.subscribers),
            published: sum(|pattern| pattern.published),
            delivered: sum(|pattern| pattern.delivered),
            patterns,
            largest: largest.collect(),
        }
    }
}

/// Who was not let in, or not answered as they had asked.
fn refusals(counters: &Counters) -> Vec<Counted> {
    counted([
        ("max-connections", counters.refused_connections),
        ("max-per-address", counters.refused_addresses),
        ("proxy-header", counters.refused_proxy_headers),
        ("network", counters.refused_peers),
        ("http2-memory", counters.refused_streams),
        ("request-rate", counters.refused_requests),
        ("request-head", counters.refused_heads),
        ("slow", counters.closed_slow),
        ("host", counters.refused_hosts),
        ("origin", counters.refused_origins),
        ("handshake", counters.refused_handshakes),
    ])
}

/// Why WebSockets were ended that had not asked for it.
fn failures(counters: &Counters) -> Vec<Counted> {
    counted([
        ("violation", counters.closed_violations),
        ("limit", counters.closed_limits),
        ("rate", counters.closed_rates),
        ("memory", counters.closed_memory),
        ("timeout", counters.closed_timeouts),
        ("overflow", counters.closed_overflows),
        ("panic", counters.closed_panics),
        ("error", counters.closed_errors),
    ])
}

fn counted<const N: usize>(all: [(&'static str, u64); N]) -> Vec<Counted> {
    all.into_iter().map(|(reason, count)| Counted { reason, count }).collect()
}
