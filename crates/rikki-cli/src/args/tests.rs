use rikki::topics::TopicsConfig;
use rikki::{BadLimit, Files, Limit, Server, StartError};

use super::*;

#[test]
fn the_definition_is_consistent() {
    command().debug_assert();
    check_command().debug_assert();
    config::apart(check_command()).debug_assert();
}

#[test]
fn defaults() {
    let args = run(&[]);
    assert_eq!(args.root, PathBuf::from("."));
    assert_eq!(args.listen, ["http://localhost:8000"]);
    assert_eq!(args.log, "info");
    assert_eq!(
        args.deflate,
        Deflate {
            compression: CompressionMode::Shared,
            level: 1,
            window: 15,
            memory_level: 5,
            limits: args.deflate.limits.clone(),
        }
    );
    assert_eq!((args.limits.overflow, args.limits.drain_code), (OverflowPolicy::Pause, 1001));
    // What is not given is left to the library.
    let given = format!("{:?} {:?} {:?}", args.limits.given, args.deflate.limits, args.files.limits);
    assert_eq!(given, "{} {} {}");
}

#[test]
fn defaults_of_files() {
    let args = run(&[]);
    assert_eq!(
        args.files,
        FileArgs {
            mounts: vec![],
            no_listing: false,
            spa: false,
            error_page: None,
            cache_control: None,
            types: vec![],
            charset: files::Charset(Some("utf-8".parse().unwrap())),
            hidden: false,
            follow_symlinks: false,
            cors: false,
            headers: vec![],
            limits: args.files.limits.clone(),
            no_precompressed: false,
            no_file_compression: false,
        }
    );
}

/// Each limit of the library has a flag, a default that can be set, and refuses what is no number of its unit, in
/// the same words under its name as under its flag.
#[test]
fn every_limit_of_the_library() {
    type Set<'a> = &'a dyn Fn(&str, &str) -> Result<(), BadLimit>;
    let check = |limits: &mut dyn Iterator<Item = &'static Limit>, set: Set| {
        for limit in limits {
            let (name, default) =
                (limit.name, limit.default.unwrap_or(if limit.unit.word() == "DUR" { "1s" } else { "1" }));
            assert_eq!(set(name, default), Ok(()), "{name}");
            run(&[&format!("--{name}"), default]);
            for wrong in ["", "many", "-1", "1.5", "18446744073709551616", "0", "18446744073709551615"] {
                let flag = parse(command_line(&[&format!("--{name}={wrong}")]));
                let Err(BadLimit::Value(_, error)) = set(name, wrong) else {
                    assert!(flag.is_ok() && wrong != "many", "{name}: {wrong:?}");
                    continue;
                };
                let expected = format!("invalid value '{wrong}' for '--{name} <{}>': {error}", limit.unit);
                assert_eq!(flag.map(|_| ()).map_err(|UsageError(error)| error), Err(expected));
            }
            assert!(limit.meaning.starts_with(|first: char| first.is_uppercase()), "{name}");
        }
        assert_eq!(set("max-nothing", "1"), Err(BadLimit::Unknown("max-nothing".to_owned())));
        assert_eq!(set("max-nothing", "1").unwrap_err().to_string(), "there is no limit called \"max-nothing\"");
    };
    // It would start, but for the URL.
    let server = |name: &str, text: &str| match Server::new().set(name, text).listen("none").run() {
        Err(StartError::Limit(error)) => Err(error),
        Err(StartError::BadUrl { .. }) => Ok(()),
        other => panic!("{name} {text}: {other:?}"),
    };
    check(&mut Server::limits(), &server);
    check(&mut Files::limits(), &|name, text| Files::new(".").unwrap().set(name, text).map(drop));
    check(&mut TopicsConfig::limits(), &|name, text| TopicsConfig::default().set(name, text).map(drop));
    #[cfg(feature = "nats")]
    check(&mut rikki_nats::NatsConfig::limits(), &|name, text| {
        rikki_nats::NatsConfig::default().set(name, text).map(drop)
    });
}

#[test]
fn repeated_flags_keep_their_order_and_replace_the_default() {
    let args = run(&["--listen", "ws://a", "--subprotocol", "v2", "--listen=wss://b", "--subprotocol=v1", "www"]);
    assert_eq!(args.listen, ["ws://a", "wss://b"]);
    assert_eq!(args.subprotocols, ["v2", "v1"]);
    assert_eq!(args.root, PathBuf::from("www"));
}

