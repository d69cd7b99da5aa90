//! The metrics as text: in the format of OpenMetrics, which prometheus-client writes, or the older one of Prometheus.

use std::borrow::Cow;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::families::{FAMILIES, Family, Kind, Samples, Value};
use crate::admin::snapshot::Snapshot;

pub(crate) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of OpenMetrics: <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
pub(crate) fn open_metrics(snapshot: Snapshot) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Collected(snapshot)));
    let mut text = String::new();
    // Writing to a String does not fail.
    let _ = encode(&mut text, &registry);
    text
}

/// The older format, <https://prometheus.io/docs/instrumenting/exposition_formats/>: counters are described by the name
/// of their samples, and there is no end.
pub(crate) fn classic(snapshot: Snapshot) -> String {
    let text = open_metrics(snapshot);
    let mut classic = String::with_capacity(text.len());
    let is_counter = |name: &str| FAMILIES.iter().any(|family| family.name == name && family.kind == Kind::Counter);
    for line in text.lines().filter(|line| *line != "# EOF") {
        let described = ["# HELP ", "# TYPE "].iter().find_map(|what| Some((what, line.strip_prefix(what)?)));
        let line = match described.and_then(|(what, rest)| Some((what, rest.split_once(' ')?))) {
            Some((what, (name, rest))) if is_counter(name) => Cow::Owned(format!("{what}{name}_total {rest}")),
            _ => Cow::Borrowed(line),
        };
        classic.push_str(&line);
        classic.push('\n');
    }
    classic
}

#[derive(Debug)]
struct Collected(Snapshot);

impl Collector for Collected {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        FAMILIES.iter().try_for_each(|family| write(&self.0, family, &mut encoder))
    }
}

fn write(snapshot: &Snapshot, family: &Family, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let mut samples = Samples::default();
    (family.read)(snapshot, &mut samples);
    // One without samples is none.
    if samples.0.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(family.name, family.help, None, family.kind.of_client())?;
    for (labels, value) in &samples.0 {
        let labels: Vec<(&str, &str)> =
            family.labels.iter().copied().zip(labels.iter().map(|label| &**label)).collect();
        if labels.is_empty() {
            value.write(&mut metric)?;
        } else {
            value.write(&mut metric.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

impl Kind {
    fn of_client(self) -> MetricType {
        match self {
            Self::Counter => MetricType::Counter,
            Self::Gauge => MetricType::Gauge,
            Self::Histogram => MetricType::Histogram,
        }
    }
}

impl Value {
    fn write(&self, metric: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => metric.encode_counter::<NoLabelSet, _, u64>(count, None),
            Self::Level(level) => metric.encode_gauge(level),
            Self::Buckets { sum, buckets } => {
                let count = buckets.iter().map(|(_, count)| count).sum();
                metric.encode_histogram::<NoLabelSet>(*sum, count, buckets, None)
            }
        }
    }
}
