//! Whether rikki spends more instructions or system calls on a message than what is committed says.
//!
//! Counts need no quiet machine and no other server, so this is a part of CI. What is timed is not judged here.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::cases::{BROADCAST, CASES, Case, WATCHED};
use super::counts;
use super::samples::{CALLS, INSTRUCTIONS, Samples};
use super::server::Peer;
use super::{BENCH, Bench, Options, select};
use crate::Result;
use crate::install::{self, Missing};
use crate::process::output;
use crate::project::Project;
use crate::suites::{Outcome, account};

/// What is committed.
const FILE: &str = "bench/counts.tsv";

/// How to write it anew.
const RENEW: &str = "`cargo xtask bench --gate --renew`";

/// What a count may be above the committed one, as a part of it. On one machine they repeat to a quarter of this.
const TOLERANCE: f64 = 0.02;

/// How often a case is counted that has more than it may: what else happens on a machine adds to a count, and takes
/// nothing away.
const ATTEMPTS: usize = 3;

/// The cases whose counts repeat to half a percent and that are done in seconds, beside [`BROADCAST`] and [`WATCHED`].
const GATED: [&str; 15] = [
    "echo-20",
    "echo-20-pipelined",
    "echo-16k",
    "echo-1m",
    "tls-echo-20",
    "tls-echo-16k",
    "connect",
    "tls-handshake",
    "tls-resumed",
    "deflate",
    "http-rest",
    "http-file-1k",
    "http-file-304",
    "http-file-404",
    "http-file-range",
];

const QUANTITIES: [&str; 2] = [INSTRUCTIONS, CALLS];

/// Counts per message, by case, in the order of [`QUANTITIES`].
type Counts = BTreeMap<String, [Option<f64>; 2]>;

/// What is committed: the counts, and what they were made with.
#[derive(Debug, Default, PartialEq)]
struct Committed {
    with: String,
    counts: Counts,
}

/// Counts what `options` ask for and judges it, or writes it anew; false if something has become more.
pub(super) fn run(project: &Project, options: &Options) -> Result<bool> {
    let cases = select(&cases(), |case| case.name, &options.cases)?;
    if options.renew {
        return renew(project, &cases, options).map(|()| true);
    }
    Ok(account(&[judged(project, &cases)], false))
}

/// The same as a suite of tests.
pub(crate) fn suite(project: &Project) -> Outcome {
    judged(project, &cases())
}

/// Those that are counted of the command itself: what belongs to other programs is not built for this.
fn cases() -> Vec<Case> {
    let timed = CASES.iter().filter(|case| GATED.contains(&case.name));
    timed.chain([&BROADCAST, &WATCHED]).copied().collect()
}

fn judged(project: &Project, cases: &[Case]) -> Outcome {
    let suite = "instructions and system calls per message".to_owned();
    if !cfg!(target_os = "linux") {
        return Outcome::new(&suite, Err(Missing("they are counted on Linux".to_owned())));
    }
    if let Err(missing) = install::counters() {
        return Outcome::new(&suite, Err(missing));
    }
    println!("counting {suite}");
    match made_with().and_then(|with| Ok((with, read()?))) {
        Err(error) => Outcome::failed(&suite, error),
        // Not a failure: whoever has another compiler has not made anything slower.
        Ok((with, committed)) if with != committed.with => {
            let missing = Missing(format!(
                "{FILE} was made with {}, and here is {with}: {RENEW} makes it anew, from a commit that is known to be \
                 good",
                committed.with
            ));
            Outcome::new(&suite, Err(missing))
        }
        Ok((_, committed)) => match judge_all(project, cases, &committed.counts) {
            Ok((passed, failures)) => Outcome::ran(&suite, passed, failures),
            Err(error) => Outcome::failed(&suite, error),
        },
    }
}

/// How many passed, and what failed.
fn judge_all(project: &Project, cases: &[Case], committed: &Counts) -> Result<(usize, Vec<String>)> {
    let bench = Bench::prepare_to_count(project)?;
    let (mut all_passed, mut failures) = (0, Vec::new());
    for case in cases {
        let mut found = count(&bench, case)?;
        let mut verdicts = judge(case.name, committed.get(case.name), &found);
        for _ in 1..ATTEMPTS {
            if verdicts.iter().all(|verdict| verdict.passed) {
                break;
            }
            found = least(&found, &count(&bench, case)?);
            verdicts = judge(case.name, committed.get(case.name), &found);
        }
        for Verdict { text, passed } in verdicts {
            println!("{text}");
            if passed {
                all_passed += 1;
            } else {
                failures.push(text);
            }
        }
    }
    Ok((all_passed, failures))
}

