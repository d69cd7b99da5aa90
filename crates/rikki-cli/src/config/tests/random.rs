//! Files and settings at random: nothing panics, and each fault has its place.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// Lines that are right, and pieces that make them wrong.
const LINES: [&str; 13] = [
    "max-message = \"2MiB\"\n",
    "workers = 4\n",
    "spa = true\n",
    "listen = [\"http://localhost:8000\"]\n",
    "listen = [{ url = \"http://localhost:8000\", max-message = 5 }, \"http://127.0.0.2\"]\n",
    "header = [\"x-a: 1\", \"x-b: 2\"]\n",
    "topic = [\"/a,publish\", { path = \"/b\", history = 5 }]\n",
    "[[mount]]\npath = \"/docs\"\nfolder = \"doc\"\nmax-open = 5\n",
    "[[topic]]\npath = \"/chat\"\nage = \"10m\"\n",
    "# a comment\n",
    "log = '''\ninfo'''\n",
    "ping-interval = \"30s\"\r\n",
    "root = \"ä\"\n",
];
const PIECES: [&str; 16] =
    ["\"", "'", "[", "]", "{", "}", "=", "\n", ".", ",", "#", "\\", "\u{0}", "ö", "1e9999", "[[topic]]\n"];

fn has_places(lines: &[String]) -> bool {
    lines.iter().all(|line| {
        let mut parts = line.splitn(3, ':').map(str::parse::<usize>);
        matches!((parts.next(), parts.next()), (Some(Ok(1..)), Some(Ok(1..))))
    })
}

/// Lines with some letters gone, some pieces put in and bytes behind them that are no text.
fn broken_file() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::collection::vec(prop::sample::select(&LINES[..]), 1..6);
    let piece = (any::<prop::sample::Index>(), prop::sample::select(&PIECES[..]), any::<bool>());
    let bytes = prop::collection::vec(prop::sample::select(&[0x80, 0xff][..]), 0..2);
    (lines, prop::collection::vec(piece, 1..4), bytes).prop_map(|(lines, pieces, bytes)| {
        let mut text: Vec<char> = lines.concat().chars().collect();
        for (place, piece, removes) in pieces {
            let place = place.index(text.len());
            if removes {
                text.remove(place);
            }
            text.splice(place..place, piece.chars());
        }
        [text.into_iter().collect::<String>().into_bytes(), bytes].concat()
    })
}

/// Nothing panics, and each fault has its place.
#[test]
fn broken_files() {
    let broken = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(600));
    let ran = runner.run(&broken_file(), |text| {
        let lines = refused(&text);
        broken.set(broken.get() + usize::from(!lines.is_empty()));
        prop_assert!(has_places(&lines), "{lines:?}");
        prop_assert!(lines.iter().all(|line| !line.contains(char::is_control)), "{lines:?}");
        Ok(())
    });
    ran.unwrap();
    assert!(broken.get() >= 200, "{} broken files", broken.get());
}

proptest! {
    #[test]
    fn whatever_is_printed_is_read_again(root in "[^\\x00]{1,20}") {
        let first = args(&["--", &root], &[], "").unwrap();
        let again = args(&[], &[], &print(&args::command(), &first));
        prop_assert_eq!(again.map(|args| args.root), Ok(PathBuf::from(root)));
    }

    #[test]
    fn anything_at_all(text in "\\PC{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        prop_assert!(has_places(&refused(text.as_bytes())) && has_places(&refused(&bytes)));
    }
}
