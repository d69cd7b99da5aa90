//! Who may know whom, as ARCHITECTURE.md draws it, and how much of it an application compiles.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// How many crates an application compiles that wants the extractor for axum alone, without TLS.
const MOST_CRATES: usize = 70;

/// From a crate, or a folder of the server, to those that it names.
type Arrows = BTreeMap<String, BTreeSet<String>>;

/// Each line of the drawing says all that its left side names: an arrow that nobody draws and one that nobody uses both
/// fail.
#[test]
fn the_drawing_is_the_house() {
    let drawn = drawing(&fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let mut built = crates();
    built.extend(folders(&root().join("crates/rikki/src")));
    assert_eq!(drawn, built);
}

#[test]
fn an_application_with_the_extractor_alone_compiles_few_crates() {
    let crates = compiled("rikki-ws", "axum");
    assert!((20..=MOST_CRATES).contains(&crates.len()), "{} crates: {crates:#?}", crates.len());
    for heavy in ["brotli", "zstd", "cap-std", "rcgen", "rustls"] {
        assert!(!crates.iter().any(|name| name.split(' ').next() == Some(heavy)), "{heavy} is among them");
    }
}

/// Whoever takes one provider of cryptography compiles no other.
#[test]
fn an_application_compiles_the_cryptography_that_it_asks_for() {
    let check = |provider: &str, expected: &[&str]| {
        let crates = compiled("rikki", &format!("acme,client,files,self-signed,topics,{provider}"));
        let names = crates.iter().filter_map(|name| name.split(' ').next());
        let providers: Vec<_> = names.filter(|name| name.starts_with("aws-lc") || *name == "ring").collect();
        assert_eq!(providers, expected);
    };
    check("aws-lc-rs", &["aws-lc-rs", "aws-lc-sys"]);
    check("ring", &["ring"]);
}

/// A row names all crates of the product that use one of its dependencies, and every dependency has a row.
#[test]
fn each_dependency_has_its_reason() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let table = text.split("| crate | for | used by |").nth(1).expect("a table of dependencies");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let names = |cell: &str| cell.split([',', ';']).map(|name| name.trim().to_owned()).collect::<BTreeSet<_>>();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|')).map(cells);
    let rows: Vec<_> = rows.filter(|row| !row[0].starts_with("*tests")).collect();
    let mut without: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (user, used) in dependencies() {
        for name in used.into_iter().filter(|name| !is_product(name)) {
            let has_reason = rows.iter().any(|row| names(&row[0]).contains(&name) && names(&row[2]).contains(&user));
            if !has_reason {
                without.entry(name).or_default().push(user.clone());
            }
        }
    }
    assert!(without.is_empty(), "not in the table of ARCHITECTURE.md: {without:#?}");
}

#[test]
fn what_is_seen_of_a_source() {
    let check = |source: &str, expected: &[&str]| {
        let named: Vec<_> = named(source).into_iter().collect();
        assert_eq!(named, expected, "{source}");
    };
    check("use crate::net::Peer;\nuse super::idle;", &["net"]);
    check("use crate::{http, ws};\nuse crate::Server;", &["Server", "http"]);
    check("use crate::{\n    http::{Host, self},\n    server::Door,\n};", &["http", "server"]);
    check("let live = crate::live::Live::default(); // see crate::tls\n/// [`x`](crate::counters)", &["live"]);
    check("fn a() {}\n#[cfg(test)]\nmod tests {\n    use crate::tls::Tls;\n}", &[]);
}

/// The crates that somebody compiles who wants these features of one of ours alone, with their versions.
fn compiled(package: &str, features: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--package", package, "--no-default-features", "--features", features])
        .args(["--edges=normal,build", "--prefix=none", "--format={p}"])
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(tree.stdout).unwrap();
    text.lines().filter_map(|line| line.split(" (").next()).map(str::to_owned).collect()
}

/// The lines of the first block that says who knows whom: `http -> live net`.
fn drawing(text: &str) -> Arrows {
    let block = text.split("```text\n").find(|block| block.contains(" -> ")).expect("a drawing");
    let lines = block.split("```").next().unwrap().lines().filter_map(|line| line.split_once("->"));
    let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    lines.map(|(who, whom)| (who.trim().to_owned(), names(whom))).collect()
}

/// The crates of the product and which of the others each has in its manifest.
fn crates() -> Arrows {
    let own =
        |(name, used): (String, BTreeSet<String>)| (name, used.into_iter().filter(|used| is_product(used)).collect());
    dependencies().into_iter().map(own).collect()
}

/// What each crate of the product has in its manifest, tests apart.
fn dependencies() -> Arrows {
    let metadata = Command::new(env!("CARGO")).args(["metadata", "--no-deps", "--format-version=1"]).output().unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let of = |package: &Value| {
        let used = package["dependencies"].as_array().unwrap().iter().filter(|used| used["kind"].is_null());
        (name(package), used.map(name).collect())
    };
    metadata["packages"].as_array().unwrap().iter().map(of).filter(|(name, _)| is_product(name)).collect()
}

fn is_product(name: &str) -> bool {
    name == "rikki" || name.starts_with("rikki-")
}

/// The folders and files directly below `source`, and which of the others each names.
fn folders(source: &Path) -> Arrows {
    let mut arrows = Arrows::new();
    let own: BTreeSet<_> = entries(source).iter().map(|path| stem(path)).filter(|name| name != "lib").collect();
    for path in entries(source) {
        let from = stem(&path);
        if from != "lib" {
            let texts = sources(&path).into_iter().map(|path| fs::read_to_string(path).unwrap());
            let to =
                texts.flat_map(|text| named(&text)).filter(|to| *to != from && (to == "Server" || own.contains(to)));
            let to = to.collect();
            arrows.insert(from, to);
        }
    }
    arrows
}

/// What the code of a file names of its crate: modules, and the builder that the top of the house exports. Tests at its
/// end and comments name what they like.
fn named(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines = code.lines().filter_map(|line| line.split("//").next());
    let code: String = lines.collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = &code[at + path.len()..];
        let first = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match rest.strip_prefix('{') {
            Some(inside) => names.extend(at_top(inside).iter().map(|item| first(item))),
            None => drop(names.insert(first(rest))),
        }
    }
    // What the others export, crates of their own among it, is no folder here.
    names.retain(|name| name == "Server" || name.starts_with(|c: char| c.is_lowercase()) && name != "ws");
    names
}

/// The items of a list in braces, those of inner lists left out.
fn at_top(list: &str) -> Vec<String> {
    let (mut depth, mut items) = (1, vec![String::new()]);
    for c in list.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => items.push(String::new()),
            _ if depth == 1 && !c.is_whitespace() => items.last_mut().unwrap().push(c),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    items
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The production files at or below a path.
fn sources(path: &Path) -> Vec<PathBuf> {
    if path.is_dir() {
        let is_test = |path: &PathBuf| stem(path) == "tests";
        return entries(path).iter().filter(|path| !is_test(path)).flat_map(|path| sources(path)).collect();
    }
    let is_rust = path.extension() == Some(OsStr::new("rs"));
    is_rust.then(|| path.to_owned()).into_iter().collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