fn renew(project: &Project, cases: &[Case], options: &Options) -> Result<()> {
    install::counters().map_err(|missing| missing.to_string())?;
    let with = made_with()?;
    let mut committed = Committed { with, counts: Counts::new() };
    if !options.cases.is_empty() {
        let old = read()?;
        if old.with != committed.with {
            return Err(format!("{FILE} was made with {}, so that all cases have to be counted anew", old.with));
        }
        committed.counts = old.counts;
    }
    let bench = Bench::prepare_to_count(project)?;
    for case in cases {
        // As a gate would take them: the least of some.
        let mut found = count(&bench, case)?;
        for _ in 1..ATTEMPTS {
            found = least(&found, &count(&bench, case)?);
        }
        println!("{}", line(case.name, &found));
        committed.counts.insert(case.name.to_owned(), found);
    }
    let path = path();
    fs::write(&path, write(&committed)).map_err(|error| format!("{}: {error}", path.display()))
}

fn count(bench: &Bench, case: &Case) -> Result<[Option<f64>; 2]> {
    let mut samples = Samples::default();
    counts::count(bench, case, Peer::Rikki, &mut samples).map_err(|error| format!("{}: {error}", case.name))?;
    Ok(QUANTITIES.map(|quantity| samples.median(quantity)))
}

fn least(one: &[Option<f64>; 2], other: &[Option<f64>; 2]) -> [Option<f64>; 2] {
    let [instructions, calls] = one;
    let [more_instructions, more_calls] = other;
    let least = |one: &Option<f64>, other: &Option<f64>| one.zip(*other).map(|(one, other)| one.min(other));
    [least(instructions, more_instructions), least(calls, more_calls)]
}

#[derive(Debug, PartialEq)]
struct Verdict {
    text: String,
    passed: bool,
}

/// One verdict for each quantity that was counted or committed.
fn judge(case: &str, committed: Option<&[Option<f64>; 2]>, found: &[Option<f64>; 2]) -> Vec<Verdict> {
    let pairs = QUANTITIES.iter().zip(committed.unwrap_or(&[None; 2])).zip(found);
    pairs
        .filter_map(|((quantity, before), now)| judge_one(&format!("{case}: {quantity} per message"), *before, *now))
        .collect()
}

fn judge_one(what: &str, before: Option<f64>, now: Option<f64>) -> Option<Verdict> {
    let (before, now) = match (before, now) {
        (None, None) => return None,
        (None, Some(now)) => {
            let text = format!("{what}: {}, of which {FILE} knows nothing: {RENEW} writes it down", number(now));
            return Some(Verdict { text, passed: false });
        }
        (Some(before), None) => {
            let text = format!("{what}: not counted, and {FILE} has {}: {RENEW} takes it out", number(before));
            return Some(Verdict { text, passed: false });
        }
        (Some(before), Some(now)) => (before, now),
    };
    let change = now / before - 1.0;
    let text = format!("{what}: {} before, {} now ({:+.1} %)", number(before), number(now), change * 100.0);
    let verdict = if now > before * (1.0 + TOLERANCE) {
        let text = format!(
            "{text}, which is more than {:.0} % more. Mend it, or, if that is its price, {RENEW} writes {FILE} anew, and \
             the commit says what for",
            TOLERANCE * 100.0
        );
        Verdict { text, passed: false }
    } else if now < before * (1.0 - TOLERANCE) {
        Verdict { text: format!("{text}; {RENEW} keeps it so"), passed: true }
    } else {
        Verdict { text, passed: true }
    };
    Some(verdict)
}

/// What the counts depend on beside the sources: the compiler, the tool, and which variants of their functions libc and
/// libraries choose for the processor that valgrind shows them.
fn made_with() -> Result<String> {
    let say = |program: &str, argument: &str| {
        let text = output(Command::new(program).arg(argument), Duration::from_secs(20))?;
        Ok::<_, String>(text.trim().to_owned())
    };
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").map_err(|error| format!("/proc/cpuinfo: {error}"))?;
    let has_avx2 = cpuinfo.lines().any(|line| line.starts_with("flags") && line.split(' ').any(|flag| flag == "avx2"));
    Ok(format!(
        "{}, {}, {}, {}{}",
        say("rustc", "--version")?,
        say("valgrind", "--version")?,
        say("getconf", "GNU_LIBC_VERSION").unwrap_or_else(|_| "another libc".to_owned()),
        std::env::consts::ARCH,
        if has_avx2 { " with AVX2" } else { "" }
    ))
}

const TITLES: &str = "case\tinstructions\tsystem calls";
const WITH: &str = "# made with ";

fn path() -> PathBuf {
    Path::new(BENCH).join("..").join(FILE)
}

fn read() -> Result<Committed> {
    let path = path();
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}; {RENEW} makes it", path.display()))?;
    parse(&text)
}

