//! What counts of flags, variables and a file, and what is said of those that are wrong.

use std::cell::Cell;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::Failure;
use crate::args::{self, Args, Request};
use crate::settings::Settings;

const FILE: &str = "rikki.toml";

/// The lines that a file is refused with, with where it is left out.
fn refused(text: &[u8]) -> Vec<String> {
    let flags = apart(args::command());
    let errors = file::parse(&flags, FILE, text).err().unwrap_or_default();
    errors.into_iter().map(|line| line.strip_prefix("rikki.toml:").unwrap_or(&line).to_owned()).collect()
}

#[test]
fn what_is_wrong_with_a_file() {
    let check = |text: &str, expected: &[&str]| assert_eq!(refused(text.as_bytes()), expected, "{text}");
    check("", &[]);
    check("# nothing\n", &[]);
    // Keys.
    check("max-mesage = 1", &["1:1: unknown key \"max-mesage\", did you mean \"max-message\"?"]);
    check("max_message = 1", &["1:1: unknown key \"max_message\", did you mean \"max-message\"?"]);
    check("\n\n  Listen = []", &["3:3: unknown key \"Listen\", did you mean \"listen\"?"]);
    check("port = 8000", &["1:1: unknown key \"port\""]);
    check("\"\" = 1", &["1:1: unknown key \"\""]);
    check("\"a\\u001bb\" = 1", &["1:1: unknown key \"a\\u{1b}b\""]);
    check("help = true", &["1:1: unknown key \"help\""]);
    check("config = \"a\"", &["1:1: a file cannot name another one"]);
    check("[server]\na = 1", &["1:2: unknown key \"server\""]);
    check("log.level = 1", &["1:1: log: expected a string, not a table"]);
    // Types.
    check("workers = \"4\"", &["1:11: workers: expected a whole number, not a string"]);
    check("workers = 4.5", &["1:11: workers: expected a whole number, not a number with a point"]);
    check("workers = [4]", &["1:11: workers: expected a whole number, not an array"]);
    check(
        "max-head = true",
        &["1:12: max-head: expected a string, as in \"64KiB\", or a number of bytes, not true or false"],
    );
    check("keep-alive = 2026-01-01", &["1:14: keep-alive: expected a string, as in \"30s\", not a date or time"]);
    check("log = 1", &["1:7: log: expected a string, not a whole number"]);
    check("spa = \"true\"", &["1:7: spa: expected true or false, not a string"]);
    check("spa = 1", &["1:7: spa: expected true or false, not a whole number"]);
    check("root = [\".\"]", &["1:8: root: expected a string, not an array"]);
    check("listen = \"http://a\"", &["1:10: listen: expected an array, as in listen = [\"...\"]"]);
    check("header = [\"a: b\", 1]", &["1:19: header: expected a string, not a whole number"]);
    check("drain-code = \"1001\"", &["1:14: drain-code: expected a whole number, not a string"]);
    // Values.
    let bytes = "expected a whole number of bytes such as 65536, 64KiB, 4MiB or 1GB";
    check("max-message = \"64k\"", &[&format!("1:15: max-message: {bytes}")]);
    check("max-message = -1", &[&format!("1:15: max-message: {bytes}")]);
    check("max-message = \"0\"", &["1:15: max-message: it must be above zero"]);
    check("workers = 0", &["1:11: workers: it must be above zero"]);
    check("max-headers = 24577", &["1:15: max-headers: it must be 24576 or less"]);
    check("max-headers = 0x6001", &["1:15: max-headers: it must be 24576 or less"]);
    check(
        "ping-interval = 30",
        &["1:17: ping-interval: expected a whole number with a unit, such as 500ms, 30s, 2m or 1h"],
    );
    check("drain-code = 1000", &["1:14: drain-code: it must be 1001 (going away) or 1012 (restarting)"]);
    check("overflow = \"drop\"", &["1:12: overflow: expected pause, close, drop-newest, drop-oldest"]);
    check("compression = \"\"", &["1:15: compression: expected shared, dedicated, off"]);
    check("deflate-window = 8", &["1:18: deflate-window: 8 is not in 9..=15"]);
    check("deflate-level = 300", &["1:17: deflate-level: 300 is not in 1..=9"]);
    check("root = \"\"", &["1:8: root: it must not be empty"]);
    check("ca = \"\"", &["1:6: ca: it must not be empty"]);
    check("header = [\"a: b\", \"c\"]", &["1:19: header: expected NAME:VALUE"]);
    check(
        "log = \"loud\"",
        &["1:7: log: loud is no level: it is off, error, warn, info, debug or trace, or TARGET=LEVEL"],
    );
    check("charset = \"a b\"", &["1:11: charset: expected the name of a charset, as in utf-8 or iso-8859-1, or none"]);
    check(
        "cache-control = \"60\"",
        &["1:17: cache-control: expected directives with whole seconds, as in max-age=3600 or no-store"],
    );
    check("broadcast = [\"/a,publish\"]", &["1:14: broadcast: expected a path alone: options are for --topic"]);
}

