//! Cases and verdicts: the committed table, the suite's report, and where they differ.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::Result;

/// The number of a case, such as 7.1.6. Ordered as numbers: 9.2 comes before 10.1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CaseId(Vec<u32>);

impl CaseId {
    /// The numbers between the dots; there is at least one.
    pub(super) fn parts(&self) -> &[u32] {
        &self.0
    }

    fn parse(text: &str) -> Result<Self> {
        let parts: std::result::Result<_, _> = text.split('.').map(str::parse).collect();
        Ok(Self(parts.map_err(|_| format!("{text:?} is not the number of a case"))?))
    }
}

impl fmt::Display for CaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

/// What the suite says about a case, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    behavior: String,
    close: String,
}

impl Verdict {
    /// Whether both columns say `word`.
    pub(super) fn is(&self, word: &str) -> bool {
        self.behavior == word && self.close == word
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.behavior, self.close)
    }
}

pub(super) type Table = BTreeMap<CaseId, Verdict>;

/// Reads the committed table: case, behaviour and close behaviour between tabs; `#` begins a comment.
pub(super) fn parse(text: &str) -> Result<Table> {
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| match *row.split('\t').collect::<Vec<_>>() {
        [case, behavior, close] => {
            Ok((CaseId::parse(case)?, Verdict { behavior: behavior.to_owned(), close: close.to_owned() }))
        }
        _ => Err(format!("not a row of three columns: {row:?}")),
    })
    .collect()
}

/// Reads the `index.json` of a run against one server.
pub(super) fn parse_report(json: &str) -> Result<Table> {
    let report: Value = serde_json::from_str(json).map_err(|error| format!("the suite's report: {error}"))?;
    let cases = report.as_object().and_then(|agents| agents.values().next()).and_then(Value::as_object);
    let cases = cases.ok_or("the suite's report names no server")?;
    let word = |verdict: &Value, key: &str| verdict[key].as_str().unwrap_or("none").to_owned();
    cases
        .iter()
        .map(|(case, verdict)| {
            let verdict = Verdict { behavior: word(verdict, "behavior"), close: word(verdict, "behaviorClose") };
            Ok((CaseId::parse(case)?, verdict))
        })
        .collect()
}

/// The part of `table` that one of `patterns` names, by number or by its beginning and `*`; all of it if there are no
/// patterns. A pattern that names nothing is an error.
pub(super) fn select(mut table: Table, patterns: &[String]) -> Result<Table> {
    let named = |pattern: &str, case: &CaseId| match pattern.strip_suffix('*') {
        Some(beginning) => case.to_string().starts_with(beginning),
        None => case.to_string() == pattern,
    };
    if let Some(idle) = patterns.iter().find(|pattern| !table.keys().any(|case| named(pattern, case))) {
        return Err(format!("no case is named by {idle:?}"));
    }
    table.retain(|case, _| patterns.is_empty() || patterns.iter().any(|pattern| named(pattern, case)));
    Ok(table)
}

/// A case about which the table and the report disagree, or which one of them does not know.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference<'a> {
    pub(super) case: &'a CaseId,
    pub(super) expected: Option<&'a Verdict>,
    pub(super) got: Option<&'a Verdict>,
}

impl fmt::Display for Difference<'_> {
    /// A row of Markdown: the case, what was expected, and what came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |verdict: Option<&Verdict>| verdict.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        write!(f, "| {} | {} | {} |", self.case, show(self.expected), show(self.got))
    }
}

/// Every difference, in the order of the cases.
pub(super) fn differences<'a>(expected: &'a Table, got: &'a Table) -> Vec<Difference<'a>> {
    let cases: BTreeSet<&CaseId> = expected.keys().chain(got.keys()).collect();
    cases
        .into_iter()
        .map(|case| Difference { case, expected: expected.get(case), got: got.get(case) })
        .filter(|row| row.expected != row.got)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        parse(text).unwrap()
    }

    #[test]
    fn finds_every_difference() {
        let expected =
            table("# comment\n1.1\tOK\tOK\n7.1.6\tINFORMATIONAL\tINFORMATIONAL\n9.2\tOK\tOK\n10.1.1\tOK\tOK\n");
        let check = |got: &str, rows: &[&str]| {
            let got = table(got);
            let show = |verdict: Option<&Verdict>| verdict.map_or_else(|| "none".to_owned(), ToString::to_string);
            let found = differences(&expected, &got);
            let found: Vec<_> =
                found.iter().map(|row| format!("{}: {} | {}", row.case, show(row.expected), show(row.got))).collect();
            assert_eq!(found, rows);
        };
        let same = "1.1\tOK\tOK\n7.1.6\tINFORMATIONAL\tINFORMATIONAL\n9.2\tOK\tOK\n10.1.1\tOK\tOK\n";
        check(same, &[]);
        check(&same.replace("9.2\tOK", "9.2\tNON-STRICT"), &["9.2: OK / OK | NON-STRICT / OK"]);
        check(&same.replace("9.2\tOK\tOK", "9.2\tOK\tFAILED"), &["9.2: OK / OK | OK / FAILED"]);
        check(&same.replace("9.2\tOK\tOK\n", ""), &["9.2: OK / OK | none"]);
        check(&format!("{same}12.1.1\tOK\tOK\n"), &["12.1.1: none | OK / OK"]);
        check(
            "",
            &[
                "1.1: OK / OK | none",
                "7.1.6: INFORMATIONAL / INFORMATIONAL | none",
                "9.2: OK / OK | none",
                "10.1.1: OK / OK | none",
            ],
        );
    }

    #[test]
    fn refuses_a_broken_table() {
        for broken in ["1.1\tOK\n", "1.1\tOK\tOK\tOK\n", "one\tOK\tOK\n", "\n"] {
            assert!(parse(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn reads_the_report_of_the_suite() {
        let report =
            r#"{"rikki": {"9.2": {"behavior": "OK", "behaviorClose": "NON-STRICT", "duration": 3}, "1.1": {}}}"#;
        assert_eq!(parse_report(report), Ok(table("1.1\tnone\tnone\n9.2\tOK\tNON-STRICT\n")));
        assert!(parse_report("{}").is_err());
        assert!(parse_report("not JSON").is_err());
    }

    #[test]
    fn selects_by_number_and_by_beginning() {
        let check = |patterns: &[&str], expected: std::result::Result<&[&str], &str>| {
            let all = table("1.1.1\tOK\tOK\n1.1.2\tOK\tOK\n1.10.1\tOK\tOK\n10.1\tOK\tOK\n");
            let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
            let selected =
                select(all, &patterns).map(|table| table.keys().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(
                selected,
                expected.map(|cases| cases.iter().map(ToString::to_string).collect()).map_err(str::to_owned)
            );
        };
        check(&[], Ok(&["1.1.1", "1.1.2", "1.10.1", "10.1"]));
        check(&["1.*"], Ok(&["1.1.1", "1.1.2", "1.10.1"]));
        check(&["1.1.*", "10.1"], Ok(&["1.1.1", "1.1.2", "10.1"]));
        check(&["1.1"], Err("no case is named by \"1.1\""));
        check(&["1.*", ""], Err("no case is named by \"\""));
    }
}
