//! Metrics for Prometheus: a table of them, and the two formats that it is written in.
//!
//! No label is of a client's choosing, so their number is bounded by what an operator has configured.

mod families;
mod format;

pub(super) use format::{CLASSIC, OPEN_METRICS, classic, open_metrics};

#[cfg(all(test, feature = "tls", feature = "topics"))]
mod tests {
    use super::families::{FAMILIES, Kind};

    /// What is told is what the documentation says.
    #[test]
    fn the_table_has_each_metric() {
        let page = include_str!("../../../../../docs/admin.md");
        let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| `rikki_")).collect();
        let expected = FAMILIES.iter().map(|family| {
            let (total, kind) = match family.kind {
                Kind::Counter => ("_total", "counter"),
                Kind::Gauge => ("", "gauge"),
                Kind::Histogram => ("", "histogram"),
            };
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            format!("| `{}{total}` | {kind} | {} | {} |", family.name, labels.join(", "), family.help)
        });
        let expected: Vec<_> = expected.collect();
        assert_eq!(rows, expected, "as a table:\n{}", expected.join("\n"));
    }
}
