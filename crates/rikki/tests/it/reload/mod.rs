//! Other settings while the server runs: what changes at once, what stays, and what is refused as a whole.

mod listeners;
mod trust;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak, mpsc};
use std::thread;
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
    // Over TLS, where it is read.
    let mut slow = Talk::connect(&server, Via::Tls).await;
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

/// What was read first does not replace what was read later.
#[tokio::test]
async fn one_reload_reads_its_settings_at_a_time() {
    let server = Running::start(first()).await;
    let settings = |text| Ok::<_, StartError>(says(text));
    let (reading, begun) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel();
    let handle = server.handle.clone();
    let earlier = thread::spawn(move || {
        handle.reload_from(|| {
            reading.send(()).unwrap();
            may_go_on.recv().unwrap();
            settings("two")
        })
    });
    begun.recv().unwrap();
    let meanwhile = server.handle.reload_from(|| settings("three"));
    assert_eq!(meanwhile, Err("another reload is reading them, ask again when it has ended".to_owned()));
    go_on.send(()).unwrap();
    let says_now = async || ask(&mut Talk::connect(&server, Via::Tcp).await, "/", "").await.1;
    assert_eq!(earlier.join().unwrap().unwrap().needs_restart, Vec::<String>::new());
    assert_eq!(says_now().await, "two");
    server.handle.reload_from(|| settings("four")).unwrap();
    assert_eq!(says_now().await, "four");
}

/// It does not stop those that follow.
#[tokio::test]
async fn a_reload_that_panics_is_refused() {
    let server = Running::start(first()).await;
    let refused = server.handle.reload_from(|| -> Result<Server, StartError> { panic!("no settings") });
    assert_eq!(refused, Err("reading them has panicked".to_owned()));
    assert_eq!(server.handle.counters().refused_reloads, 1);
    server.handle.reload_from(|| Ok::<_, StartError>(says("three"))).unwrap();
}
