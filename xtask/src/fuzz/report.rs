//! What libFuzzer prints: figures when all is well, and what went wrong when it is not.

use std::fmt;

/// The last state of a target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Figures {
    executions: u64,
    per_second: u64,
    /// Places in the code that were reached.
    coverage: u64,
    /// The same with how often, and with what was compared.
    features: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { executions, per_second, coverage, features } = self;
        write!(f, "{executions} executions")?;
        // A replay is over before anything can be said of its speed.
        if *per_second > 0 {
            write!(f, ", {per_second} a second")?;
        }
        write!(f, ", cov {coverage}, ft {features}")
    }
}

/// The figures of the last line that has any, such as
/// `#1040574 DONE cov: 943 ft: 3475 corp: 519/105Kb lim: 4096 exec/s: 25379 rss: 29Mb`.
pub(super) fn figures(log: &str) -> Option<Figures> {
    log.lines().rev().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let executions = words.first()?.strip_prefix('#')?.parse().ok()?;
        let value = |name| words.windows(2).find(|pair| pair[0] == name)?[1].parse().ok();
        let (coverage, features) = (value("cov:")?, value("ft:")?);
        Some(Figures { executions, per_second: value("exec/s:")?, coverage, features })
    })
}

/// What the log says of a failure: the panic with its reason, or what libFuzzer itself found, and where the input is.
pub(super) fn fault(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let panicked = lines.iter().position(|line| line.starts_with("thread ") && line.contains(" panicked at "));
    let reason = match panicked {
        Some(at) => {
            lines[at..].iter().take_while(|line| !line.starts_with("stack backtrace:")).take(6).copied().collect()
        }
        None => lines.iter().filter(|line| line.contains("ERROR: libFuzzer: ")).copied().collect::<Vec<_>>(),
    };
    let input = lines.iter().find_map(|line| Some(line.split_once("Test unit written to ")?.1));
    let input = input.map_or("no input was kept".to_owned(), |path| format!("input: {path}"));
    let reason = if reason.is_empty() { "it ended without saying why".to_owned() } else { reason.join("\n  ") };
    format!("{reason}\n  {input}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_last_figures() {
        let log = "INFO: Seed: 1\n\
                   #2\tINITED cov: 10 ft: 11 corp: 1/1b exec/s: 0 rss: 28Mb\n\
                   #512\tNEW    cov: 12 ft: 14 corp: 2/3b lim: 4 exec/s: 0 rss: 28Mb L: 2/2 MS: 1 EraseBytes-\n\
                   #1040574\tDONE   cov: 943 ft: 3475 corp: 519/105Kb lim: 4096 exec/s: 25379 rss: 29Mb\n\
                   Done 1040574 runs in 41 second(s)\n";
        let expected = Figures { executions: 1_040_574, per_second: 25_379, coverage: 943, features: 3475 };
        assert_eq!(expected.to_string(), "1040574 executions, 25379 a second, cov 943, ft 3475");
        assert_eq!(figures(log), Some(expected));
        assert_eq!(figures("INFO: Seed: 1\n#x cov: 1 ft: 1 exec/s: 1\n"), None);
    }

    #[test]
    fn tells_what_went_wrong() {
        let log = "thread '<unnamed>' (1) panicked at a.rs:1:1:\nleft\nright\nstack backtrace:\n   0: core\n\
                   ==1== ERROR: libFuzzer: deadly signal\n\
                   artifact_prefix='x/'; Test unit written to x/crash-1\n";
        let expected = "thread '<unnamed>' (1) panicked at a.rs:1:1:\n  left\n  right\n  input: x/crash-1";
        assert_eq!(fault(log), expected);
        let log = "==1== ERROR: libFuzzer: timeout after 10 seconds\nTest unit written to x/timeout-1\n";
        assert_eq!(fault(log), "==1== ERROR: libFuzzer: timeout after 10 seconds\n  input: x/timeout-1");
        assert_eq!(fault(""), "it ended without saying why\n  no input was kept");
    }
}
