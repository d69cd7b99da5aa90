//! The account of a run, in Markdown, for the terminal and for a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::table::{Table, differences};

/// A table with a row per section, then a row per difference.
pub(super) fn summary(name: &str, took: Duration, expected: &Table, got: &Table) -> String {
    let mut sections: BTreeMap<u32, Section> = BTreeMap::new();
    for (case, verdict) in got {
        let section = sections.entry(case.parts()[0]).or_default();
        section.cases += 1;
        section.ok += usize::from(verdict.is("OK"));
        section.informational += usize::from(verdict.is("INFORMATIONAL"));
    }
    let differences = differences(expected, got);
    for row in &differences {
        sections.entry(row.case.parts()[0]).or_default().different += 1;
    }

    let mut text = format!("## {name}, in {} s\n\n", took.as_secs());
    text.push_str("| section | cases run | OK | INFORMATIONAL | not as expected |\n|---:|---:|---:|---:|---:|\n");
    let mut all = Section::default();
    for (number, section) in &sections {
        section.write_row(&mut text, &number.to_string());
        all.add(section);
    }
    all.write_row(&mut text, "all");
    if !differences.is_empty() {
        text.push_str("\n| case | expected (behaviour / close) | got |\n|---|---|---|\n");
    }
    for row in &differences {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{row}");
    }
    text
}

#[derive(Default)]
struct Section {
    cases: usize,
    ok: usize,
    informational: usize,
    different: usize,
}

impl Section {
    fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.ok += other.ok;
        self.informational += other.informational;
        self.different += other.different;
    }

    fn write_row(&self, text: &mut String, name: &str) {
        let Self { cases, ok, informational, different } = self;
        let _ = writeln!(text, "| {name} | {cases} | {ok} | {informational} | {different} |");
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::parse;
    use super::*;

    #[test]
    fn counts_by_section_and_names_every_difference() {
        let expected = parse("1.1\tOK\tOK\n1.2\tOK\tOK\n7.1\tINFORMATIONAL\tINFORMATIONAL\n10.1\tOK\tOK\n").unwrap();
        let got = parse("1.1\tOK\tOK\n1.2\tNON-STRICT\tOK\n7.1\tINFORMATIONAL\tINFORMATIONAL\n").unwrap();
        let text = summary("server over ws", Duration::from_millis(61_999), &expected, &got);
        assert_eq!(text.lines().next(), Some("## server over ws, in 61 s"));
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
        assert_eq!(
            rows,
            [
                "| 1 | 2 | 1 | 0 | 1 |",
                "| 7 | 1 | 0 | 1 | 0 |",
                "| 10 | 0 | 0 | 0 | 1 |",
                "| all | 3 | 1 | 1 | 2 |",
                "| case | expected (behaviour / close) | got |",
                "| 1.2 | OK / OK | NON-STRICT / OK |",
                "| 10.1 | OK / OK | nothing |",
            ]
        );
    }
}
