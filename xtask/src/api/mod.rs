//! The public interface of the libraries, as files in the folder `api`: a change of it is seen in a commit.
//!
//! It is taken from the pages that rustdoc makes, with every feature: what macros make is there, what is hidden is not,
//! and the stable compiler will do. How a page is read is in `page`.

mod page;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::checks;
use crate::process::run;
use crate::project::Project;
use crate::suites::{CARGO_LIMIT, Outcome};

/// The libraries that are published; each shows items of earlier ones as its own.
const LIBRARIES: [&str; 7] =
    ["rikki-limits", "rikki-proto", "rikki-ws", "rikki-files", "rikki-topics", "rikki", "rikki-nats"];

/// The lines under each heading of a listing.
type Listing = BTreeMap<String, Vec<String>>;

/// Writes the listings anew.
pub(crate) fn renew(project: &Project) -> Result<()> {
    for (library, listing) in list(project)? {
        let path = file(project, library);
        fs::write(&path, write(&listing)).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// Whether the listings are those of the sources: a test for each library.
pub(crate) fn check(project: &Project) -> Outcome {
    println!("checking public interface");
    let (mut passed, mut failures) = (0, Vec::new());
    let libraries = list(project).unwrap_or_else(|error| {
        println!("{error}");
        failures.push(error);
        Vec::new()
    });
    for (library, listing) in libraries {
        let known = fs::read_to_string(file(project, library)).unwrap_or_default();
        let changes = difference(&read(&known), &listing);
        if changes.is_empty() {
            passed += 1;
        } else {
            let failure =
                format!("{library} is not as in api/{library}.txt; if that is meant: cargo xtask api\n{changes}");
            println!("{failure}");
            failures.push(failure);
        }
    }
    Outcome::ran("public interface", passed, failures)
}

fn file(project: &Project, library: &str) -> PathBuf {
    project.folder("api").join(format!("{library}.txt"))
}

/// Documents the libraries and reads their pages.
fn list(project: &Project) -> Result<Vec<(&'static str, Listing)>> {
    run(&mut checks::documentation(project), CARGO_LIMIT)?;
    let mut listings: Vec<(&str, Listing)> = Vec::new();
    for library in LIBRARIES {
        let name = library.replace('-', "_");
        let mut listing = Listing::new();
        module(&project.target.join("doc").join(&name), &name, &mut listing)?;
        for (heading, lines) in &mut listing {
            let earlier = listings.iter().find(|(_, listing)| shows(listing, heading, lines));
            if let Some((owner, _)) = earlier {
                *lines = vec![format!("from {owner}")];
            }
        }
        listings.push((library, listing));
    }
    Ok(listings)
}

/// Whether a listing has an item of that kind, name and declaration, wherever in its crate. Of what follows the
/// declaration, rustdoc writes the same in other words where it shows an item of another crate: types for `Self`.
fn shows(listing: &Listing, heading: &str, lines: &[String]) -> bool {
    let kind_and_name = |heading: &str| {
        let (kind, path) = heading.split_once(' ')?;
        Some((kind.to_owned(), path.rsplit("::").next()?.to_owned()))
    };
    let mut same = listing.iter().filter(|(other, _)| kind_and_name(other) == kind_and_name(heading));
    same.any(|(_, others)| declaration(others).eq(declaration(lines)))
}

fn declaration(lines: &[String]) -> impl Iterator<Item = &String> {
    lines.iter().take_while(|line| !line.starts_with("impl"))
}

/// Reads what is in a module, whose pages are in `folder`.
fn module(folder: &Path, path: &str, listing: &mut Listing) -> Result<()> {
    let index = read_page(&folder.join("index.html"))?;
    let shown = page::reexports(&index);
    if !shown.is_empty() {
        listing.insert(format!("mod {path}"), shown);
    }
    for item in page::items(&index) {
        let path = format!("{path}::{}", item.name);
        if item.kind == "mod" {
            module(&folder.join(item.name), &path, listing)?;
        } else {
            let page = read_page(&folder.join(item.href))?;
            listing.insert(format!("{} {path}", item.kind), page::item(&page));
        }
    }
    Ok(())
}

fn read_page(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Headings stand at the margin, what is under them does not.
fn write(listing: &Listing) -> String {
    let items = listing.iter().map(|(heading, lines)| {
        let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
        format!("{heading}\n{lines}")
    });
    items.collect::<Vec<_>>().join("\n")
}

fn read(text: &str) -> Listing {
    let mut listing = Listing::new();
    let mut heading = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("    ") {
            Some(line) => listing.entry(heading.clone()).or_default().push(line.to_owned()),
            None => {
                heading = line.to_owned();
                listing.entry(heading.clone()).or_default();
            }
        }
    }
    listing
}

/// What only one of them has, each line under its heading.
fn difference(old: &Listing, new: &Listing) -> String {
    let headings = old.keys().chain(new.keys().filter(|heading| !old.contains_key(*heading)));
    let mut text = String::new();
    for heading in headings {
        let (old, new) = (old.get(heading), new.get(heading));
        if old == new {
            continue;
        }
        let lines = |side: Option<&Vec<String>>| side.cloned().unwrap_or_default();
        let missing = |from: &[String], sign, other: &[String]| {
            let lines = from.iter().filter(|line| !other.contains(line));
            lines.map(|line| format!("    {sign} {line}\n")).collect::<String>()
        };
        let sign = match (old, new) {
            (Some(_), None) => "- ",
            (None, Some(_)) => "+ ",
            _ => "",
        };
        let (old, new) = (lines(old), lines(new));
        text += &format!("{sign}{heading}\n{}{}", missing(&old, '-', &new), missing(&new, '+', &old));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_as_it_was_written() {
        let text = "mod a\n    pub use b;\n\nstruct a::B\n    pub struct B {\n        pub c: u8,\n    }\n";
        assert_eq!(write(&read(text)), text);
    }

    #[test]
    fn what_another_crate_has_is_known_by_its_declaration() {
        let check = |text: &str, expected| {
            let listing = read("struct a::b::C\n    pub struct C;\n    impl C\n        pub fn d() -> Self\n");
            let item = read(text);
            let (heading, lines) = item.first_key_value().unwrap();
            assert_eq!(shows(&listing, heading, lines), expected, "{text}");
        };
        check("struct e::C\n    pub struct C;\n    impl C\n        pub fn d() -> C\n", true);
        check("struct e::C\n    pub struct C(pub u8);\n", false);
        check("struct e::D\n    pub struct C;\n", false);
        check("enum e::C\n    pub struct C;\n", false);
    }

    #[test]
    fn each_change_is_told() {
        let check = |old: &str, new: &str, expected: &str| {
            assert_eq!(difference(&read(old), &read(new)), expected, "{old:?} {new:?}");
        };
        check("fn a\n    fn a()\n", "fn a\n    fn a()\n", "");
        check("fn a\n    fn a()\n", "fn a\n    fn a(b: u8)\n", "fn a\n    - fn a()\n    + fn a(b: u8)\n");
        check("fn a\n    fn a()\n", "", "- fn a\n    - fn a()\n");
        check("", "fn a\n    fn a()\n", "+ fn a\n    + fn a()\n");
        // The order counts, too: it is that of fields and variants.
        check("fn a\n    x\n    y\n", "fn a\n    y\n    x\n", "fn a\n");
    }
}
