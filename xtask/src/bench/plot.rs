//! The ratios of all cases as bars, in an SVG that brings its own background, so that it can be read on any page.

use std::fmt::Write as _;

use super::Outcome;
use super::goals::{Ratio, Rivals, best_rival};
use super::samples::{BYTES, CPU, PER_SECOND};

const WIDTH: f64 = 900.0;
/// Where the bars begin.
const LEFT: f64 = 390.0;
/// How long a bar of ratio 1 is.
const ONE: f64 = 110.0;
/// Longer bars are cut here; their figure tells the rest.
const MOST: f64 = 3.0;
const TOP: f64 = 64.0;
const BAR: f64 = 12.0;
/// From one case to the next, two bars and a gap.
const STEP: f64 = 36.0;

const STYLE: &str = "\
    text { font: 13px system-ui, sans-serif; fill: #1f2328 } .title { font-weight: 600; font-size: 15px }\n\
    .page { fill: #ffffff } .fast { fill: #1f6feb } .thrifty { fill: #2da44e } .one { stroke: #59636e; stroke-dasharray: 4 3 }\n\
    @media (prefers-color-scheme: dark) {\n\
    text { fill: #e6edf3 } .page { fill: #0d1117 } .fast { fill: #4493f8 } .thrifty { fill: #3fb950 } .one { stroke: #9198a1 }\n\
    }\n";

/// One group of bars for each case in which somebody else takes part.
pub(super) fn ratios(outcomes: &[Outcome]) -> String {
    let groups: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| {
            let of = |quantity| best_rival(&outcome.results, quantity, Rivals::All);
            let first = of(PER_SECOND).or_else(|| of(BYTES))?;
            Some((outcome.case.title, first, of(CPU)))
        })
        .collect();
    let bottom = TOP + STEP * groups.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"page\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
         <text class=\"title\" x=\"16\" y=\"26\">rikki, compared with the best of the others in each case</text>\n\
         <rect class=\"fast\" x=\"16\" y=\"38\" width=\"12\" height=\"12\"/><text x=\"34\" y=\"48\">speed, or memory where it is \
         idle</text>\n\
         <rect class=\"thrifty\" x=\"268\" y=\"38\" width=\"12\" height=\"12\"/><text x=\"286\" y=\"48\">CPU time</text>\n",
        height = bottom + 12.0
    );
    // Nothing here fails: lines that are written into a string.
    let _ = writeln!(
        svg,
        "<line class=\"one\" x1=\"{x}\" y1=\"{}\" x2=\"{x}\" y2=\"{bottom}\"/><text x=\"{}\" y=\"48\">longer is better; equal \
         at the line</text>",
        TOP - 8.0,
        LEFT,
        x = LEFT + ONE
    );
    for (number, (title, first, second)) in groups.iter().enumerate() {
        let y = TOP + STEP * number as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            y + 17.0,
            escape(title)
        );
        bar(&mut svg, "fast", y, first);
        if let Some(second) = second {
            bar(&mut svg, "thrifty", y + BAR + 1.0, second);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn bar(svg: &mut String, class: &str, y: f64, Ratio { rival, times }: &Ratio) {
    let width = ONE * times.clamp(0.0, MOST);
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\"/><text x=\"{:.1}\" y=\"{}\">{times:.2} x \
         {}</text>",
        LEFT + width + 6.0,
        y + BAR - 1.0,
        escape(rival.name())
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::cases::CASES;
    use super::super::samples::Samples;
    use super::super::server::Peer;
    use super::*;

    #[test]
    fn draws_a_bar_for_each_ratio() {
        let result = |peer, per_second, cpu| {
            let mut samples = Samples::default();
            samples.add(PER_SECOND, per_second);
            samples.add(CPU, cpu);
            (peer, samples)
        };
        let outcome = |results| Outcome { case: CASES[0], results, left_out: Vec::new(), goals: Vec::new() };
        let svg = ratios(&[
            outcome(vec![result(Peer::Rikki, 500.0, 1.0), result(Peer::Node, 100.0, 1.5)]),
            outcome(vec![result(Peer::Rikki, 500.0, 1.0)]),
        ]);
        // Cut at three, its figure is not; a case of rikki alone has none.
        assert!(svg.contains("width=\"330.0\"") && svg.contains(">5.00 x ws<"), "{svg}");
        assert!(svg.contains("width=\"165.0\"") && svg.contains(">1.50 x ws<"), "{svg}");
        assert_eq!(svg.matches("text-anchor").count(), 1, "{svg}");
        assert_eq!(svg.matches('<').count(), svg.matches('>').count(), "{svg}");
    }
}
