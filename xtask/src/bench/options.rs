//! What is asked for on the command line.

use std::path::PathBuf;

use crate::Result;

/// The options of `cargo xtask bench`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// The cases and the servers to run; all if there are none.
    pub(crate) cases: Vec<String>,
    pub(crate) peers: Vec<String>,
    /// Of these, HTTP alone.
    pub(crate) files: bool,
    /// Fail if a goal is missed.
    pub(crate) gate: bool,
    /// See whether every case and every server works; measure nothing and keep nothing.
    pub(crate) smoke: bool,
    /// An echo server on uWebSockets that takes its port as its argument.
    pub(crate) uws: Option<PathBuf>,
    pub(crate) rounds: usize,
    /// How long a server is measured in a round, after a warm-up of a third of that.
    pub(crate) seconds: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cases: Vec::new(),
            peers: Vec::new(),
            files: false,
            gate: false,
            smoke: false,
            uws: None,
            rounds: 5,
            seconds: 3.0,
        }
    }
}

impl Options {
    /// Takes one option, with its value from `arguments`.
    pub(crate) fn parse<'a>(&mut self, option: &str, arguments: &mut impl Iterator<Item = &'a str>) -> Result<()> {
        let mut value = || arguments.next().ok_or_else(|| format!("{option} needs a value"));
        match option {
            "files" => self.files = true,
            "--case" => self.cases.push(value()?.to_owned()),
            "--peer" => self.peers.push(value()?.to_owned()),
            "--uws" => self.uws = Some(value()?.into()),
            "--gate" => self.gate = true,
            "--smoke" => self.smoke = true,
            "--rounds" => {
                let rounds = value()?.parse().ok().filter(|rounds| *rounds > 0);
                self.rounds = rounds.ok_or("--rounds needs a number above zero")?;
            }
            "--seconds" => {
                let seconds = value()?.parse().ok().filter(|seconds| (0.1..=60.0).contains(seconds));
                self.seconds = seconds.ok_or("--seconds needs a number from 0.1 to 60")?;
            }
            _ => return Err(format!("unknown option {option:?}")),
        }
        Ok(())
    }
}
