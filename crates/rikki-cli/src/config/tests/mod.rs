//! What counts of flags, variables and a file, and what is said of those that are wrong.

mod random;
mod wrong;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

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
        Err(Failure::Usage(UsageError(line)) | Failure::Runtime(line) | Failure::Advice { told: line, .. }) => {
            Err(vec![line])
        }
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

#[cfg(feature = "nats")]
#[test]
fn tables_of_own_streams_are_what_the_flag_is() {
    let flags = ["--broker=nats://a", "--broker-own-stream=/rooms/*,name=rooms,bytes=5MiB,retention=1h,replicas=3"];
    let broker = |flags: &[&str], variables: &[(&str, &str)], file: &str| args(flags, variables, file).unwrap().broker;
    let expected = broker(&flags, &[], "");
    let table = "broker = \"nats://a\"\n[[broker-own-stream]]\npath = \"/rooms/*\"\nname = \"rooms\"\nbytes = \"5MiB\"\n\
                 retention = \"1h\"\nreplicas = 3";
    assert_eq!(broker(&[], &[], table), expected);
    let text = "broker-own-stream = [\"/rooms/*,name=rooms,bytes=5MiB,retention=1h,replicas=3\"]";
    assert_eq!(broker(&["--broker=nats://a"], &[], text), expected);
    let variable = [("RIKKI_BROKER_OWN_STREAM", "/rooms/*,name=rooms,bytes=5MiB,retention=1h,replicas=3\n")];
    assert_eq!(broker(&["--broker=nats://a"], &variable, ""), expected);
    let printed = print(&args::command(), &args(&flags, &[], "").unwrap());
    assert_eq!(broker(&[], &[], &printed), expected, "{printed}");
}

#[cfg(feature = "nats")]
#[test]
fn a_printed_broker_shows_nothing_that_lets_in() {
    let printed = print(&args::command(), &args(&["--broker=nats://ada:s3cret@a,b"], &[], "").unwrap());
    assert!(printed.contains("broker = \"nats://a,b\"  # ") && !printed.contains("s3cret"), "{printed}");
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
    for name in ["RIKKI_SERVICE_HOST", "RIKKI_SERVICE_PORT", "RIKKI_SERVICE_PORT_HTTP", "RIKKI", "rikki_workers"] {
        warned(name, &[]);
    }
    let flags = apart(args::command());
    for flag in flags.get_arguments().filter_map(key) {
        assert!(
            !flag.starts_with("port-") && !flag.starts_with("service"),
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
