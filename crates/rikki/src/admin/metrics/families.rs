//! Each metric once: what it is called, what it means and where it is read. docs/admin.md has the same table.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

#[cfg(feature = "topics")]
use rikki_topics::{BrokerStatus, TopicCounters};

use crate::admin::snapshot::{Counted, Snapshot, Used, transport, who};
use crate::pulse::{BOUNDS, Reading};
use crate::ws::internal::{LagCounts, MeterReading, SizeCounts};

/// A metric, with each of its labels.
pub(super) struct Family {
    /// Without the `_total` of a counter.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) labels: &'static [&'static str],
    pub(super) help: &'static str,
    pub(super) read: fn(&Snapshot, &mut Samples),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What is read of one metric, by its labels: what has the same ones, as topics of two hubs may, is added up, since no two
/// samples of a metric may.
#[derive(Default)]
pub(super) struct Samples(pub(super) BTreeMap<Vec<Cow<'static, str>>, Value>);

pub(super) enum Value {
    Count(u64),
    Level(f64),
    /// The sum of all, and how many there are in each bucket, by its upper end; that of the last is `f64::INFINITY`.
    Buckets {
        sum: f64,
        buckets: Vec<(f64, u64)>,
    },
}

impl Samples {
    /// One of a metric without labels.
    fn one(&mut self, value: impl Into<Value>) {
        self.add([], value);
    }

    /// One more with the values of the labels, in their order.
    fn add<const N: usize>(&mut self, labels: [Cow<'static, str>; N], value: impl Into<Value>) {
        let value = value.into();
        match self.0.entry(labels.into()) {
            Entry::Vacant(entry) => _ = entry.insert(value),
            Entry::Occupied(mut entry) => entry.get_mut().add(value),
        }
    }

    fn reasons(&mut self, counted: &[Counted]) {
        counted.iter().for_each(|counted| self.add([counted.reason.into()], counted.count));
    }

    fn endpoints(&mut self, now: &Snapshot, value: fn(&MeterReading) -> Value) {
        now.meters.iter().for_each(|meters| self.add(at(meters), value(meters)));
    }

    #[cfg(feature = "topics")]
    fn patterns(&mut self, now: &Snapshot, value: fn(&TopicCounters) -> Value) {
        let patterns = &now.topics.patterns;
        patterns.iter().for_each(|pattern| self.add([pattern.pattern.clone().into()], value(pattern)));
    }

    #[cfg(feature = "topics")]
    fn streams(&mut self, now: &Snapshot, value: fn(&BrokerStatus) -> Value) {
        now.brokers.iter().for_each(|status| self.add([status.stream.clone().into()], value(status)));
    }

    fn budgets(&mut self, budgets: &[Used], value: fn(&Used) -> u64) {
        for budget in budgets {
            let mount = budget.mount.clone().unwrap_or_default();
            self.add([budget.name.into(), mount.into()], Value::Level(value(budget) as f64));
        }
    }
}

impl Value {
    fn add(&mut self, other: Self) {
        match (self, other) {
            (Self::Count(sum), Self::Count(count)) => *sum += count,
            (Self::Level(sum), Self::Level(level)) => *sum += level,
            // Those have labels of which none comes twice.
            _ => {}
        }
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl From<f64> for Value {
    fn from(level: f64) -> Self {
        Self::Level(level)
    }
}

const fn family(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    read: fn(&Snapshot, &mut Samples),
) -> Family {
    Family { name, kind, labels, help, read }
}

use Kind::{Counter, Gauge, Histogram};

const AT: &[&str] = &["endpoint", "transport"];
const CLOSED: &[&str] = &["endpoint", "transport", "code", "by"];
const DROPPED: &[&str] = &["endpoint", "transport", "policy"];
const PACKED: &[&str] = &["endpoint", "transport", "direction", "form"];

#[cfg(feature = "topics")]
const PATTERN: &[&str] = &["pattern"];
#[cfg(feature = "topics")]
const STREAM: &[&str] = &["stream"];
#[cfg(feature = "topics")]
const REASON: &[&str] = &["pattern", "reason"];
#[cfg(feature = "topics")]
const POLICY: &[&str] = &["pattern", "policy"];
#[cfg(feature = "topics")]
const RESULT: &[&str] = &["pattern", "result"];

fn at(meters: &MeterReading) -> [Cow<'static, str>; 2] {
    [meters.endpoint.clone().into(), transport(meters.carrier).into()]
}

fn sizes(sizes: &SizeCounts) -> Value {
    // From 16 bytes to 64 MiB: what is below and above is with its neighbours.
    let counts = sizes.counts.iter().enumerate();
    let mut buckets = vec![(16.0, 0)];
    for (bucket, count) in counts {
        let bound = SizeCounts::bound(bucket);
        match bucket {
            0 | 1 => {}
            2..=12 => buckets.push((bound as f64, 0)),
            13 => buckets.push((f64::INFINITY, 0)),
            _ => {}
        }
        if let Some((_, sum)) = buckets.last_mut() {
            *sum += count;
        }
    }
    Value::Buckets { sum: sizes.bytes as f64, buckets }
}

fn lags(lags: &LagCounts) -> Value {
    // Each bound is four times the one before.
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for (bucket, count) in lags.counts.iter().enumerate() {
        let bound = LagCounts::bound(bucket).map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        match buckets.last_mut() {
            Some((last, sum)) if bucket % 2 == 1 => {
                *last = bound;
                *sum += count;
            }
            _ => buckets.push((bound, *count)),
        }
    }
    Value::Buckets { sum: lags.sum.as_secs_f64(), buckets }
}

fn pulse(reading: &Reading) -> Value {
    let bounds = BOUNDS.iter().map(|ms| *ms as f64 / 1000.0).chain([f64::INFINITY]);
    Value::Buckets { sum: reading.sum.as_secs_f64(), buckets: bounds.zip(reading.counts).collect() }
}

/// All of them.
pub(super) const FAMILIES: &[Family] = &[
    family("rikki_build_info", Gauge, &["version"], "Which version runs, always 1", |now, to| {
        to.add([now.version.into()], 1.0)
    }),
    family("rikki_start_time_seconds", Gauge, &[], "When it was started, in Unix time", |now, to| {
        to.one(now.since_ms as f64 / 1000.0)
    }),
    family("rikki_ready", Gauge, &[], "1 while /readyz says 200, or else 0", |now, to| {
        to.one(f64::from(u8::from(now.state == "serving")))
    }),
    family("rikki_configuration_generation", Gauge, &[], "1, and one more for each reload", |now, to| {
        to.one(now.generation as f64)
    }),
    family("rikki_configuration_reloads", Counter, &["result"], "Settings that were read again", |now, to| {
        to.add(["done".into()], now.counters.reloads);
        to.add(["refused".into()], now.counters.refused_reloads);
    }),
    family("rikki_connections", Gauge, &["transport"], "Connections open now, WebSockets included", |now, to| {
        now.connections.by_transport.iter().for_each(|(transport, open)| to.add([(*transport).into()], *open as f64));
    }),
    family(
        "rikki_connections_accepted",
        Counter,
        &[],
        "Connections accepted, those refused then included",
        |now, to| to.one(now.connections.accepted),
    ),
    family("rikki_connections_replaced", Counter, &[], "Idle connections that made room for others", |now, to| {
        to.one(now.counters.replaced_idle)
    }),
    family("rikki_refused", Counter, &["reason"], "Connections, requests and upgrades refused", |now, to| {
        to.reasons(&now.refusals)
    }),
    family("rikki_websockets", Gauge, AT, "WebSockets open now", |now, to| {
        to.endpoints(now, |meters| Value::Level(meters.open as f64))
    }),
    family("rikki_websockets_opened", Counter, AT, "WebSockets opened", |now, to| {
        to.endpoints(now, |meters| meters.opened.into())
    }),
    family("rikki_websockets_closed", Counter, CLOSED, "WebSockets closed, by code and by who did it", |now, to| {
        for meters in &now.meters {
            for closed in &meters.closed {
                let [endpoint, transport] = at(meters);
                to.add([endpoint, transport, closed.code.clone().into(), who(closed.by).into()], closed.count);
            }
        }
    }),
    family("rikki_websockets_failed", Counter, &["reason"], "WebSockets ended by a fault", |now, to| {
        to.reasons(&now.failures)
    }),
    family("rikki_message_received_bytes", Histogram, AT, "Messages received, by payload", |now, to| {
        to.endpoints(now, |meters| sizes(&meters.received))
    }),
    family("rikki_message_sent_bytes", Histogram, AT, "Messages framed for peers, by payload", |now, to| {
        to.endpoints(now, |meters| sizes(&meters.sent))
    }),
    family("rikki_delivery_lag_seconds", Histogram, AT, "Wait of messages of senders until framed", |now, to| {
        to.endpoints(now, |meters| lags(&meters.lags))
    }),
    family("rikki_compression_bytes", Counter, PACKED, "Bytes of compressed messages, before and after", |now, to| {
        for meters in &now.meters {
            for (direction, packed) in [("sent", meters.deflated), ("received", meters.inflated)] {
                for (form, bytes) in [("plain", packed.plain), ("packed", packed.packed)] {
                    let [endpoint, transport] = at(meters);
                    to.add([endpoint, transport, direction.into(), form.into()], bytes);
                }
            }
        }
    }),
    family("rikki_messages_dropped", Counter, DROPPED, "Messages dropped, by overflow policy", |now, to| {
        for meters in &now.meters {
            for (policy, dropped) in ["drop-newest", "drop-oldest"].into_iter().zip(meters.dropped) {
                let [endpoint, transport] = at(meters);
                to.add([endpoint, transport, policy.into()], dropped);
            }
        }
    }),
    family("rikki_messages_lost", Counter, &[], "Messages accepted and not written at the end", |now, to| {
        to.one(now.websockets.lost_messages)
    }),
    family("rikki_queued_bytes", Gauge, &[], "Bytes that wait to be written to WebSockets", |now, to| {
        to.one(now.websockets.queued_bytes as f64)
    }),
    family("rikki_memory_used_bytes", Gauge, &["budget", "mount"], "Memory held of each budget", |now, to| {
        to.budgets(&now.memory, |budget| budget.used)
    }),
    family("rikki_memory_limit_bytes", Gauge, &["budget", "mount"], "Memory that may be held of each", |now, to| {
        to.budgets(&now.memory, |budget| budget.most)
    }),
    family(
        "rikki_places_used",
        Gauge,
        &["budget", "mount"],
        "Things that there are, where they are bounded",
        |now, to| to.budgets(&now.places, |budget| budget.used),
    ),
    family("rikki_places_limit", Gauge, &["budget", "mount"], "Things that there may be", |now, to| {
        to.budgets(&now.places, |budget| budget.most)
    }),
    family("rikki_event_loop_lag_seconds", Histogram, &["worker"], "How late timers are on a worker", |now, to| {
        now.pulses.iter().for_each(|reading| to.add([reading.worker.to_string().into()], pulse(reading)));
    }),
    family("rikki_worker_silence_seconds", Gauge, &["worker"], "Since when a worker has said nothing", |now, to| {
        for reading in &now.pulses {
            to.add([reading.worker.to_string().into()], reading.since.as_secs_f64());
        }
    }),
    family(
        "rikki_file_cache_lookups",
        Counter,
        &["mount", "result"],
        "Small files asked for in the cache",
        |now, to| {
            for looks in &now.file_cache {
                to.add([looks.mount.clone().into(), "hit".into()], looks.hits);
                to.add([looks.mount.clone().into(), "miss".into()], looks.misses);
            }
        },
    ),
    #[cfg(feature = "tls")]
    family("rikki_tls_handshakes", Counter, &["version"], "Handshakes of TLS that were done", |now, to| {
        now.tls.handshakes.iter().for_each(|(version, done)| to.add([(*version).into()], *done));
    }),
    #[cfg(feature = "tls")]
    family("rikki_tls_handshakes_failed", Counter, &["reason"], "Handshakes of TLS that failed", |now, to| {
        to.reasons(&now.tls.failures)
    }),
    #[cfg(feature = "tls")]
    family(
        "rikki_certificate_not_after_seconds",
        Gauge,
        &["name"],
        "When a certificate expires, in Unix time",
        |now, to| {
            for certificate in &now.tls.certificates {
                to.add([certificate.name.clone().into()], certificate.not_after_ms as f64 / 1000.0);
            }
        },
    ),
    family("rikki_certificate_changes", Counter, &["result"], "Changes of files of certificates", |now, to| {
        to.add(["done".into()], now.counters.swapped_certificates);
        to.add(["refused".into()], now.counters.refused_certificates);
    }),
    family("rikki_acme_orders", Counter, &["result"], "Certificates asked for by ACME", |now, to| {
        to.add(["done".into()], now.counters.issued_certificates);
        to.add(["failed".into()], now.counters.failed_orders);
    }),
    #[cfg(feature = "topics")]
    family("rikki_topics", Gauge, PATTERN, "Topics that there are", |now, to| {
        to.patterns(now, |pattern| Value::Level(pattern.topics as f64))
    }),
    #[cfg(feature = "topics")]
    family("rikki_topic_subscribers", Gauge, PATTERN, "Subscriptions that there are", |now, to| {
        to.patterns(now, |pattern| Value::Level(pattern.subscribers as f64))
    }),
    #[cfg(feature = "topics")]
    family("rikki_topic_ring_bytes", Gauge, PATTERN, "Memory of messages that are kept", |now, to| {
        to.patterns(now, |pattern| Value::Level(pattern.ring_bytes as f64))
    }),
    #[cfg(feature = "topics")]
    family("rikki_topic_messages_published", Counter, PATTERN, "Messages published", |now, to| {
        to.patterns(now, |pattern| pattern.published.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_topic_messages_delivered", Counter, PATTERN, "Messages handed to subscribers", |now, to| {
        to.patterns(now, |pattern| pattern.delivered.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_topic_messages_refused", Counter, REASON, "Messages not taken, by reason", |now, to| {
        for pattern in &now.topics.patterns {
            to.add([pattern.pattern.clone().into(), "refused".into()], pattern.refused);
            to.add([pattern.pattern.clone().into(), "repeated".into()], pattern.repeated);
        }
    }),
    #[cfg(feature = "topics")]
    family("rikki_topic_messages_passed_over", Counter, POLICY, "Messages not delivered, by policy", |now, to| {
        for pattern in &now.topics.patterns {
            to.add([pattern.pattern.clone().into(), "gap".into()], pattern.missed);
            to.add([pattern.pattern.clone().into(), "latest".into()], pattern.skipped);
        }
    }),
    #[cfg(feature = "topics")]
    family("rikki_topic_subscribers_closed", Counter, PATTERN, "Subscribers closed, by their policy", |now, to| {
        to.patterns(now, |pattern| pattern.closed.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_topic_resumes", Counter, RESULT, "Resumes that found everything, or did not", |now, to| {
        for pattern in &now.topics.patterns {
            to.add([pattern.pattern.clone().into(), "recovered".into()], pattern.resumed);
            to.add([pattern.pattern.clone().into(), "not-recovered".into()], pattern.not_recovered);
        }
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_connected", Gauge, STREAM, "1 while messages can be published, or else 0", |now, to| {
        to.streams(now, |status| Value::Level(f64::from(u8::from(status.connected))))
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_generation", Gauge, STREAM, "How often the broker has lost what it had", |now, to| {
        to.streams(now, |status| Value::Level(status.generation as f64))
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_last_sequence", Gauge, STREAM, "The latest message of the broker", |now, to| {
        to.streams(now, |status| Value::Level(status.last_sequence as f64))
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_lag_seconds", Gauge, STREAM, "How long the latest answer took", |now, to| {
        to.streams(now, |status| Value::Level(status.lag.as_secs_f64()))
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_topics", Gauge, STREAM, "Topics that are followed here", |now, to| {
        to.streams(now, |status| Value::Level(status.topics as f64))
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_topics_catching_up", Gauge, STREAM, "Topics of which something is being got", |now, to| {
        to.streams(now, |status| Value::Level(status.catching_up as f64))
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_catch_ups", Counter, STREAM, "How often something was got of a topic", |now, to| {
        to.streams(now, |status| status.catch_ups.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_gaps", Counter, STREAM, "Gaps told, of what could not be got", |now, to| {
        to.streams(now, |status| status.gaps.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_messages_acknowledged", Counter, STREAM, "Messages acknowledged", |now, to| {
        to.streams(now, |status| status.acknowledged.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_messages_retried", Counter, STREAM, "Messages sent again", |now, to| {
        to.streams(now, |status| status.retried.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_messages_unknown", Counter, STREAM, "Messages published or not", |now, to| {
        to.streams(now, |status| status.unknown.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_messages_refused", Counter, STREAM, "Messages refused: the broker was away", |now, to| {
        to.streams(now, |status| status.refused.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_connections", Counter, STREAM, "Connections made to the broker", |now, to| {
        to.streams(now, |status| status.connections.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_received_bytes", Counter, STREAM, "Bytes that came from the broker", |now, to| {
        to.streams(now, |status| status.received_bytes.into())
    }),
    #[cfg(feature = "topics")]
    family("rikki_broker_sent_bytes", Counter, STREAM, "Bytes that went to the broker", |now, to| {
        to.streams(now, |status| status.sent_bytes.into())
    }),
];
