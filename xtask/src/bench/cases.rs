//! What is compared, and what rikki has to reach in it.

use super::server::Peer;
use super::{BYTES, CPU, INSTRUCTIONS, PER_SECOND, Samples};

/// What two runs of the same server may differ by: "at least as fast" means beyond this.
const NOISE: f64 = 0.03;

#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// The load generator's mode and options.
    pub(super) mode: &'static str,
    pub(super) load: &'static [&'static str],
    pub(super) tls: bool,
    /// Whether instructions and system calls are counted too.
    pub(super) counted: bool,
    pub(super) goals: &'static [Goal],
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Messages per second and per second of CPU, so many times those of the best of `Rivals`.
    Faster(f64, Rivals),
    /// CPU time per message, at most so many times that of bare TCP.
    OfTcp(f64),
    /// So much of a quantity at most.
    AtMost(&'static str, f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rivals {
    Libraries,
    Uws,
    All,
}

/// A goal that could be judged.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) text: String,
    pub(super) met: bool,
}

const ECHO: Case = Case { name: "", title: "", mode: "echo", load: &[], tls: false, counted: false, goals: &[] };

pub(super) const CASES: &[Case] = &[
    Case {
        name: "echo-20",
        title: "Echo, 20 B, 100 connections, 1 in flight",
        load: &["--size", "20", "--connections", "100"],
        counted: true,
        goals: &[
            Goal::Faster(1.0, Rivals::Uws),
            Goal::Faster(1.0, Rivals::Libraries),
            Goal::OfTcp(1.05),
            Goal::AtMost(INSTRUCTIONS, 1000.0),
        ],
        ..ECHO
    },
    Case {
        name: "echo-20-many",
        title: "Echo, 20 B, 1,000 connections, 1 in flight",
        load: &["--size", "20", "--connections", "1000"],
        goals: &[Goal::Faster(1.0, Rivals::Uws), Goal::Faster(1.0, Rivals::Libraries), Goal::OfTcp(1.05)],
        ..ECHO
    },
    Case {
        name: "echo-20-pipelined",
        title: "Echo, 20 B, 100 connections, 16 in flight",
        load: &["--size", "20", "--connections", "100", "--inflight", "16"],
        counted: true,
        goals: &[Goal::Faster(1.1, Rivals::Uws), Goal::Faster(2.0, Rivals::Libraries)],
        ..ECHO
    },
    Case {
        name: "echo-16k",
        title: "Echo, 16 KiB, 20 connections, 1 in flight",
        load: &["--size", "16384", "--connections", "20"],
        goals: &[Goal::Faster(1.05, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "echo-1m",
        title: "Echo, 1 MiB, 4 connections, 1 in flight",
        load: &["--size", "1048576", "--connections", "4"],
        goals: &[Goal::Faster(1.1, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-20",
        title: "Echo over TLS, 20 B, 100 connections, 1 in flight",
        load: &["--size", "20", "--connections", "100"],
        tls: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-20-pipelined",
        title: "Echo over TLS, 20 B, 100 connections, 16 in flight",
        load: &["--size", "20", "--connections", "100", "--inflight", "16"],
        tls: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-16k",
        title: "Echo over TLS, 16 KiB, 20 connections, 1 in flight",
        load: &["--size", "16384", "--connections", "20"],
        tls: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "tls-echo-1m",
        title: "Echo over TLS, 1 MiB, 4 connections, 1 in flight",
        load: &["--size", "1048576", "--connections", "4"],
        tls: true,
        goals: &[Goal::Faster(1.2, Rivals::All)],
        ..ECHO
    },
    Case {
        name: "connect",
        title: "Connections opened: TCP, upgrade, reset, 50 at a time",
        mode: "connect",
        load: &["--connections", "50"],
        goals: &[Goal::Faster(1.2, Rivals::Libraries)],
        ..ECHO
    },
    Case {
        name: "idle",
        title: "Memory of 9,000 idle connections",
        mode: "idle",
        load: &["--connections", "9000"],
        goals: &[Goal::AtMost(BYTES, 900.0)],
        ..ECHO
    },
    Case {
        name: "tls-idle",
        title: "Memory of 9,000 idle connections with TLS",
        mode: "idle",
        load: &["--connections", "9000"],
        tls: true,
        goals: &[Goal::AtMost(BYTES, 16.0 * 1024.0)],
        ..ECHO
    },
];

impl Case {
    /// Whether `peer` can take part: bare TCP answers no upgrade, and uWebSockets is given without TLS.
    pub(super) fn takes(&self, peer: Peer) -> bool {
        match peer {
            Peer::Tcp => self.mode == "echo" && !self.tls,
            Peer::Uws => !self.tls,
            Peer::Rikki | Peer::Library(_) => true,
        }
    }
}

impl Rivals {
    fn include(self, peer: Peer) -> bool {
        match peer {
            Peer::Library(_) => self != Self::Uws,
            Peer::Uws => self != Self::Libraries,
            Peer::Rikki | Peer::Tcp => false,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Libraries => "the best Rust library",
            Self::Uws => "uWebSockets",
            Self::All => "the best of all",
        }
    }
}

/// The goals of `case` that the results say something about.
pub(super) fn judge(case: &Case, results: &[(Peer, Samples)]) -> Vec<Judged> {
    case.goals.iter().flat_map(|goal| judge_one(*goal, results)).collect()
}

fn judge_one(goal: Goal, results: &[(Peer, Samples)]) -> Vec<Judged> {
    let median = |wanted: Peer, quantity| results.iter().find(|(peer, _)| *peer == wanted)?.1.median(quantity);
    match goal {
        Goal::Faster(factor, rivals) => {
            let best = |quantity, pick: fn(f64, f64) -> f64| {
                let of_rivals = results.iter().filter(|(peer, _)| rivals.include(*peer));
                of_rivals.filter_map(|(_, samples)| samples.median(quantity)).reduce(pick)
            };
            let judged = |what, ratio: f64| Judged {
                text: format!("{what}: {ratio:.2} x {} (goal {factor:.2} x)", rivals.text()),
                met: ratio >= factor * (1.0 - NOISE),
            };
            let rate = median(Peer::Rikki, PER_SECOND).zip(best(PER_SECOND, f64::max));
            let cpu = median(Peer::Rikki, CPU).zip(best(CPU, f64::min));
            let rate = rate.map(|(own, other)| judged("per second", own / other));
            rate.into_iter().chain(cpu.map(|(own, other)| judged("per second of CPU", other / own))).collect()
        }
        Goal::OfTcp(factor) => {
            let ratio = median(Peer::Rikki, CPU).zip(median(Peer::Tcp, CPU)).map(|(own, limit)| own / limit);
            let judged = ratio.map(|ratio| Judged {
                text: format!("CPU per message: {ratio:.2} x bare TCP (goal at most {factor:.2} x)"),
                met: ratio <= factor * (1.0 + NOISE),
            });
            judged.into_iter().collect()
        }
        Goal::AtMost(quantity, most) => {
            let judged = median(Peer::Rikki, quantity)
                .map(|own| Judged { text: format!("{quantity}: {own:.0} (goal at most {most:.0})"), met: own <= most });
            judged.into_iter().collect()
        }
    }
}

#[cfg(test)]
mod tests {
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
            result(Peer::Tcp, 400.0, 8.0),
        ];
        let check = |goal, expected: &[(&str, bool)]| {
            let judged = judge_one(goal, &results);
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
        check(Goal::Faster(1.0, Rivals::Uws), &[]);
        check(Goal::OfTcp(1.05), &[("CPU per message: 1.25 x bare TCP (goal at most 1.05 x)", false)]);
        check(Goal::OfTcp(1.25), &[("CPU per message: 1.25 x bare TCP (goal at most 1.25 x)", true)]);
        check(Goal::AtMost(CPU, 10.0), &[("cpu_us: 10 (goal at most 10)", true)]);
        check(Goal::AtMost(BYTES, 10.0), &[]);
    }

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }
}