#[test]
fn the_port_that_redirects_may_be_left_out() {
    let check = |args: &[&str], port: u16| assert_eq!(run(args).tls.redirect_http, Some(port), "{args:?}");
    check(&["--redirect-http"], 80);
    check(&["--redirect-http=8080"], 8080);
    // What follows is not its value.
    let args = run(&["--redirect-http", "-url", "wss://a", "www"]);
    assert_eq!((args.tls.redirect_http, args.root), (Some(80), PathBuf::from("www")));
    assert_eq!(args.listen, ["wss://a"]);
}

#[test]
fn the_tutorial_s_spelling() {
    let args = run(&["-url", "wss://0.0.0.0", "-cert", "a.crt", "-key", "a.key", "-ca", "-odd-"]);
    assert_eq!(args.listen, ["wss://0.0.0.0"]);
    assert_eq!(args.tls.cert, [PathBuf::from("a.crt")]);
    assert_eq!(args.tls.key, [PathBuf::from("a.key")]);
    assert_eq!(args.tls.ca, Some("-odd-".into()));
}

#[test]
fn refused() {
    let check = |args: &[&str], expected: &str| {
        let error = parse(command_line(args)).expect_err("should be refused").to_string();
        assert!(error.starts_with(expected), "{args:?}: expected {expected:?}, got {error:?}");
        assert!(error.ends_with(" (try --help)") && !error.contains('\n'), "{error:?}");
    };
    check(&["--nonsense"], "unexpected argument '--nonsense' found");
    check(&["--max-mesage", "1"], "unexpected argument '--max-mesage' found; a similar argument exists: ");
    check(&["a", "b"], "unexpected argument 'b' found");
    check(&["--listen"], "a value is required for '--listen <PLACE>'");
    check(&["-url"], "a value is required for '--listen <PLACE>'");
    check(&["--max-message", "64k"], "invalid value '64k' for '--max-message <SIZE>': expected a whole number of");
    check(&["--max-message", "0"], "invalid value '0' for '--max-message <SIZE>': it must be above zero");
    check(&["--max-headers=24577"], "invalid value '24577' for '--max-headers <N>': it must be 24576 or less");
    check(&["--ping-interval", "30"], "invalid value '30' for '--ping-interval <DUR>': expected a whole number");
    check(&["--drain-code", "1000"], "invalid value '1000' for '--drain-code <CODE>': it must be 1001 (going away) or");
    check(&["--overflow", "drop"], "invalid value 'drop' for '--overflow <POLICY>'");
    check(&["--compression", "on"], "invalid value 'on' for '--compression <MODE>'");
    check(&["--deflate-window", "8"], "invalid value '8' for '--deflate-window <N>': 8 is not in 9..=15");
    check(&["--workers", "0"], "invalid value '0' for '--workers <N>': it must be above zero");
    check(&["--log", "rikki=loud"], "invalid value 'rikki=loud' for '--log <FILTER>': ");
    check(&["--log", "loud"], "invalid value 'loud' for '--log <FILTER>': loud is no level: it is off, error, ");
    check(&["--log", "info,hyper"], "invalid value 'info,hyper' for '--log <FILTER>': hyper is no level: ");
    check(&["--redirect-http=none"], "invalid value 'none' for '--redirect-http[=<PORT>]'");
    check(&["--cert", "a"], "the following required arguments were not provided: --key <FILE>");
    check(&["--proxy-protocol"], "the following required arguments were not provided: --trust <CIDR>");
    check(&["--forwarded", "a"], "the following required arguments were not provided: --trust <CIDR>");
    check(&["--key", "a"], "the following required arguments were not provided: --cert <FILE>");
    check(
        &["--ca", "a"],
        "the following required arguments were not provided: <--cert <FILE>|--tls-self-signed[=<DIR>]|--acme <NAME>>",
    );
    check(
        &["--tls-self-signed", "--cert", "a", "--key", "b"],
        "the argument '--tls-self-signed[=<DIR>]' cannot be used with: --cert <FILE> --key <FILE>",
    );
    check(&["--mount", "/docs"], "invalid value '/docs' for '--mount <PATH=FOLDER>': expected PATH=FOLDER, as in");
    check(&["--header", "x"], "invalid value 'x' for '--header <NAME:VALUE>': expected NAME:VALUE");
    check(&["--cache-control", "a\nb"], "invalid value 'a b' for '--cache-control <VALUE>': the value of a header");
    check(&["--file-cache", "much"], "invalid value 'much' for '--file-cache <SIZE>': expected a whole number of");
    check(
        &["--no-file-compression", "--compress-files-above", "1"],
        "the argument '--no-file-compression' cannot be used with '--compress-files-above <SIZE>'",
    );
    check(&["--compat-echo", "--compat-echo"], "the argument '--compat-echo' cannot be used multiple times");
}

