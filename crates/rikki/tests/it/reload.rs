//! Other settings while the server runs: what changes at once, what stays, and what is refused as a whole.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::routing::get;
use futures_util::FutureExt as _;
use rikki::ws::{self, CloseCode, Endpoint, Message, Socket};
use rikki::{Files, Listen, Server, ServerTls, StartError};

use crate::talk::{Talk, close, frame, upgrade};
use crate::wire::{BOTH, Running, Via, WORKERS, soon};

fn echo(socket: &mut Socket<'_>, message: Message<'_>) -> Result<(), ws::SendError> {
    socket.send(message)
}

/// Settings for the listeners that [`Running`] has, and its certificate.
fn settings() -> Server {
    let tls = ServerTls::self_signed(["localhost", "127.0.0.1"]).unwrap();
    Server::new().workers(2).tls(tls).listen("http://127.0.0.1:0").listen("https://127.0.0.1:0")
}

fn says(text: &'static str) -> Server {
    said(settings(), text)
}

fn said(server: Server, text: &'static str) -> Server {
    server.route("/", get(async move || text)).websocket("/echo", echo)
}

/// Settings that are given listeners and a certificate when they are started.
fn first() -> Server {
    said(Server::new(), "one")
}

/// Asks on a connection that stays open: the head and the body of the answer.
async fn ask(talk: &mut Talk, path: &str, more: &str) -> (String, String) {
    talk.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")).await;
    let head = talk.head().await;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let body = talk.bytes(length.parse().unwrap()).await;
    (head, String::from_utf8(body).unwrap())
}

