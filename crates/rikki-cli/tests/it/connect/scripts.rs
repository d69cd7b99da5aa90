//! `rikki connect` in scripts: what is sent, how long it stays, and what becomes of messages.

use std::fs;
use std::time::Instant;

use super::{CLOSED, Echo, RUNTIME, Running, USAGE, check, connect};
use crate::process::Folder;

#[test]
fn what_to_send_is_in_the_command_line() {
    let echo = Echo::plain();
    let url = &echo.url;
    // Stdin may be somebody else's, such as that of a loop.
    check(&["--send", "one", "--send=-two", url], "from stdin\n", 0, "one\n-two\n", &["connected", CLOSED]);
    check(&["--send", "one", "--binary", url], "", 0, "one", &["connected", CLOSED]);
    check(&["--send", "", url], "", 0, "\n", &["connected", CLOSED]);
    check(&["--send", "/help", url], "", 0, "/help\n", &["connected", CLOSED]);
    check(
        &["--send", "{\"a\":[1.0]}", "--json", url],
        "",
        0,
        "{\n  \"a\": [\n    1.0\n  ]\n}\n",
        &["connected", CLOSED],
    );
}

#[test]
fn messages_are_counted_and_waited_for() {
    // Two for each.
    let server = Running::closure(|socket, message| {
        let text = message.as_text().unwrap().to_owned();
        socket.send(text.clone()).and_then(|()| socket.send(text + "!"))
    });
    let url = &server.url;
    check(&["--send", "a", "--messages", "1", url], "", 0, "a\n", &["connected", CLOSED]);
    check(&["--send", "a", "--messages", "2", url], "", 0, "a\na!\n", &["connected", CLOSED]);
    let few = ["connected", CLOSED, "2 of 3 messages have come"];
    check(&["--send", "a", "--messages", "3", "--wait", "100ms", url], "", RUNTIME, "a\na!\n", &few);
    check(&["--send", "a", "--messages", "3", "--wait", "0s", url], "", RUNTIME, "a\na!\n", &few);
    // Also where stdin goes on.
    let mut client = connect(&["--messages", "2", url]);
    client.write("a\n", false);
    let ended = client.end_with_open_stdin();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), "a\na!\n"), "{}", ended.stderr);
    // It waits, and no longer.
    let since = Instant::now();
    check(&["--send", "a", "--wait", "300ms", url], "", 0, "a\na!\n", &["connected", CLOSED]);
    assert!(since.elapsed().as_millis() >= 300, "{:?}", since.elapsed());
    check(&["--messages", "0", url], "", USAGE, "", &["invalid value '0' for '--messages <N>'"]);
    check(&["--keep-open", "--wait", "1s", url], "", USAGE, "", &["the argument '--keep-open' cannot be used with"]);
}

#[test]
fn it_stays_open_after_the_end_of_stdin() {
    let echo = Echo::plain();
    for args in [["--keep-open", "--messages", "2"].as_slice(), &["--keep-open", "--send", "a"]] {
        let mut client = connect(&[args, &[&echo.url]].concat());
        client.write("a\n", true);
        assert_eq!(client.line(), "a");
        assert!(client.report().starts_with("rikki: connected"));
        client.signal("INT");
        let ended = client.end_with_open_stdin();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(130), ""), "{}", ended.stderr);
    }
}

#[test]
fn messages_go_to_a_file() {
    let echo = Echo::plain();
    let folder = Folder::new();
    let file = folder.write("out", "what was there");
    check(&["--output", &file, &echo.url], "one\n\u{1b}\n", 0, "", &["connected", CLOSED]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "one\n\u{1b}\n");
    check(&["--output", &file, "--binary", &echo.url], [0, 255], 0, "", &["connected", CLOSED]);
    assert_eq!(fs::read(&file).unwrap(), [0, 255]);
    let nowhere = folder.path("no/such");
    check(&["--output", &nowhere, &echo.url], "", RUNTIME, "", &[&format!("cannot write to {nowhere}: ")]);
    #[cfg(target_os = "linux")]
    check(
        &["--output", "/dev/full", "--send", "a", &echo.url],
        "",
        RUNTIME,
        "",
        &["connected", "cannot write to /dev/full: ", CLOSED],
    );
}

#[cfg(unix)]
#[test]
fn a_command_has_the_message_on_its_stdin() {
    let echo = Echo::plain();
    let url = &echo.url;
    let folder = Folder::new();
    // Nothing of it is for a shell.
    let hostile = format!("$(touch {0}) `touch {0}`; touch {0} \"'", folder.path("gone wrong"));
    check(&["--exec", "cat; echo .", "--send", &hostile, url], "", 0, &format!("{hostile}.\n"), &["connected", CLOSED]);
    assert!(!fs::exists(folder.path("gone wrong")).unwrap());
    // One after the other, in order, and all of them before the end.
    let numbers: String = (0..20).map(|number| format!("{number}\n")).collect();
    check(&["--exec", "sleep 0.01; cat; echo", url], numbers.as_str(), 0, &numbers, &["connected", CLOSED]);
    // One that does not read, with more than a pipe holds.
    check(&["--exec", "echo done", url], "x".repeat(1 << 20), 0, "done\n", &["connected", CLOSED]);
    let failed = "the command of --exec ended with exit status: 3";
    let reports = ["connected", failed, failed, CLOSED];
    let mut client = connect(&["--exec", "cat; exit 3", url]);
    client.write("a\nb\n", true);
    let ended = client.end_with_open_stdin();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(RUNTIME), "ab"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches(failed).count(), 2, "{reports:?}: {}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn a_command_has_a_deadline_and_a_bound() {
    let echo = Echo::plain();
    let url = &echo.url;
    let folder = Folder::new();
    let since = Instant::now();
    let is_ended = |pid: &str| {
        let pid = fs::read_to_string(pid).unwrap();
        // What is dead and nobody's child any more may stay a zombie, which has no program.
        while fs::exists(format!("/proc/{}/exe", pid.trim())).unwrap() {
            assert!(since.elapsed() < crate::process::DEADLINE, "the command should be ended");
            std::thread::yield_now();
        }
    };
    let pid = folder.path("pid");
    let run = |command: &str| {
        let mut client = connect(&["--exec", command, "--exec-timeout", "300ms", "--send", "a", url]);
        client.write("", true);
        let ended = client.end_with_open_stdin();
        (ended.code, ended.stdout, ended.stderr)
    };
    // With what it has started.
    let (code, stdout, stderr) = run(&format!("sleep 60 & echo $! > {pid}; sleep 60; echo no"));
    is_ended(&pid);
    assert_eq!((code, stdout.as_str()), (Some(RUNTIME), ""), "{stderr}");
    assert!(stderr.contains("the command of --exec was ended after 0.3 s: see --exec-timeout"), "{stderr}");
    let (code, stdout, stderr) = run("yes");
    assert_eq!((code, stdout.as_str()), (Some(RUNTIME), ""), "{stderr}");
    assert!(stderr.contains("the command of --exec wrote more than 1048576 bytes for a message"), "{stderr}");
    // A signal does not wait for it.
    let pid = folder.path("other");
    let mut client = connect(&["--exec", &format!("echo $$ > {pid}; exec sleep 60"), url]);
    client.write("a\n", false);
    while !fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
        assert!(since.elapsed() < crate::process::DEADLINE, "the command should be started");
        std::thread::yield_now();
    }
    client.signal("INT");
    assert_eq!(client.end_with_open_stdin().code, Some(130));
    is_ended(&pid);
}