#[test]
fn filters_of_the_log() {
    for filter in
        ["off", "WARN", "debug", "rikki", "rikki::ws", "warn,rikki=trace", "hyper=debug, rikki", "[span]=info"]
    {
        assert_eq!(run(&["--log", filter]).log, filter);
    }
}

/// What most people need is on one screen, and all of it is there.
#[test]
fn the_short_help() {
    let Ok(Request::Print(short)) = parse(command_line(&["-h"])) else { panic!("no help") };
    assert!(short.lines().count() <= 24, "{short}");
    assert!(short.lines().all(|line| line.chars().count() <= 80), "{short}");
    let (flags, examples) = short.split_once("Examples:\n").unwrap();
    assert_eq!(examples.lines().count(), 5, "{examples}");
    let named: Vec<_> = flags
        .split([' ', ';', ',', '['])
        .filter_map(|word| word.trim_end_matches('.').strip_prefix("--"))
        .filter(|name| !["help", "version"].contains(name))
        .collect();
    assert!((14..=18).contains(&named.len()), "{named:?}");
    let command = command();
    for name in named {
        assert!(command.get_arguments().any(|arg| arg.get_long() == Some(name)), "{name}");
    }
    for line in examples.lines().map(|line| line.trim().split("   ").next().unwrap()) {
        assert!(parse(line.split(' ').map(Into::into)).is_ok(), "{line}");
    }
    for page in [&["--log", "-h"][..], &["--", "-h"]] {
        assert!(!matches!(parse(command_line(page)), Ok(Request::Print(_))), "{page:?}");
    }
}

/// Each sentence of the help says what it is about.
#[test]
fn sentences_that_stand_alone() {
    for arg in command().get_arguments().filter(|arg| arg.get_long().is_some()) {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let first = help.split([' ', ',']).next().unwrap_or_default();
        assert!(help.len() > 12 && first.starts_with(|letter: char| letter.is_uppercase()), "{}: {help}", arg.get_id());
        for pointing in ["Its", "It", "This", "That", "Those", "Them", "They", "Of", "So", "Then", "Over"] {
            assert_ne!(first, pointing, "{}: {help}", arg.get_id());
        }
        for pointing in ["of them", "what follows", "do then", "that this is"] {
            assert!(!help.contains(pointing), "{}: {help}", arg.get_id());
        }
    }
}

#[test]
fn help_and_version() {
    let print = |flag| match parse(command_line(&[flag])) {
        Ok(Request::Print(text)) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(print("--version"), format!("rikki {}\n", env!("CARGO_PKG_VERSION")));
    let help = print("--help");
    let check = match parse(command_line(&["check", "--help"])) {
        Ok(Request::Print(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(check.contains("\nOptions:\n      --config <FILE>\n") && check.contains("      --print\n"), "{check}");
    for heading in
        [LISTENING, TLS, WEBSOCKET, topics::HEADING, files::HEADING, deflate::HEADING, limits::HEADING, LOGGING]
    {
        assert!(help.contains(&format!("\n{heading}:\n")), "{heading}");
    }
    for line in help.lines().chain(check.lines()) {
        assert!(line.chars().count() <= 80, "wider than 80 columns: {line}");
    }
}

fn run(args: &[&str]) -> Args {
    match parse(command_line(args)) {
        Ok(Request::Run(args)) => *args,
        other => panic!("{other:?}"),
    }
}

fn command_line<'a>(args: &'a [&str]) -> impl Iterator<Item = OsString> + 'a {
    ["rikki"].iter().chain(args).map(OsString::from)
}
