//! Metrics for Prometheus: a table of them, and the two formats that it is written in.
//!
//! No label is of a client's choosing, so their number is bounded by what an operator has configured.

mod families;
mod format;

pub(super) use format::{CLASSIC, OPEN_METRICS, classic, open_metrics};
