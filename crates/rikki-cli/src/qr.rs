//! A QR code on a terminal, for a phone to read from the screen.

use qrcode::{Color, EcLevel, QrCode};

/// The light margin that readers need, in modules
/// ([ISO/IEC 18004](https://www.iso.org/standard/83389.html), section 6.3.8).
const QUIET: usize = 4;

/// The code of a text, two rows of it in each line; `None` for one that is too long. With colours it is black on white
/// whatever the terminal's are; else the light modules are what is printed, as for a dark terminal.
pub(crate) fn render(text: &str, with_colours: bool) -> Option<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    let (width, modules) = (code.width(), code.to_colors());
    let side = width + 2 * QUIET;
    let is_dark = |x: usize, y: usize| {
        let place = |value: usize| value.checked_sub(QUIET).filter(|value| *value < width);
        let (Some(x), Some(y)) = (place(x), place(y)) else { return false };
        modules.get(y * width + x) == Some(&Color::Dark)
    };
    let mut lines = String::new();
    for y in (0..side).step_by(2) {
        lines += if with_colours { BLACK_ON_WHITE } else { "" };
        for x in 0..side {
            // What is below the last row is not there.
            let (upper, lower) = (is_dark(x, y) == with_colours, (y + 1 < side) && is_dark(x, y + 1) == with_colours);
            lines.push(match (upper, lower) {
                (true, true) => '\u{2588}',
                (true, false) => '\u{2580}',
                (false, true) => '\u{2584}',
                (false, false) => ' ',
            });
        }
        lines += if with_colours { "\u{1b}[0m\n" } else { "\n" };
    }
    Some(lines)
}

/// Of the 256 colours, which themes of terminals leave alone.
const BLACK_ON_WHITE: &str = "\u{1b}[38;5;16;48;5;231m";

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen is the code, in both ways, with its margin.
    #[test]
    fn every_module_is_seen() {
        let text = "http://192.168.1.5:8000/";
        let code = QrCode::with_error_correction_level(text, EcLevel::L).unwrap();
        let width = code.width();
        for with_colours in [true, false] {
            let shown = render(text, with_colours).unwrap();
            let plain = shown.replace(BLACK_ON_WHITE, "").replace("\u{1b}[0m", "");
            assert_eq!(plain == shown, !with_colours);
            let dark = |upper: bool, letter: char| {
                let is_ink = matches!(letter, '\u{2588}') || letter == if upper { '\u{2580}' } else { '\u{2584}' };
                is_ink == with_colours
            };
            let rows: Vec<Vec<bool>> = plain
                .lines()
                .flat_map(|line| [true, false].map(|upper| line.chars().map(|letter| dark(upper, letter)).collect()))
                .collect();
            assert!(plain.lines().all(|line| line.chars().count() == width + 8), "{plain}");
            for y in 0..width + 8 {
                for x in 0..width + 8 {
                    let inside = (4..width + 4).contains(&x) && (4..width + 4).contains(&y);
                    let expected = inside && code[(x - 4, y - 4)] == Color::Dark;
                    assert_eq!(rows[y][x], expected, "{x} {y}\n{plain}");
                }
            }
        }
        assert_eq!(render(&"x".repeat(5000), true), None);
    }
}
