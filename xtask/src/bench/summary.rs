//! All results on one page: how rikki compares in each case, and how far the figures can be trusted.

use std::fmt::Write as _;

use super::Outcome;
use super::goals::{Ratio, Rivals, best_rival, of, own};
use super::report::{Machine, NONE, fine, row, whole};
use super::samples::{BYTES, CALLS, CPU, INSTRUCTIONS, MILLISECONDS, PER_SECOND, Samples, median};
use super::server::{PEERS, Peer};

/// The page of all cases.
pub(super) fn page(outcomes: &[Outcome], machine: &Machine) -> String {
    let mut text = format!("# Results\n\n{}\n![ratios](ratios.svg)\n\n", machine.describe());
    text.push_str(
        "Each case has a page of its own. Ratios are to the best of the others, whoever that is: medians of what each \
         round gives; above 1 rikki is better. Memory takes the place of speed where no time is measured. Instructions \
         are those in user space, and like system calls per message.\n\n",
    );
    let titles = [
        "rikki",
        "speed",
        "CPU time",
        "rounds",
        "instructions",
        "the least of others",
        "system calls",
        "others",
        "goals",
    ];
    text.push_str(&row("case", titles.iter().map(|title| (*title).to_owned())));
    text.push_str("|---|--:|--:|--:|--:|--:|--:|--:|--:|---|\n");
    for outcome in outcomes {
        let first = format!("[{}]({}.md)", outcome.case.title, outcome.case.name);
        text.push_str(&row(&first, cells(outcome).into_iter()));
    }
    text.push_str(&noise(outcomes));
    let took_part = |peer: Peer| outcomes.iter().any(|outcome| outcome.results.iter().any(|(other, _)| *other == peer));
    let names: Vec<_> =
        PEERS.iter().filter(|peer| took_part(**peer)).map(|peer| machine.name(*peer).replace("**", "")).collect();
    // Nothing here fails: a line that is written into a string.
    let _ = writeln!(text, "\nServers: {}.", names.join(", "));
    text
}

fn cells(outcome: &Outcome) -> [String; 9] {
    let own = own(&outcome.results);
    let value = |own: &Samples| match (own.median(PER_SECOND), own.median(MILLISECONDS)) {
        (Some(_), _) => whole(own, PER_SECOND) + "/s",
        (_, Some(_)) => fine(own, MILLISECONDS) + " ms",
        _ => whole(own, BYTES) + " bytes",
    };
    let against = |quantity| {
        best_rival(&outcome.results, quantity, Rivals::All)
            .map_or(NONE.to_owned(), |Ratio { rival, times }| format!("{times:.2} x {}", rival.name()))
    };
    type Write = fn(&Samples, &str) -> String;
    let counted = |quantity, write: Write| own.map_or(NONE.to_owned(), |own| write(own, quantity));
    let others = |quantity, write: Write| {
        let rival = best_rival(&outcome.results, quantity, Rivals::All);
        let samples = rival.and_then(|Ratio { rival, .. }| Some((rival, of(&outcome.results, rival)?)));
        samples.map_or(NONE.to_owned(), |(rival, samples)| format!("{} {}", write(samples, quantity), rival.name()))
    };
    let speed = if own.is_some_and(|own| own.median(PER_SECOND).is_some()) { PER_SECOND } else { BYTES };
    let widest = spreads(outcome).into_iter().reduce(f64::max);
    let goals = match outcome.goals.iter().filter(|goal| !goal.met).count() {
        _ if outcome.goals.is_empty() => NONE.to_owned(),
        0 => "met".to_owned(),
        missed => format!("**{missed} of {} missed**", outcome.goals.len()),
    };
    [
        own.map_or(NONE.to_owned(), value),
        against(speed),
        against(CPU),
        widest.map_or(NONE.to_owned(), |widest| format!("±{:.0} %", widest * 100.0)),
        counted(INSTRUCTIONS, whole),
        others(INSTRUCTIONS, whole),
        counted(CALLS, fine),
        others(CALLS, fine),
        goals,
    ]
}

/// How far the rounds of each server lie from their middle, speed and CPU time, as a part of it.
fn spreads(outcome: &Outcome) -> Vec<f64> {
    let of = |quantity| {
        outcome.results.iter().filter_map(move |(_, samples)| samples.spread(quantity).map(|spread| spread / 2.0))
    };
    of(PER_SECOND).chain(of(CPU)).collect()
}

fn noise(outcomes: &[Outcome]) -> String {
    let all: Vec<_> = outcomes.iter().flat_map(spreads).collect();
    let (Some(middle), Some(widest)) = (median(&all), all.iter().copied().reduce(f64::max)) else {
        return String::new();
    };
    format!(
        "\nHow noisy it was: the rounds of a server lie ±{:.1} % around their middle in the median, ±{:.0} % at most; \
         the column shows the noisiest server of a case.\n",
        middle * 100.0,
        widest * 100.0
    )
}