fn parse(text: &str) -> Result<Committed> {
    let mut committed = Committed::default();
    for line in text.lines() {
        if let Some(with) = line.strip_prefix(WITH) {
            with.clone_into(&mut committed.with);
        } else if !line.starts_with('#') && line != TITLES {
            let (case, counts) = parse_line(line).ok_or_else(|| format!("{FILE}: {line:?} is no line of it"))?;
            committed.counts.insert(case, counts);
        }
    }
    Ok(committed)
}

fn parse_line(line: &str) -> Option<(String, [Option<f64>; 2])> {
    let mut fields = line.split('\t');
    let case = fields.next()?.to_owned();
    let mut count = || match fields.next()? {
        "-" => Some(None),
        // Above zero: there is nothing to compare with otherwise.
        number => number.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0).map(Some),
    };
    let counts = [count()?, count()?];
    fields.next().is_none().then_some((case, counts))
}

fn write(committed: &Committed) -> String {
    let mut text = format!(
        "# What rikki may spend on a message; more than {:.0} % above it fails in CI. Written by {RENEW}:\n\
         # bench/README.md says what is counted, and how.\n\
         {WITH}{}\n{TITLES}\n",
        TOLERANCE * 100.0,
        committed.with
    );
    for (case, counts) in &committed.counts {
        // Nothing here fails: a line that is written into a string.
        let _ = writeln!(text, "{}", line(case, counts));
    }
    text
}

fn line(case: &str, counts: &[Option<f64>; 2]) -> String {
    let [instructions, calls] = counts.map(|count| count.map_or("-".to_owned(), number));
    format!("{case}\t{instructions}\t{calls}")
}

/// With as many digits as repeat.
fn number(count: f64) -> String {
    if count < 100.0 { format!("{count:.3}") } else { format!("{count:.0}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn judges_what_has_become_more_and_what_has_become_less() {
        let check = |before, now, passed, expected: &str| {
            let verdict = judge_one("a", before, now).unwrap();
            assert!(verdict.text.contains(expected) && verdict.passed == passed, "{before:?} {now:?}: {verdict:?}");
        };
        check(Some(1000.0), Some(1020.0), true, "a: 1000 before, 1020 now (+2.0 %)");
        check(Some(1000.0), Some(1021.0), false, "a: 1000 before, 1021 now (+2.1 %), which is more than 2 % more");
        check(Some(1000.0), Some(1021.0), false, "`cargo xtask bench --gate --renew` writes bench/counts.tsv anew");
        check(Some(1000.0), Some(970.0), true, "(-3.0 %); `cargo xtask bench --gate --renew` keeps it so");
        check(Some(2.0), Some(2.1), false, "2.000 before, 2.100 now (+5.0 %)");
        check(None, Some(5.0), false, "5.000, of which bench/counts.tsv knows nothing");
        check(Some(5.0), None, false, "not counted, and bench/counts.tsv has 5.000");
        assert_eq!(judge_one("a", None, None), None);
        let verdicts = judge("echo", Some(&[Some(100.0), Some(2.0)]), &[Some(103.0), Some(2.0)]);
        let told: Vec<_> = verdicts.iter().map(|verdict| (verdict.passed, verdict.text.split(':').nth(1))).collect();
        assert_eq!(told, [(false, Some(" instructions per message")), (true, Some(" system calls per message"))]);
        assert_eq!(judge("new", None, &[Some(1.0), None]).len(), 1);
    }

    #[test]
    fn a_second_count_can_only_lower_the_first() {
        assert_eq!(least(&[Some(3.0), Some(1.0)], &[Some(2.0), Some(4.0)]), [Some(2.0), Some(1.0)]);
        assert_eq!(least(&[None, Some(1.0)], &[None, Some(4.0)]), [None, Some(1.0)]);
    }

    #[test]
    fn reads_what_it_writes_and_refuses_the_rest() {
        let counts = [("a".to_owned(), [Some(1234.0), Some(2.125)]), ("b".to_owned(), [None, Some(5.0)])];
        let committed = Committed { with: "rustc 1, valgrind-2".to_owned(), counts: counts.into() };
        let text = write(&committed);
        assert_eq!(parse(&text), Ok(committed), "{text}");
        for wrong in ["a\t1", "a\t1\t2\t3", "a\tx\t1", "a\t0\t1", "a\tNaN\t1", "a", ""] {
            let error = parse(&format!("{TITLES}\n{wrong}\n")).unwrap_err();
            assert!(error.contains("is no line of it"), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn what_is_committed_has_every_case_and_no_other() {
        let committed = read().unwrap();
        let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
        names.sort_unstable();
        assert_eq!(committed.counts.keys().map(String::as_str).collect::<Vec<_>>(), names);
        for case in cases() {
            let counted = committed.counts[case.name].map(|count| count.is_some());
            assert_eq!(counted, [case.counted.instructions, case.counted.calls], "{}", case.name);
        }
    }
}