#[test]
fn what_is_wrong_with_a_table() {
    let check = |text: &str, expected: &[&str]| assert_eq!(refused(text.as_bytes()), expected, "{text}");
    check("[mount]\npath = \"/a\"", &["1:1: mount: expected an array, as in [[mount]]"]);
    check("topic = \"/a\"", &["1:9: topic: expected an array, as in [[topic]]"]);
    check("mount = [\"/a\"]", &["1:10: mount: expected PATH=FOLDER, as in /docs=./target/doc"]);
    check("mount = [true]", &["1:10: mount: expected a string or a table, not true or false"]);
    check("[[mount]]", &["1:1: mount: folder is missing", "1:1: mount: path is missing"]);
    check(
        "[[mount]]\npath = \"\"\nfolder = 1",
        &["2:8: path: it must not be empty", "3:10: folder: expected a string, not a whole number"],
    );
    let mount = "[[mount]]\npath = \"/a\"\nfolder = \"a\"\n";
    check(&format!("{mount}max-open = 5\nfile-cache = \"1MiB\""), &[]);
    check(&format!("{mount}maxopen = 5"), &["4:1: unknown key \"maxopen\", did you mean \"max-open\"?"]);
    check(&format!("{mount}max-open = 0"), &["4:12: max-open: it must be above zero"]);
    check(&format!("{mount}max-message = 1"), &["4:1: unknown key \"max-message\""]);
    check(
        &format!("{mount}disk-timeout = \"1\""),
        &["4:16: disk-timeout: expected a whole number with a unit, such as 500ms, 30s, 2m or 1h"],
    );
    check(
        &format!("{mount}[[mount]]\npath = \"/b\"\n[mount.limits]\na = 1"),
        &["4:1: mount: folder is missing", "6:8: unknown key \"limits\""],
    );
    check("[[topic]]\nhistory = 1", &["1:1: topic: path is missing"]);
    check("[[topic]]\npath = \"chat\"", &["2:8: path: the path must begin with a slash, as in /chat"]);
    check("[[topic]]\npath = \"/a,publish\"", &["2:8: path: the path cannot have a comma: options are keys"]);
    let topic = "[[topic]]\npath = \"/a\"\n";
    check(&format!("{topic}history = 100\nage = \"10m\"\npublish = true\npolicy = \"close\"\npresence = false"), &[]);
    check(&format!("{topic}histroy = 5"), &["3:1: unknown key \"histroy\", did you mean \"history\"?"]);
    check(&format!("{topic}history = \"5\""), &["3:11: history: expected a whole number, not a string"]);
    check(&format!("{topic}history = true"), &["3:11: history: expected a whole number, not true or false"]);
    check(&format!("{topic}last = \"5,publish\""), &["3:8: last: expected true or false, not a string"]);
    check(
        &format!("{topic}policy = \"close,publish\""),
        &["3:10: policy: expected policy=gap, policy=latest or policy=close"],
    );
    check(&format!("{topic}presence = 1"), &["3:12: presence: expected true, false or \"counts\", not a whole number"]);
    check(&format!("{topic}presence = \"x\""), &["3:12: presence: expected presence, for members, or presence=counts"]);
}

