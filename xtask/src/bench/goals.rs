//! What rikki has to reach, and whether it does.

use super::samples::{CPU, PER_SECOND, Samples};
use super::server::Peer;

/// What two runs of the same server may differ by: "at least as fast" means beyond this.
const NOISE: f64 = 0.03;

#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Messages per second and per second of CPU, so many times those of the best of `Rivals`.
    Faster(f64, Rivals),
    /// Messages per second of CPU alone, so many times those of the best of `Rivals`.
    Thriftier(f64, Rivals),
    /// CPU time per message, at most so many times that of bare TCP.
    OfTcp(f64),
    /// As many in a second as rikki has in an earlier case of the same run.
    AsFastAs(&'static str),
    /// So much of a quantity at most.
    AtMost(&'static str, f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rivals {
    Libraries,
    Uws,
    Nginx,
    /// The one of this name.
    One(&'static str),
    All,
}

/// A goal that could be judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) text: String,
    pub(super) met: bool,
}

impl Rivals {
    fn include(self, peer: Peer) -> bool {
        if let Self::One(name) = self {
            return peer.name() == name;
        }
        match peer {
            Peer::Library(_) => matches!(self, Self::Libraries | Self::All),
            Peer::Uws => matches!(self, Self::Uws | Self::All),
            Peer::Nginx { .. } => matches!(self, Self::Nginx | Self::All),
            Peer::Node | Peer::Lws => self == Self::All,
            Peer::Rikki | Peer::Senders { .. } | Peer::Tcp => false,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Libraries => "the best Rust library",
            Self::Uws => "uWebSockets",
            Self::Nginx => "nginx",
            Self::One(name) => name,
            Self::All => "the best of all",
        }
    }
}

/// The `goals` that the results say something about. `earlier` tells how many rikki had in a second in another case.
pub(super) fn judge(goals: &[Goal], results: &[(Peer, Samples)], earlier: &dyn Fn(&str) -> Option<f64>) -> Vec<Judged> {
    goals.iter().flat_map(|goal| judge_one(*goal, results, earlier)).collect()
}

/// How rikki compares with the best of the others in one quantity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    pub(super) rival: Peer,
    /// Above one rikki is better, whatever better means for the quantity.
    pub(super) times: f64,
}

/// The one of the `rivals` that comes off best against rikki.
pub(super) fn best_rival(results: &[(Peer, Samples)], quantity: &str, rivals: Rivals) -> Option<Ratio> {
    let own = own(results)?;
    let ratios = results.iter().filter(|(peer, _)| rivals.include(*peer)).filter_map(|(peer, other)| {
        let (above, below) = if quantity == PER_SECOND { (own, other) } else { (other, own) };
        Some(Ratio { rival: *peer, times: above.times(below, quantity)?.median })
    });
    ratios.min_by(|a, b| a.times.total_cmp(&b.times))
}

/// What rikki has reached.
pub(super) fn own(results: &[(Peer, Samples)]) -> Option<&Samples> {
    of(results, Peer::Rikki)
}

/// What was measured of one server, if it has taken part.
pub(super) fn of(results: &[(Peer, Samples)], wanted: Peer) -> Option<&Samples> {
    results.iter().find(|(peer, _)| *peer == wanted).map(|(_, samples)| samples)
}

