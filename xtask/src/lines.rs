//! How long the examples are that show how little an application takes: each has a bound, as rustfmt writes it with
//! lines of 120 columns. Every line counts, comments and empty lines included; a page beside a program is none of it.

use std::process::Command;
use std::time::Duration;

use crate::Result;
use crate::process::output;
use crate::project::Project;

/// Examples of `rikki`, and the most lines of each.
const BOUNDS: [(&str, usize); 2] = [("chat.rs", 150), ("ticker.rs", 70)];

const LIMIT: Duration = Duration::from_secs(60);

/// Counts, and says what it finds; false if an example is too long.
pub(crate) fn run(project: &Project) -> Result<bool> {
    let counted = count(project)?;
    for Counted { name, lines, most } in &counted {
        let verdict = if lines > most { ": TOO LONG" } else { "" };
        println!("{name}: {lines} lines, at most {most}{verdict}");
    }
    Ok(counted.iter().all(|counted| counted.lines <= counted.most))
}

struct Counted {
    name: &'static str,
    lines: usize,
    most: usize,
}

fn count(project: &Project) -> Result<Vec<Counted>> {
    let folder = project.folder("crates").join("rikki").join("examples");
    let one = |(name, most)| {
        let mut rustfmt = Command::new("rustfmt");
        rustfmt.args(["--edition", "2024", "--quiet", "--emit", "stdout"]);
        rustfmt.args(["--config", "max_width=120,use_small_heuristics=Max"]).arg(folder.join(name));
        Ok(Counted { name, lines: output(&mut rustfmt, LIMIT)?.lines().count(), most })
    };
    BOUNDS.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_as_short_as_they_may_be() {
        for Counted { name, lines, most } in count(&Project::find().unwrap()).unwrap() {
            assert!((most / 4..=most).contains(&lines), "{name}: {lines} lines, at most {most}");
        }
    }
}