#[test]
fn what_is_wrong_with_an_endpoint() {
    let check = |text: &str, expected: &[&str]| assert_eq!(refused(text.as_bytes()), expected, "{text}");
    check("endpoint = \"/a\"", &["1:12: endpoint: expected an array, as in [[endpoint]]"]);
    check("endpoint = [\"/a\"]", &["1:13: endpoint: expected a table, not a string"]);
    check("endpoints = []", &["1:1: unknown key \"endpoints\", did you mean \"endpoint\"?"]);
    check("[[endpoint]]\nmax-message = 5", &["1:1: endpoint: path is missing"]);
    check("[[endpoint]]\npath = \"/a/*\"", &["2:8: path: the path cannot have a star"]);
    let endpoint = "[[endpoint]]\npath = \"/a\"\n";
    check(&format!("{endpoint}max-message = \"1KiB\"\nping-interval = \"5s\""), &[]);
    check(&format!("{endpoint}max-head = 5"), &["3:1: unknown key \"max-head\", did you mean \"max-age\"?"]);
    check(&format!("{endpoint}max-fragments = 0"), &["3:17: max-fragments: it must be above zero"]);
    let clash = |path: &str| {
        let given =
            args(&["--topic=/t", "--mount=/m=m"], &[], &format!("endpoint = [{{ path = \"{path}\" }}]")).unwrap();
        Settings::from_args(given).unwrap_err().remove(0).0
    };
    assert_eq!(clash("/rest"), "no endpoint can be at /rest, which has its answer: take another path");
    assert_eq!(clash("/t"), "no endpoint can be at /t, which has its answer: take another path");
    assert_eq!(clash("/m"), "nothing can be mounted at /m, which has its answer: take another path");
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_the_file() {
    let text = "workers = 0\n[[topic]]\npath = \"/a\"\nage = 1\n[[mount]]\npth = \"/b\"\nfolder = \"b\"\n";
    let expected = [
        "1:11: workers: it must be above zero",
        "4:7: age: expected a whole number with a unit, such as 500ms, 30s, 2m or 1h",
        "5:1: mount: path is missing",
        "6:1: unknown key \"pth\", did you mean \"path\"?",
    ];
    assert_eq!(refused(text.as_bytes()), expected);
    // Columns are letters, and lines may end as on Windows.
    assert_eq!(refused("\u{feff}\"äöü\" = 1".as_bytes()), ["1:1: unknown key \"äöü\""]);
    assert_eq!(refused("header = [\"ä: b\"]\r\nworkers = 0".as_bytes())[1], "2:11: workers: it must be above zero");
    assert_eq!(refused("type = [\"ä\", \"ö\"]".as_bytes())[1], "1:14: type: expected EXT=TYPE, as in foo=text/x-foo");
}

#[test]
fn what_is_told_has_a_bound() {
    let many: String = (0..150).map(|number| format!("x{number} = 1\n")).collect();
    let lines = refused(many.as_bytes());
    assert_eq!((lines.len(), lines[99].as_str(), lines[100].as_str()), (101, "100:1: unknown key \"x99\"", " 50 more"));
    let long = "x".repeat(10_000);
    let lines = refused(
        format!("{long} = 1\n[[topic]]\npath = \"/a,{long}\"\ntype = [\"{long}\"]\nlog = \"{long}\"").as_bytes(),
    );
    assert!(lines.iter().all(|line| line.len() < 600) && lines.len() >= 3, "{lines:?}");
}

#[test]
fn what_is_no_toml() {
    let check = |text: &[u8], place: &str| {
        let lines = refused(text);
        assert!(lines.len() == 1 && lines[0].starts_with(place), "{place}: {lines:?}");
    };
    check(b"max-message", "1:12: ");
    check(b"workers = 1\nworkers = 2", "2:1: ");
    check(b"log = \"a", "1:");
    check(b"log = 'a'\n[[mount", "2:");
    check(b"spa = yes", "1:7: ");
    check(b"max-message = 2MiB", "1:15: ");
    check(b"log = \"\xff\"", "1:8: not UTF-8");
    check(b"\n\xc3\xa4 \xc3", "2:3: not UTF-8");
    check(&[b'['; 100_000], "1:");
    check(&[b"log = ".as_slice(), &[b'['; 100_000]].concat(), "1:");
}

#[test]
fn files_that_cannot_be_read() {
    let check = |path: &Path, why: &str| {
        let lines = file::read(&apart(args::command()), path).unwrap_err();
        assert_eq!(lines, [format!("cannot read the settings in {}: {why}", path.display())]);
    };
    let folder = std::env::temp_dir();
    check(&folder.join("no-such-rikki.toml"), "No such file or directory (os error 2)");
    check(&folder, "is a directory");
    let long = Temporary::new(&"#".repeat((1 << 20) + 1));
    check(&long.0, "more than 1048576 bytes");
}

/// A file that goes with its owner.
struct Temporary(PathBuf);

impl Temporary {
    fn new(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rikki-config-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What counts, or all that is wrong.
fn args(flags: &[&str], variables: &[(&str, &str)], file: &str) -> Result<Args, Vec<String>> {
    let file = Temporary::new(file);
    let flags = ["rikki", "--config", file.0.to_str().unwrap()].into_iter().chain(flags.iter().copied());
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    match args::read(flags.map(OsString::from), variables) {
        Ok(Request::Run(args)) => Ok(*args),
        Ok(other) => panic!("{other:?}"),
        Err(Failure::Usage(UsageError(line)) | Failure::Runtime(line)) => Err(vec![line]),
        Err(Failure::Settings(lines)) => Err(lines),
    }
}

#[test]
fn a_flag_counts_before_a_variable_and_that_before_the_file_and_that_before_a_default() {
    let level =
        |flags: &[&str], variables: &[(&str, &str)], file: &str| args(flags, variables, file).unwrap().deflate.level;
    let (variable, file) = ([("RIKKI_DEFLATE_LEVEL", "3")], "deflate-level = 5");
    assert_eq!(level(&[], &[], ""), 1);
    assert_eq!(level(&[], &[], file), 5);
    assert_eq!(level(&[], &variable, file), 3);
    assert_eq!(level(&["--deflate-level=2"], &variable, file), 2);
    // What is the default counts all the same, if it is written.
    assert_eq!(level(&["--deflate-level=1"], &variable, file), 1);
    assert_eq!(level(&[], &[("RIKKI_DEFLATE_LEVEL", "1")], file), 1);
    assert_eq!(level(&[], &[("RIKKI_DEFLATE_LEVEL", "")], file), 5, "an empty one is none");

    let spa = |flags: &[&str], variables: &[(&str, &str)], file: &str| args(flags, variables, file).unwrap().files.spa;
    assert!(spa(&[], &[], "spa = true") && !spa(&[], &[], "spa = false"));
    assert!(!spa(&[], &[("RIKKI_SPA", "false")], "spa = true"));
    assert!(spa(&["--spa"], &[("RIKKI_SPA", "false")], "spa = false"));

    let root = |flags: &[&str], variables: &[(&str, &str)], file: &str| args(flags, variables, file).unwrap().root;
    let (variable, file) = ([("RIKKI_ROOT", "-b")], "root = \"c\"");
    assert_eq!(root(&["."], &variable, file), PathBuf::from("."));
    assert_eq!(root(&[], &variable, file), PathBuf::from("-b"));
    assert_eq!(root(&[], &[], file), PathBuf::from("c"));
}

#[test]
fn a_list_is_replaced_as_a_whole() {
    let listen = |flags: &[&str], variables: &[(&str, &str)], file: &str| args(flags, variables, file).unwrap().listen;
    let (variable, file) =
        ([("RIKKI_LISTEN", "http://v:1\n\nhttp://v:2\r\n")], "listen = [\"http://f:1\", \"http://f:2\"]");
    assert_eq!(listen(&[], &[], file), ["http://f:1", "http://f:2"]);
    assert_eq!(listen(&[], &variable, file), ["http://v:1", "http://v:2"]);
    assert_eq!(listen(&["-url", "http://c"], &variable, file), ["http://c"]);
    assert_eq!(listen(&[], &[], "listen = []"), ["http://localhost:8000"]);

    let mounts = |flags: &[&str], variables: &[(&str, &str)]| -> Vec<String> {
        let file = "[[mount]]\npath = \"/f=1\"\nfolder = \"f\"\nmax-open = 5";
        args(flags, variables, file).unwrap().files.mounts.iter().map(|mount| format!("{mount:?}")).collect()
    };
    assert_eq!(mounts(&[], &[]), ["MountArg { path: \"/f=1\", folder: \"f\", limits: {\"max-open\": \"5\"} }"]);
    let variable = [("RIKKI_MOUNT", "/v=v")];
    assert_eq!(mounts(&[], &variable), ["MountArg { path: \"/v\", folder: \"v\", limits: {} }"]);
    assert_eq!(mounts(&["--mount=/c=c"], &variable), ["MountArg { path: \"/c\", folder: \"c\", limits: {} }"]);
}

#[test]
fn tables_of_topics_are_what_the_flag_is() {
    let file = "[[topic]]\npath = \"/chat\"\nhistory = 5\nage = \"1m\"\npublish = true\nlast = false\npolicy = \"close\"\n\
                presence = \"counts\"\n[[topic]]\npath = \"/rooms/*\"\npresence = true";
    let flags = ["--topic=/chat,history=5,age=1m,publish,policy=close,presence=counts", "--topic=/rooms/*,presence"];
    assert_eq!(args(&[], &[], file).unwrap().topics, args(&flags, &[], "").unwrap().topics);
    let mixed = "topic = [\"/chat,publish\", { path = \"/a\", keys = true }]";
    assert_eq!(
        args(&[], &[], mixed).unwrap().topics,
        args(&["--topic=/chat,publish", "--topic=/a,keys"], &[], "").unwrap().topics
    );
}

#[test]
fn variables_that_are_wrong_or_unknown() {
    let refused = |variables: &[(&str, &str)]| args(&[], variables, "").unwrap_err();
    let bytes = "expected a whole number of bytes such as 65536, 64KiB, 4MiB or 1GB";
    assert_eq!(refused(&[("RIKKI_MAX_MESSAGE", "much")]), [format!("RIKKI_MAX_MESSAGE: {bytes}")]);
    assert_eq!(refused(&[("RIKKI_SPA", "1")]), ["RIKKI_SPA: expected true or false"]);
    assert_eq!(refused(&[("RIKKI_HEADER", "a: b\nc")]), ["RIKKI_HEADER: expected NAME:VALUE"]);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt as _;
        let variable = ("RIKKI_LISTEN".into(), OsString::from_vec(vec![0xff]));
        match args::read(["rikki".into()], [variable]) {
            Err(Failure::Settings(lines)) => assert_eq!(lines, ["RIKKI_LISTEN: not UTF-8"]),
            _ => panic!("it should be refused"),
        }
    }
    let several = refused(&[("RIKKI_WORKERS", "0"), ("RIKKI_DRAIN_CODE", "1")]);
    assert_eq!(several.len(), 2, "{several:?}");
    // With what is wrong in the file.
    let both = args(&[], &[("RIKKI_WORKERS", "0")], "workers = 0").unwrap_err();
    assert!(both.len() == 2 && both[1].ends_with(".toml:1:11: workers: it must be above zero"), "{both:?}");

    let warned = |name: &str, expected: &[&str]| {
        assert_eq!(args(&[], &[(name, "tcp://10.0.0.1:8000")], "").unwrap().origins.warnings, expected, "{name}");
    };
    warned("RIKKI_WORKER", &["unknown variable RIKKI_WORKER, did you mean RIKKI_WORKERS?"]);
    warned("RIKKI_COLOUR_SCHEME_OF_ALL", &["unknown variable RIKKI_COLOUR_SCHEME_OF_ALL"]);
    warned("RIKKI_PRINT_SETTINGS_TO", &["unknown variable RIKKI_PRINT_SETTINGS_TO"]);
    // Of Kubernetes, and of others.
    for name in ["RIKKI_PORT", "RIKKI_PORT_8000_TCP", "RIKKI_PORT_8000_TCP_ADDR", "RIKKI_PORT_8000_TCP_PROTO"] {
        warned(name, &[]);
    }
    for name in
        ["RIKKI_SERVICE_HOST", "RIKKI_SERVICE_PORT", "RIKKI_SERVICE_PORT_HTTP", "RIKKI", "PORT", "rikki_workers"]
    {
        warned(name, &[]);
    }
    let flags = apart(args::command());
    for flag in flags.get_arguments().filter_map(key) {
        assert!(
            !flag.starts_with("port") && !flag.starts_with("service"),
            "{flag} has the name of a variable of Kubernetes"
        );
    }
}

#[test]
fn every_flag_has_a_key_and_a_variable() {
    let flags = apart(args::command());
    let names: Vec<_> = flags.get_arguments().filter_map(key).collect();
    assert!(names.len() > 60 && names.contains(&ROOT) && names.contains(&"max-message"), "{names:?}");
    for name in names.iter().filter(|name| **name != CONFIG) {
        // Whatever is written is known to be of this flag: an array of nothing is fine for none but a list.
        let lines = refused(format!("{name} = {{}}").as_bytes());
        assert!(lines.len() == 1 && lines[0].contains(&format!(" {name}: expected ")), "{name}: {lines:?}");
    }
    assert_eq!(variables::variable("max-message"), "RIKKI_MAX_MESSAGE");
}

#[test]
fn what_does_not_go_together_says_where_it_comes_from() {
    let error = args(&["--cert=a", "--key=b"], &[("RIKKI_TLS_SELF_SIGNED", "true")], "").unwrap_err();
    assert!(
        error[0].contains("cannot be used with") && error[0].contains("; RIKKI_TLS_SELF_SIGNED has tls-self-signed"),
        "{error:?}"
    );
    let error = args(&[], &[], "\ncert = [\"a\"]").unwrap_err();
    assert!(error[0].starts_with("the following required arguments were not provided: --key"), "{error:?}");
    let given = args(&[], &[("RIKKI_PUBLISH_KEY", "/no/key")], "").unwrap();
    let errors = Settings::from_args(given).unwrap_err();
    assert_eq!(
        errors[0].0,
        "--publish-key is for topics: add one, as in --topic /chat; RIKKI_PUBLISH_KEY has publish-key"
    );
    // The two may come from different places.
    assert!(args(&["--key=b"], &[], "cert = [\"a\"]").is_ok());
}

#[test]
fn the_example_is_a_file_of_settings() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/flags.md")).unwrap();
    let example = page.split_once("```toml\n").and_then(|(_, rest)| rest.split_once("```")).unwrap().0;
    let args = args(&[], &[], example).unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!((args.files.mounts.len(), args.topics.topics.len(), args.endpoints.len()), (1, 1, 1));
    assert!(Settings::from_args(args).is_ok());
}

/// All that is set, but for where.
fn shown(mut args: Args) -> String {
    args.origins = Origins::default();
    format!("{args:?}")
}

#[test]
fn printed_settings_are_a_file_that_says_the_same() {
    let round = |flags: &[&str], variables: &[(&str, &str)], file: &str| {
        let first = args(flags, variables, file).unwrap();
        let text = print(&args::command(), &first);
        let second = args(&[], &[], &text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        assert_eq!(shown(first), shown(second), "{text}");
        text
    };
    let text = round(&[], &[], "");
    assert!(text.lines().all(|line| line.starts_with("# ") && line.ends_with("  # default")), "{text}");
    assert!(
        text.contains("# max-message = \"4MiB\"  # default\n") && text.contains("# spa = false  # default\n"),
        "{text}"
    );
    // Without the marks of comments it is a file too, but for what is not set.
    let all: String = text
        .lines()
        .map(|line| line.trim_start_matches("# "))
        .filter(|line| !line.contains(" is not set"))
        .fold(String::new(), |all, line| all + line + "\n");
    assert_eq!(args(&[], &[], &all).map(|args| args.listen), Ok(vec!["http://localhost:8000".to_owned()]));

    let file = "spa = true\nmax-requests = 5\nheader = [\"x-a: \\\"1\\\" \\\\\", \"x-b: ä\"]\n[[mount]]\npath = \"/a\"\nfolder = \"b\\u0007\"\n\
                max-open = 7\ndisk-timeout = \"1s\"\n[[topic]]\npath = \"/t\"\nhistory = 3\n\
                [[endpoint]]\npath = \"/e\"\nmax-message = \"1KiB\"\nmax-fragments = 3";
    let flags = ["--workers=2", "--type=a=text/a", "--cert=c", "--key=k", "--listen=https://localhost", "the root"];
    let text = round(&flags, &[("RIKKI_MAX_MESSAGE", "2MiB"), ("RIKKI_CORS", "false")], file);
    for line in [
        "root = \"the root\"  # flag\n",
        "workers = 2  # flag\n",
        "max-message = \"2MiB\"  # RIKKI_MAX_MESSAGE\n",
        "cors = false  # RIKKI_CORS\n",
        "topic = [\"/t,history=3\"]  # ",
        "mount = [{ path = \"/a\", folder = \"b\\u0007\", disk-timeout = \"1s\", max-open = 7 }]  # ",
        "endpoint = [{ path = \"/e\", max-fragments = 3, max-message = \"1KiB\" }]  # ",
        ".toml:2\n",
        "# max-per-address is not set: no limit  # default\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// Lines that are right, and pieces that make them wrong.
const LINES: [&str; 12] = [
    "max-message = \"2MiB\"\n",
    "workers = 4\n",
    "spa = true\n",
    "listen = [\"http://localhost:8000\"]\n",
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