async fn reload(server: &Running, settings: Server) {
    let reload = server.handle.reload(settings).await.unwrap();
    assert_eq!(reload.needs_restart, Vec::<String>::new());
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("rikki-reload-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[tokio::test]
async fn requests_on_open_connections_go_by_what_holds_now() {
    for via in BOTH {
        let server = Running::start(Server::new().route("/", get(async || "one")).websocket("/echo", echo)).await;
        let mut talk = Talk::connect(&server, via).await;
        assert_eq!(ask(&mut talk, "/", "").await.1, "one");
        let mut idle = Talk::connect(&server, via).await;
        assert_eq!(ask(&mut idle, "/", "").await.1, "one");
        reload(&server, says("two").header("x-a", "1").allow_origin("https://a.test").access_log(true)).await;
        let (head, body) = ask(&mut talk, "/", "").await;
        assert!(body == "two" && head.contains("x-a: 1"), "{head}{body}");
        let origin = "Origin: https://a.test\r\n";
        talk.send(upgrade("/echo", origin)).await;
        assert!(talk.head().await.starts_with("HTTP/1.1 101"));
        // As soon as it is not allowed any more, also where it has been.
        reload(&server, says("three")).await;
        idle.send(upgrade("/echo", origin)).await;
        assert!(idle.head().await.starts_with("HTTP/1.1 403"));
        assert_eq!(server.handle.counters().reloads, 2);
    }
}

#[tokio::test]
async fn a_host_that_is_not_allowed_any_more_is_refused_on_connections_that_named_it() {
    let server = Running::start(first().allow_host("a.test")).await;
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    let mut status = async |expected: &str| {
        talk.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").await;
        let head = talk.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        talk.bytes(length.parse().unwrap()).await;
    };
    status("200").await;
    reload(&server, says("two").allow_host("a.test")).await;
    status("200").await;
    reload(&server, says("three")).await;
    status("403").await;
}

#[tokio::test]
async fn websockets_that_are_open_stay_as_they_began() {
    for workers in WORKERS {
        let limited = ws::Config::default().max_message_size(10);
        let server = Running::start_on(workers, Server::new().websocket("/echo", echo).websocket_config(limited)).await;
        let mut before = Talk::open(&server, Via::Tcp, "/echo").await;
        let mut other = Talk::open(&server, Via::Tls, "/echo").await;
        let without = || settings().workers(workers).websocket("/else", echo);
        reload(&server, without()).await;
        before.echo("as ever").await;
        other.echo("as ever").await;
        // What it had as a limit it still has, and nobody else.
        let mut after = Talk::open(&server, Via::Tcp, "/else").await;
        after.echo("more than ten bytes").await;
        before.send(frame(0x81, "more than ten bytes")).await;
        assert_eq!(before.next().await, "close(1009)");
        before.send(close(1009, "")).await;
        assert_eq!(before.rest().await, "");
        let mut refused = Talk::connect(&server, Via::Tcp).await;
        refused.send(upgrade("/echo", "")).await;
        assert!(refused.head().await.starts_with("HTTP/1.1 404"));
        other.echo("to the end").await;
    }
}

/// What was replaced is dropped, whoever is still connected.
#[tokio::test]
async fn what_nobody_is_served_by_any_more_is_gone() {
    let state = Arc::new("a state");
    let known: Weak<&str> = Arc::downgrade(&state);
    let router = get(async move || *state);
    let server = Running::start(Server::new().route("/", router).websocket("/echo", echo)).await;
    let mut idle = Talk::connect(&server, Via::Tcp).await;
    assert_eq!(ask(&mut idle, "/", "").await.1, "a state");
    let mut open = Talk::open(&server, Via::Tcp, "/echo").await;
    open.echo("open").await;
    assert!(known.upgrade().is_some());
    reload(&server, says("nothing of before")).await;
    assert_eq!(ask(&mut idle, "/", "").await.1, "nothing of before");
    open.echo("still").await;
    assert!(known.upgrade().is_none(), "the routes of before are held");
}

#[tokio::test]
async fn what_is_wrong_is_refused_as_a_whole() {
    let server = Running::start(first().max_connections(50)).await;
    let (urls, budgets) = (server.handle.bound().to_vec(), server.handle.monitor().budgets());
    let missing = folder("missing").join("not there");
    type Expected = fn(&StartError) -> bool;
    let wrong: [(Server, Expected); 7] = [
        (says("x").max_connections(0), |error| matches!(error, StartError::Limit(_))),
        (says("x").set("max-mesage", "1"), |error| matches!(error, StartError::Limit(_))),
        (says("x").route("/", get(async || "")), |error| matches!(error, StartError::Route { .. })),
        (says("x").files(&missing), |error| matches!(error, StartError::Files { .. })),
        (says("x").allow_origin("a\nb"), |error| matches!(error, StartError::Origin(_))),
        (says("x").listen("ftp://a"), |error| matches!(error, StartError::BadUrl { .. })),
        (says("x").forwarded("Forwarded"), |error| matches!(error, StartError::Trust { .. })),
    ];
    for (number, (settings, expected)) in (1..).zip(wrong) {
        let error = server.handle.reload(settings.max_connections_per_address(1).queue_memory(1)).await.unwrap_err();
        assert!(expected(&error), "{error:?}");
        assert_eq!(server.handle.counters().refused_reloads, number);
    }
    // A listener that needs it is there, asked for or not.
    let plain = Server::new().listen("http://127.0.0.1:0");
    let error = server.handle.reload(plain).await.unwrap_err();
    assert!(matches!(error, StartError::NoCertificate { .. }), "{error:?}");
    assert_eq!(server.handle.monitor().budgets(), budgets);
    assert_eq!(server.handle.bound(), urls);
    let mut talks = [Talk::connect(&server, Via::Tcp).await, Talk::connect(&server, Via::Tls).await];
    for talk in &mut talks {
        assert_eq!(ask(talk, "/", "").await.1, "one");
    }
    assert_eq!(server.handle.counters().reloads, 0);
    let _ = fs::remove_dir_all(missing.parent().unwrap());
}

#[tokio::test]
async fn what_takes_a_restart_is_named() {
    let server = Running::start(first()).await;
    let differs = settings().workers(5).listen("http://127.0.0.2:0").redirect_http(0);
    let reload = server.handle.reload(differs).await.unwrap();
    let expected = [
        "to listen on http://127.0.0.2:0",
        "another port from which requests are redirected to TLS: 0",
        "another number of workers: 5",
    ];
    assert_eq!(reload.needs_restart, expected);
    let tls = ServerTls::self_signed(["localhost"]).unwrap();
    let fewer = Server::new().workers(2).tls(tls).listen("http://127.0.0.1:0");
    let reload = server.handle.reload(fewer).await.unwrap();
    assert_eq!(reload.needs_restart, ["not to listen on https://127.0.0.1:0 any more"]);
}

#[tokio::test]
async fn bounds_over_all_connections_hold_at_once() {
    let server = Running::start(first()).await;
    let mut held = [Talk::connect(&server, Via::Tcp).await, Talk::connect(&server, Via::Tcp).await];
    for talk in &mut held {
        assert_eq!(ask(talk, "/", "").await.1, "one");
    }
    reload(&server, says("two").max_connections_per_address(1).queue_memory(7)).await;
    let budget = |name: &str| {
        let budgets = server.handle.monitor().budgets();
        budgets.iter().find(|budget| budget.name == name).unwrap().most
    };
    assert_eq!(budget("queue-memory"), 7);
    // Those that were there are not counted, the first that comes is.
    let mut first = Talk::connect(&server, Via::Tcp).await;
    assert_eq!(ask(&mut first, "/", "").await.1, "two");
    let mut second = Talk::connect(&server, Via::Tcp).await;
    assert!(ask(&mut second, "/", "").await.0.starts_with("HTTP/1.1 429"));
    reload(&server, says("three").max_connections(3)).await;
    assert_eq!(budget("max-connections"), 3);
    let mut third = Talk::open(&server, Via::Tcp, "/echo").await;
    third.echo("it had a place by one that idled").await;
}

#[tokio::test]
async fn a_drain_goes_as_it_was_told_last() {
    for workers in WORKERS {
        let server = Running::start_on(workers, first()).await;
        let mut talk = Talk::open(&server, Via::Tcp, "/echo").await;
        let after = says("two").workers(workers).drain_code(CloseCode::SERVICE_RESTART).drain_window(Duration::ZERO);
        reload(&server, after).await;
        let stopping = tokio::spawn({
            let handle = server.handle.clone();
            async move { handle.shutdown().await }
        });
        assert_eq!(talk.next().await, "close(1012)");
        // It is too late for others.
        let error = server.handle.reload(says("three")).await.unwrap_err();
        assert!(matches!(error, StartError::Draining), "{error:?}");
        talk.send(close(1012, "")).await;
        soon("the drain", stopping).await.unwrap();
        let error = server.handle.reload(says("three")).await.unwrap_err();
        assert!(matches!(error, StartError::Draining), "{error:?}");
        assert_eq!(server.handle.counters().refused_reloads, 2);
    }
}

#[tokio::test]
async fn a_monitor_of_the_settings_reads_the_server_that_took_them_over() {
    let server = Running::start(first()).await;
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    let after = says("two");
    let monitor = after.monitor();
    let stats = move || async move { monitor.counters().reloads.to_string() };
    reload(&server, after.route("/stats", get(stats))).await;
    assert_eq!(ask(&mut talk, "/stats", "").await.1, "1");
}

#[tokio::test]
async fn listeners_have_limits_of_their_own() {
    let small = |most: &str| Listen::new("http://127.0.0.1:0").set("max-message", most).unwrap();
    let strict = |most: &str| small(most).set("max-head", "8KiB").unwrap().set("max-request-rate", "3").unwrap();
    let made = |most: &str| {
        let config = ws::Config::default().max_message_size(100);
        let open = Endpoint::new(echo).config(config.clone());
        Server::new().websocket("/echo", echo).endpoint("/own", open).websocket_config(config).listen(strict(most))
    };
    let server = made("5").listen("http://127.0.0.2:0").start().await.unwrap();
    let [first, second] = server.local_addrs() else { panic!("{:?}", server.local_addrs()) };
    let mut talks = [Talk::open_at(*first, "/echo").await, Talk::open_at(*second, "/echo").await];
    talks[0].send(frame(0x81, "six by")).await;
    assert_eq!(talks[0].next().await, "close(1009)");
    talks[1].echo("six by").await;
    // An endpoint with a configuration has that everywhere.
    Talk::open_at(*first, "/own").await.echo("six by").await;
    let long = format!("x-long: {}\r\n", "x".repeat(12 << 10));
    let mut refused = Talk::connect_to(*first).await;
    refused.send(format!("GET / HTTP/1.1\r\nHost: localhost\r\n{long}\r\n")).await;
    assert!(refused.head().await.starts_with("HTTP/1.1 431"));
    let mut taken = Talk::connect_to(*second).await;
    assert!(ask(&mut taken, "/", &long).await.0.starts_with("HTTP/1.1 404"));
    // Two upgrades were asked for here, and nothing that cannot be read counts.
    let mut talk = Talk::connect_to(*first).await;
    assert!(ask(&mut talk, "/", "").await.0.starts_with("HTTP/1.1 404"));
    assert!(ask(&mut talk, "/", "").await.0.starts_with("HTTP/1.1 429"));
    assert!(ask(&mut taken, "/", "").await.0.starts_with("HTTP/1.1 404"));
    // Whoever has asked too often has so after a reload too; a limit can become another.
    let reload = server.reload(made("50").listen("http://127.0.0.2:0")).await.unwrap();
    assert!(reload.needs_restart.is_empty(), "{reload:?}");
    let mut talk = Talk::connect_to(*first).await;
    assert!(ask(&mut talk, "/", "").await.0.starts_with("HTTP/1.1 429"));
    let reload = server.reload(made("50")).await.unwrap();
    assert_eq!(reload.needs_restart, ["not to listen on http://127.0.0.2:0 any more"]);
}

#[test]
fn limits_that_no_listener_has() {
    let error = |name: &str, text: &str| Listen::new("http://a").set(name, text).unwrap_err().to_string();
    for name in ["max-connections", "http2-memory", "memory", "drain-timeout", "max-mesage"] {
        assert!(error(name, "5").contains(name), "{}", error(name, "5"));
    }
    assert!(error("max-message", "5XB").contains("max-message"));
    assert!(error("max-headers", "30000").contains("max-headers"));
}

/// What is still sent of a folder counts with what takes its place.
#[tokio::test]
async fn folders_go_on_counting_what_they_send() {
    let folder = folder("counting");
    fs::write(folder.join("large"), vec![b'x'; 8 << 20]).unwrap();
    let files = || Files::new(&folder).unwrap().read_memory(1 << 20);
    let server = Running::start(first().mount("/files", files())).await;
    let held = || {
        let budgets = server.handle.monitor().budgets();
        let reading = budgets.iter().find(|budget| budget.name == "read-memory").unwrap();
        (reading.used, reading.most)
    };
    let mut slow = Talk::connect(&server, Via::Tcp).await;
    slow.send("GET /files/large HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    slow.head().await;
    let before = held();
    assert!(before.0 > 0, "{before:?}");
    reload(&server, says("two").mount("/files", files().read_memory(2 << 20))).await;
    let after = held();
    assert!(after.0 > 0 && after.1 == 2 << 20, "{after:?}");
    let sent = soon("the rest of it", slow.bytes(8 << 20)).await;
    assert!(sent.iter().all(|byte| *byte == b'x'));
    let nothing = async {
        while held().0 > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("what was sent being given back", nothing).await;
    let _ = fs::remove_dir_all(folder);
}

#[tokio::test]
async fn connections_that_come_now_are_shown_the_certificate_of_now() {
    let server = Running::start(first()).await;
    let mut before = Talk::connect(&server, Via::Tls).await;
    assert_eq!(ask(&mut before, "/", "").await.1, "one");
    // Nobody knows this one.
    reload(&server, says("two")).await;
    assert_eq!(ask(&mut before, "/", "").await.1, "two");
    let url = format!("wss://localhost:{}/echo", server.address(Via::Tls).port());
    let error = rikki::client::Builder::new(&url).tls(server.trust()).connect().await.unwrap_err();
    assert!(error.to_string().contains("certificate"), "{error}");
}

/// Files that cannot be read to their end: nobody else waits for that.
#[cfg(unix)]
#[tokio::test]
async fn a_look_at_files_that_hangs_holds_up_neither_a_reload_nor_the_end() {
    let folder = folder("hung");
    let (certificate, key) = (folder.join("a.crt"), folder.join("a.key"));
    let made = testkit::Certificate::new(["localhost"]);
    fs::write(&certificate, &made.certificate).unwrap();
    fs::write(&key, &made.key).unwrap();
    let with = |tls| Server::new().workers(2).tls(tls).listen("https://127.0.0.1:0");
    let server = with(ServerTls::pem_files(&certificate, &key).unwrap()).start().await.unwrap();
    // A pipe that nobody writes to: opening it waits.
    fs::remove_file(&certificate).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&certificate).status().unwrap().success());
    let asking = tokio::spawn({
        let server = server.clone();
        async move { server.reload_certificates().await }
    });
    // It has begun when there is somebody to write for.
    let mut writer = fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::custom_flags(writer.write(true), rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let pipe = async {
        loop {
            match writer.open(&certificate) {
                Ok(pipe) => return pipe,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    };
    let pipe = soon("the look", pipe).await;
    let others = with(ServerTls::self_signed(["localhost"]).unwrap());
    soon("the reload", server.reload(others)).await.unwrap();
    // Whoever has asked is told that there is nothing to look at.
    assert!(soon("the answer", asking).await.unwrap().swapped.is_empty());
    soon("the end", server.shutdown()).await;
    drop(pipe);
    let _ = fs::remove_dir_all(folder);
}

#[tokio::test]
async fn what_is_done_with_settings_may_do_anything() {
    let server = Running::start(first().queue_memory(5)).await;
    let (again, nested) = (server.handle.clone(), says("two"));
    let reloading = says("three").queue_memory(7).when_in_force(|| panic!("as asked for")).when_in_force(move || {
        again.reload(nested).now_or_never().expect("nothing is awaited").unwrap();
    });
    reload(&server, reloading).await;
    let budgets = server.handle.monitor().budgets();
    assert_eq!(budgets.iter().find(|budget| budget.name == "queue-memory").unwrap().most, 7);
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    assert_eq!(ask(&mut talk, "/", "").await.1, "three");
    assert_eq!((server.handle.counters().reloads, server.handle.counters().refused_reloads), (2, 0));
    // Nothing of it where a setting is wrong.
    let wrong = says("four").when_in_force(|| unreachable!("it is not in force")).max_requests(0);
    assert!(server.handle.reload(wrong).await.is_err());
}

#[tokio::test]
async fn rates_of_listeners_are_each_its_own() {
    let strict = |url: &str| Listen::new(url).set("max-request-rate", "2").unwrap();
    let made = || Server::new().listen(strict("http://127.0.0.1:0")).listen(strict("http://127.0.0.2:0"));
    let server = made().start().await.unwrap();
    let [first, second] = server.local_addrs() else { panic!("{:?}", server.local_addrs()) };
    for round in 0..2 {
        let mut talk = Talk::connect_to(*first).await;
        let expected = if round == 0 { ["404", "404", "429"] } else { ["429"; 3] };
        for expected in expected.iter().take(3 - 2 * round) {
            let head = ask(&mut talk, "/", "").await.0;
            assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{round}: {head}");
        }
        let mut other = Talk::connect_to(*second).await;
        let head = ask(&mut other, "/", "").await.0;
        assert!(head.starts_with("HTTP/1.1 404"), "{round}: {head}");
        server.reload(made()).await.unwrap();
    }
}

#[tokio::test]
async fn listeners_with_one_url_keep_each_its_own() {
    let small = |most: &str| Listen::new("http://127.0.0.1:0").set("max-message", most).unwrap();
    let made = |mosts: &[&str]| {
        mosts.iter().fold(Server::new().websocket("/echo", echo), |server, most| server.listen(small(most)))
    };
    let server = made(&["5", "100"]).start().await.unwrap();
    let [first, second] = server.local_addrs() else { panic!("{:?}", server.local_addrs()) };
    let reload = server.reload(made(&["7", "100"])).await.unwrap();
    assert!(reload.needs_restart.is_empty(), "{reload:?}");
    Talk::open_at(*second, "/echo").await.echo("eight by").await;
    let mut limited = Talk::open_at(*first, "/echo").await;
    limited.echo("six by").await;
    limited.send(frame(0x81, "eight by")).await;
    assert_eq!(limited.next().await, "close(1009)");
    let reload = server.reload(made(&["7"])).await.unwrap();
    assert_eq!(reload.needs_restart, ["not to listen on http://127.0.0.1:0 any more"]);
}

#[tokio::test]
async fn who_is_trusted_is_judged_for_each_request() {
    let seen = || get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.to_string());
    let made = || settings().route("/peer", seen());
    let server = Running::start(Server::new().route("/peer", seen())).await;
    let mut talk = Talk::connect(&server, Via::Tcp).await;
    let mut is_believed = async |expected: bool| {
        let peer = ask(&mut talk, "/peer", "X-Forwarded-For: 192.0.2.7\r\n").await.1;
        assert_eq!(peer.contains("192.0.2.7"), expected, "{peer}");
    };
    is_believed(false).await;
    reload(&server, made().trust("127.0.0.1")).await;
    is_believed(true).await;
    reload(&server, made()).await;
    is_believed(false).await;
}

/// Whoever has shown no certificate, where one is asked for now, connects anew.
#[tokio::test]
async fn who_may_connect_holds_for_open_connections() {
    let folder = folder("authority");
    let file = folder.join("clients.crt");
    fs::write(&file, testkit::Certificate::new(["clients"]).certificate).unwrap();
    let server = Running::start(first()).await;
    let mut talks = [Talk::connect(&server, Via::Tls).await, Talk::connect(&server, Via::Tcp).await];
    let mut both = async |secure: &str| {
        for (talk, expected) in talks.iter_mut().zip([secure, "200"]) {
            let head = ask(talk, "/", "").await.0;
            assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{head}");
        }
    };
    both("200").await;
    reload(&server, says("two")).await;
    both("200").await;
    let tls = ServerTls::self_signed(["localhost"]).unwrap().client_ca(&file).unwrap();
    reload(&server, says("three").tls(tls)).await;
    both("421").await;
    soon("the end of the connection", talks[0].gone()).await;
    let _ = fs::remove_dir_all(folder);
}

/// It stays as secret as it was, whatever its name is now.
#[tokio::test]
async fn a_key_of_before_is_served_under_no_name() {
    let folder = folder("keys");
    let made = testkit::Certificate::new(["localhost"]);
    let write = |name: &str| {
        let files = [folder.join(format!("{name}.crt")), folder.join(format!("{name}.key"))];
        fs::write(&files[0], &made.certificate).unwrap();
        fs::write(&files[1], &made.key).unwrap();
        files
    };
    let made = |name: &str| {
        let [certificate, key] = write(name);
        let tls = ServerTls::pem_files(certificate, key).unwrap();
        Server::new().workers(2).tls(tls).listen("http://127.0.0.1:0").listen("https://127.0.0.1:0").files(&folder)
    };
    let server = made("a").start().await.unwrap();
    fs::rename(folder.join("a.key"), folder.join("old.key")).unwrap();
    fs::write(folder.join("public"), "public").unwrap();
    for name in ["a", "b"] {
        server.reload(made(name)).await.unwrap();
        let mut talk = Talk::connect_to(server.local_addrs()[0]).await;
        for (path, expected) in [("/public", "200"), ("/a.key", "404"), ("/old.key", "404"), ("/b.key", "404")] {
            let head = ask(&mut talk, path, "").await.0;
            assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{name} {path}: {head}");
        }
    }
    let _ = fs::remove_dir_all(folder);
}