fn judge_one(goal: Goal, results: &[(Peer, Samples)], earlier: &dyn Fn(&str) -> Option<f64>) -> Vec<Judged> {
    let own_median = |quantity| own(results)?.median(quantity);
    match goal {
        Goal::Faster(factor, rivals) | Goal::Thriftier(factor, rivals) => {
            let both = [(PER_SECOND, "per second"), (CPU, "per second of CPU")];
            let quantities = if matches!(goal, Goal::Thriftier(..)) { &both[1..] } else { &both };
            let judged = quantities.iter().filter_map(|(quantity, what)| {
                let Ratio { times, .. } = best_rival(results, quantity, rivals)?;
                let text = format!("{what}: {times:.2} x {} (goal {factor:.2} x)", rivals.text());
                Some(Judged { text, met: times >= factor * (1.0 - NOISE) })
            });
            judged.collect()
        }
        Goal::OfTcp(factor) => {
            let ratio = own(results)
                .zip(of(results, Peer::Tcp))
                .and_then(|(own, limit)| own.times(limit, CPU))
                .map(|ratio| ratio.median);
            let judged = ratio.map(|ratio| Judged {
                text: format!("CPU per message: {ratio:.2} x bare TCP (goal at most {factor:.2} x)"),
                met: ratio <= factor * (1.0 + NOISE),
            });
            judged.into_iter().collect()
        }
        Goal::AsFastAs(case) => {
            let ratio = own_median(PER_SECOND).zip(earlier(case)).map(|(own, other)| own / other);
            let judged = ratio.map(|ratio| Judged {
                text: format!("per second: {ratio:.2} x rikki in {case} (goal 1.00 x)"),
                met: ratio >= 1.0 - NOISE,
            });
            judged.into_iter().collect()
        }
        Goal::AtMost(quantity, most) => {
            let judged = own_median(quantity)
                .map(|own| Judged { text: format!("{quantity}: {own:.0} (goal at most {most:.0})"), met: own <= most });
            judged.into_iter().collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::BYTES;
    use super::*;

    fn result(peer: Peer, per_second: f64, cpu: f64) -> (Peer, Samples) {
        let mut samples = Samples::default();
        samples.add(PER_SECOND, per_second);
        samples.add(CPU, cpu);
        (peer, samples)
    }

    #[test]
    fn judges_against_the_best_rival() {
        let results = [
            result(Peer::Rikki, 100.0, 10.0),
            result(Peer::Library("slow"), 50.0, 30.0),
            result(Peer::Library("fast"), 80.0, 20.0),
            result(Peer::Node, 90.0, 40.0),
            result(Peer::Tcp, 400.0, 8.0),
        ];
        let check = |goal, expected: &[(&str, bool)]| {
            let judged = judge_one(goal, &results, &|case| (case == "other").then_some(104.0));
            let judged: Vec<_> = judged.iter().map(|judged| (judged.text.as_str(), judged.met)).collect();
            assert_eq!(judged, expected);
        };
        check(
            Goal::Faster(1.5, Rivals::Libraries),
            &[
                ("per second: 1.25 x the best Rust library (goal 1.50 x)", false),
                ("per second of CPU: 2.00 x the best Rust library (goal 1.50 x)", true),
            ],
        );
        check(
            Goal::Faster(1.0, Rivals::All),
            &[
                ("per second: 1.11 x the best of all (goal 1.00 x)", true),
                ("per second of CPU: 2.00 x the best of all (goal 1.00 x)", true),
            ],
        );
        check(
            Goal::Faster(1.2, Rivals::One("slow")),
            &[("per second: 2.00 x slow (goal 1.20 x)", true), ("per second of CPU: 3.00 x slow (goal 1.20 x)", true)],
        );
        check(Goal::Thriftier(2.5, Rivals::One("slow")), &[("per second of CPU: 3.00 x slow (goal 2.50 x)", true)]);
        check(Goal::Faster(1.0, Rivals::One("nobody")), &[]);
        check(Goal::Faster(1.0, Rivals::Uws), &[]);
        check(Goal::Faster(1.0, Rivals::Nginx), &[]);
        check(Goal::OfTcp(1.05), &[("CPU per message: 1.25 x bare TCP (goal at most 1.05 x)", false)]);
        check(Goal::OfTcp(1.25), &[("CPU per message: 1.25 x bare TCP (goal at most 1.25 x)", true)]);
        check(Goal::AtMost(CPU, 10.0), &[("cpu_us: 10 (goal at most 10)", true)]);
        check(Goal::AtMost(BYTES, 10.0), &[]);
        check(Goal::AsFastAs("other"), &[("per second: 0.96 x rikki in other (goal 1.00 x)", false)]);
        check(Goal::AsFastAs("not run"), &[]);
    }

    #[test]
    fn finds_the_best_of_the_others() {
        let mut results = [
            result(Peer::Rikki, 90.0, 30.0),
            result(Peer::Node, 60.0, 40.0),
            result(Peer::Uws, 45.0, 15.0),
            result(Peer::Tcp, 1e9, 0.1),
        ];
        results[0].1.add(BYTES, 1000.0);
        results[1].1.add(BYTES, 500.0);
        let check = |results, quantity, rivals, expected: Option<(Peer, f64)>| {
            let expected = expected.map(|(rival, times)| Ratio { rival, times });
            assert_eq!(best_rival(results, quantity, rivals), expected, "{quantity}");
        };
        check(&results, PER_SECOND, Rivals::All, Some((Peer::Node, 1.5)));
        check(&results, PER_SECOND, Rivals::Uws, Some((Peer::Uws, 2.0)));
        check(&results, CPU, Rivals::All, Some((Peer::Uws, 0.5)));
        check(&results, BYTES, Rivals::All, Some((Peer::Node, 0.5)));
        check(&results[..1], CPU, Rivals::All, None);
        check(&results[1..], CPU, Rivals::All, None);
    }
}
