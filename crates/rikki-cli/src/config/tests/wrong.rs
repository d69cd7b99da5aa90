//! What is said of a file that is wrong, with its place.

use super::*;

#[test]
fn what_is_wrong_with_a_file() {
    let check = |text: &str, expected: &[&str]| assert_eq!(refused(text.as_bytes()), expected, "{text}");
    check("", &[]);
    check("# nothing\n", &[]);
    // Keys.
    check("max-mesage = 1", &["1:1: unknown key \"max-mesage\", did you mean \"max-message\"?"]);
    check("max_message = 1", &["1:1: unknown key \"max_message\", did you mean \"max-message\"?"]);
    check("\n\n  Listen = []", &["3:3: unknown key \"Listen\", did you mean \"listen\"?"]);
    check("ports = 8000", &["1:1: unknown key \"ports\", did you mean \"port\"?"]);
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
    check("listen = \"http://a\"", &["1:10: listen: expected an array, as in listen = [\"...\"] or [[listen]]"]);
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

#[cfg(feature = "nats")]
#[test]
fn what_is_wrong_with_a_stream_of_its_own() {
    let check = |text: &str, expected: &[&str]| assert_eq!(refused(text.as_bytes()), expected, "{text}");
    check("broker-own-stream = 1", &["1:21: broker-own-stream: expected an array, as in [[broker-own-stream]]"]);
    check("[[broker-own-stream]]\nname = \"a\"", &["1:1: broker-own-stream: path is missing"]);
    let named = |name: &str| format!("[[broker-own-stream]]\npath = \"/a/*\"\nname = \"{name}\"\n");
    check(&named("a,bytes=5"), &["1:1: broker-own-stream: path and name cannot have a comma"]);
    let bad = "expected 1 to 32 ASCII letters, digits, - or _";
    check(&named("a.b"), &[&format!("1:1: broker-own-stream: \"a.b\" is no name of a stream: {bad}")]);
    check(&(named("a") + "byts = 5"), &["4:1: unknown key \"byts\", did you mean \"bytes\"?"]);
    check(&(named("a") + "replicas = 9"), &["4:12: replicas: it must be 5 or less"]);
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

#[test]
fn what_is_wrong_with_a_listener() {
    let check = |text: &str, expected: &[&str]| assert_eq!(refused(text.as_bytes()), expected, "{text}");
    check("listen = [1]", &["1:11: listen: expected a string or a table, not a whole number"]);
    check("[[listen]]\nmax-head = 5", &["1:1: listen: url is missing"]);
    check("[[listen]]\nurl = \"\"", &["2:7: url: it must not be empty"]);
    check(
        "listen = [{ url = \"http://a\", max-connections = 5, max-mesage = 1, keep-alive = \"5\" }]",
        &[
            "1:31: unknown key \"max-connections\"",
            "1:52: unknown key \"max-mesage\", did you mean \"max-message\"?",
            "1:81: keep-alive: expected a whole number with a unit, such as 500ms, 30s, 2m or 1h",
        ],
    );
}
