//! What is asked for on the command line.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};

/// The options of `cargo xtask bench`.
#[derive(Args, Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// What to compare alone; everything by default
    #[arg(value_enum)]
    pub(crate) only: Option<Part>,
    /// A case to run; all by default, may be repeated
    #[arg(long = "case", value_name = "NAME")]
    pub(crate) cases: Vec<String>,
    /// A server to compare with; all by default, may be repeated
    #[arg(long = "peer", value_name = "NAME")]
    pub(crate) peers: Vec<String>,
    /// Fail if a goal is missed or a server is left out
    #[arg(long)]
    pub(crate) goals: bool,
    /// Only count instructions and system calls, of rikki alone, and fail if bench/counts.tsv has fewer; a busy machine
    /// will do
    #[arg(long, conflicts_with_all = ["only", "peers", "goals", "smoke", "uws", "rounds", "seconds"])]
    pub(crate) gate: bool,
    /// Write what the gate counts to bench/counts.tsv
    #[arg(long, requires = "gate")]
    pub(crate) renew: bool,
    /// See whether every case and server works; nothing is measured or kept
    #[arg(long)]
    pub(crate) smoke: bool,
    /// A server on uWebSockets that takes its port as its argument: an echo, or with `push` behind it one that
    /// publishes what comes to all
    #[arg(long, value_name = "PATH")]
    pub(crate) uws: Option<PathBuf>,
    /// How often everything is measured
    #[arg(
        long,
        value_name = "N",
        default_value_t = Self::default().rounds,
        value_parser = RangedU64ValueParser::<usize>::new().range(1..)
    )]
    pub(crate) rounds: usize,
    /// How long a server is measured in a round, after a warm-up of a third of that
    #[arg(long, value_name = "N", default_value_t = Self::default().seconds, value_parser = seconds)]
    pub(crate) seconds: f64,
}

/// A part of what is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Over HTTP alone
    Files,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            only: None,
            cases: Vec::new(),
            peers: Vec::new(),
            goals: false,
            gate: false,
            renew: false,
            smoke: false,
            uws: None,
            rounds: 5,
            seconds: 3.0,
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=60.0).contains(seconds));
    seconds.ok_or_else(|| "it has to be a number from 0.1 to 60".to_owned())
}
