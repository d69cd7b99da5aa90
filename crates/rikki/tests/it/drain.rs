//! Going down: WebSockets are closed with 1001, requests finish, and the port is free again.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::response::Response;
use axum::routing::{MethodRouter, any, get};
use futures_util::{FutureExt, StreamExt};
use rikki::ws::{CloseCode, Message, Socket, Upgrade};
use rikki::{Handle, Server};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::recorder::Recorder;
use crate::talk::{Talk, close, frame};
use crate::wire::{BOTH, Running, Via, WORKERS, soon};

async fn read_all(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move { while socket.next().await.is_some() {} })
}

/// Tells `asked` of each request, and answers it when it is told to `finish`.
fn slow(asked: &Arc<Notify>, finish: &Arc<Notify>) -> MethodRouter {
    let (asked, finish) = (asked.clone(), finish.clone());
    get(async move || {
        asked.notify_one();
        finish.notified().await;
        "slow, but whole"
    })
}

/// Waits until nobody is listening any more.
async fn refused(addresses: [SocketAddr; 2]) {
    for address in addresses {
        let attempts = async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        soon("connections being refused", attempts).await;
    }
}

/// The server says that it goes, and is answered.
async fn goes_away(talk: &mut Talk) {
    assert_eq!(talk.next().await, "close(1001)");
    talk.send(close(1001, "")).await;
    assert_eq!(talk.rest().await, "");
}

/// Whoever gives a start up in the meantime leaves no server behind: there is no meantime.
#[tokio::test]
async fn a_server_has_started_at_the_first_poll() {
    let server = Server::new().listen("http://127.0.0.1:0");
    let handle = server.start().now_or_never().expect("nothing is awaited").unwrap();
    soon("the end", handle.shutdown()).await;
}

#[tokio::test]
async fn a_drain() {
    for workers in WORKERS {
        drain(workers).await;
    }
}

async fn drain(workers: usize) {
    let (recorder, mut calls) = Recorder::new();
    let (asked, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = slow(&asked, &finish);
    let routes = Server::new().websocket("/record", recorder).route("/async", any(read_all)).route("/slow", slow);
    let server = Running::start_on(workers, routes).await;
    let addresses = BOTH.map(|via| server.address(via));
    let mut sockets = Vec::new();
    let mut requests = Vec::new();
    let mut idle = Vec::new();
    for via in BOTH {
        sockets.push(Talk::open(&server, via, "/async").await);
        sockets.push(Talk::open(&server, via, "/record").await);
        calls.opened().await;
        let mut request = Talk::connect(&server, via).await;
        request.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        soon("the request", asked.notified()).await;
        requests.push(request);
        idle.push(Talk::connect(&server, via).await);
    }

    let down = tokio::spawn(async move { server.handle.shutdown().await });
    for mut socket in sockets {
        goes_away(&mut socket).await;
    }
    for _ in BOTH {
        assert_eq!(calls.closed().await, (0, "1001 \"\" fine".to_owned()));
    }
    refused(addresses).await;
    for mut connection in idle {
        assert_eq!(connection.text().await, "");
    }
    assert!(!down.is_finished());
    finish.notify_waiters();
    for mut request in requests {
        let answer = request.text().await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("slow, but whole"), "{answer}");
    }
    soon("the end", down).await.unwrap();
    let _free = addresses.map(|address| TcpListener::bind(address).expect("the port is free again"));
    calls.end().await;
}

/// Nobody can hold a drain up for longer than its deadline.
#[tokio::test]
async fn a_drain_that_nobody_awaits_goes_on() {
    let (asked, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let routes = Server::new().route("/async", any(read_all)).route("/slow", slow(&asked, &finish));
    let server = Running::start(routes).await;
    let mut socket = Talk::open(&server, Via::Tcp, "/async").await;
    let mut request = Talk::connect(&server, Via::Tcp).await;
    request.send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    soon("the request", asked.notified()).await;
    let mut shutdown = Box::pin(server.handle.shutdown());
    assert_eq!(shutdown.as_mut().now_or_never(), None);
    drop(shutdown);
    goes_away(&mut socket).await;
    finish.notify_one();
    let response = request.text().await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("slow, but whole"), "{response}");
}

/// Clients that all come back at the same moment would be a second trouble.
#[tokio::test]
async fn closing_is_spread_over_the_window() {
    let restarting = Server::new().drain_window(Duration::from_millis(1500)).drain_code(CloseCode::SERVICE_RESTART);
    let server = Running::echo(restarting).await;
    let mut sockets = Vec::new();
    for _ in 0..60 {
        sockets.push(Talk::open(&server, Via::Tcp, "/echo").await);
    }
    let started = Instant::now();
    let told = async {
        let told = sockets.iter_mut().map(async |socket| {
            assert_eq!(socket.next().await, "close(1012)");
            let after = started.elapsed();
            socket.send(close(1012, "")).await;
            assert_eq!(socket.rest().await, "");
            after
        });
        futures_util::future::join_all(told).await
    };
    let progress = async {
        while server.handle.counters().websockets == 60 {
            tokio::task::yield_now().await;
        }
        server.handle.counters().websockets
    };
    let ((), mut told, left) = tokio::join!(server.handle.shutdown(), told, progress);
    assert!(left > 0, "the handle shows how far it has come");
    told.sort();
    assert!(told[59] >= Duration::from_millis(1000), "over the whole window: {told:?}");
    assert!(told[59] - told[0] >= Duration::from_millis(300), "not all at once: {told:?}");
    assert_eq!(server.handle.counters().connections, 0);
}

#[tokio::test]
async fn a_drain_has_a_deadline() {
    let finish = Arc::new(Notify::new());
    let never = {
        let finish = finish.clone();
        get(async move || finish.notified().await)
    };
    let server = Server::new().route("/never", never).drain_timeout(Duration::from_millis(500));
    let server = Running::echo(server).await;
    let mut sockets = Vec::new();
    let mut requests = Vec::new();
    for via in BOTH {
        let mut socket = Talk::open(&server, via, "/echo").await;
        socket.echo("hello").await;
        sockets.push(socket);
        let mut request = Talk::connect(&server, via).await;
        request.send("GET /never HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        requests.push(request);
    }
    soon("the end", server.handle.shutdown()).await;
    for mut socket in sockets {
        // It had been told, and nobody has answered.
        assert_eq!(socket.next().await, "close(1001)");
        socket.gone().await;
    }
    for mut request in requests {
        request.gone().await;
    }
}

#[tokio::test]
async fn dropping_the_handle_stops_the_server() {
    stopped_by(drop).await;
    stopped_by(|server| {
        let mut run = Box::pin(server.handle.run());
        assert!(run.as_mut().now_or_never().is_none(), "no signal has come");
    })
    .await;
}

/// Each clone keeps the server running, that of a future that waits for signals too.
#[tokio::test]
async fn the_last_clone_of_the_handle_stops_the_server() {
    let server = Server::new().route("/rest", get(async || "rest")).listen("http://127.0.0.1:0").start().await.unwrap();
    let address = server.local_addrs()[0];
    let is_served = async |by: &str| {
        let mut request = Talk::connect_to(address).await;
        request.send("GET /rest HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
        let answer = request.text().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{by}: {answer}");
    };
    let (clone, mut running) = (server.clone(), Box::pin(server.run()));
    assert!(running.as_mut().now_or_never().is_none(), "no signal has come");
    drop(server);
    is_served("a clone and a future that runs it").await;
    drop(running);
    is_served("a clone").await;
    let running = clone.run();
    drop(clone);
    is_served("a future that was not polled").await;
    drop(running);
    refused([address; 2]).await;
}

async fn stopped_by(stop: impl FnOnce(Running)) {
    let server = Running::echo(Server::new()).await;
    let addresses = BOTH.map(|via| server.address(via));
    let mut sockets = Vec::new();
    for via in BOTH {
        sockets.push(Talk::open(&server, via, "/echo").await);
    }
    stop(server);
    for mut socket in sockets {
        goes_away(&mut socket).await;
    }
    refused(addresses).await;
}

/// The port of connections that the server closed first is free at once.
#[tokio::test]
async fn a_server_can_start_where_one_has_stopped() {
    let first = Running::echo(Server::new()).await;
    let address = first.address(Via::Tcp);
    let mut talk = Talk::open_at(address, "/echo").await;
    talk.echo("hello").await;
    let answering = tokio::spawn(async move {
        goes_away(&mut talk).await;
    });
    soon("the end", first.handle.shutdown()).await;
    answering.await.unwrap();
    let second = Server::new().route("/rest", get(|| async { "rest" })).listen(format!("http://{address}"));
    let second = second.start().await.unwrap();
    assert_eq!(second.local_addrs(), [address]);
    soon("the end", second.shutdown()).await;
}

#[tokio::test]
async fn a_silent_tls_client_does_not_hold_up_a_drain() {
    let server = Running::start(Server::new().drain_timeout(Duration::from_secs(60))).await;
    let _silent = TcpStream::connect(server.address(Via::Tls)).await.unwrap();
    // Accepted after the silent one, so that one is in its handshake by now.
    let mut request = Talk::connect(&server, Via::Tls).await;
    request.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    assert!(request.head().await.starts_with("HTTP/1.1 404 "));
    drop(request);
    soon("the drain", server.handle.shutdown()).await;
}

/// Who counts connections in `open` and `close` counts right.
#[tokio::test]
async fn a_handler_is_told_of_connections_that_are_cut() {
    let (recorder, mut calls) = Recorder::new();
    let server = Server::new().websocket("/record", recorder).drain_timeout(Duration::from_millis(200));
    let server = Running::start(server).await;
    let _mute = Talk::open(&server, Via::Tcp, "/record").await;
    let (_, sender) = calls.opened().await;
    soon("the drain", server.handle.shutdown()).await;
    let (_, end) = calls.closed().await;
    assert!(end.starts_with("1006 "), "{end}");
    assert!(sender.is_closed());
}

/// A server whose endpoint `/stuck` blocks its worker: what tells when it does, and what ends it when dropped.
async fn stuck(workers: usize, server: Server) -> (Running, Talk, Release) {
    let (entered, stuck) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel();
    let released = std::sync::Mutex::new(released);
    let server = server.websocket("/stuck", move |_: &mut Socket<'_>, _: Message<'_>| {
        entered.send(()).unwrap();
        let _ = released.lock().unwrap().recv();
    });
    let server = Running::start_on(workers, server).await;
    let mut talk = Talk::open(&server, Via::Tcp, "/stuck").await;
    talk.send(frame(0x81, "x")).await;
    tokio::task::spawn_blocking(move || stuck.recv_timeout(Duration::from_secs(5)).unwrap()).await.unwrap();
    (server, talk, release)
}

type Release = std::sync::mpsc::Sender<()>;

#[tokio::test]
async fn a_callback_that_is_stuck_does_not_hold_up_the_exit() {
    for workers in WORKERS {
        let server = Server::new().drain_timeout(Duration::from_millis(200));
        let (server, _talk, release) = stuck(workers, server).await;
        soon("the drain", server.handle.shutdown()).await;
        drop(release);
    }
}

/// Closing a socket that listens resets those that wait in its queue.
#[tokio::test]
async fn whoever_has_connected_before_a_drain_is_answered() {
    let (server, mut talk, release) = stuck(1, Server::new().drain_window(Duration::ZERO)).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut connection = Talk::connect(&server, Via::Tcp).await;
        connection.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        waiting.push(connection);
    }
    let down = tokio::spawn(async move { server.handle.shutdown().await });
    tokio::task::yield_now().await;
    drop(release);
    for mut connection in waiting {
        let answer = connection.text().await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer:?}");
    }
    goes_away(&mut talk).await;
    soon("the end", down).await.unwrap();
}

/// What a request needs to be finished is not closed under it.
#[tokio::test]
async fn a_client_inside_of_a_server_outlasts_its_drain() {
    let upstream = Running::echo(Server::new()).await;
    let url = format!("ws://localhost:{}/echo", upstream.address(Via::Tcp).port());
    let (asked, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let route = {
        let (asked, finish) = (asked.clone(), finish.clone());
        get(async move || {
            let mut socket = rikki::client::connect(&url).await.unwrap();
            asked.notify_one();
            // Polled, so that it would see the drain.
            tokio::select! {
                end = socket.next() => panic!("{end:?}"),
                () = finish.notified() => {}
            }
            socket.send("still open").await.unwrap();
            socket.next().await.unwrap().unwrap().as_text().unwrap().to_owned()
        })
    };
    let server = Server::new().drain_window(Duration::ZERO).route("/ask", route).route("/async", any(read_all));
    let server = Running::start_on(1, server).await;
    let mut request = Talk::connect(&server, Via::Tcp).await;
    request.send("GET /ask HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    soon("the request", asked.notified()).await;
    let mut socket = Talk::open(&server, Via::Tcp, "/async").await;
    let down = tokio::spawn(async move { server.handle.shutdown().await });
    // On the same thread and with all others: when it has been told, the client would have been.
    goes_away(&mut socket).await;
    finish.notify_one();
    let answer = request.text().await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("still open"), "{answer}");
    soon("the end", down).await.unwrap();
}

/// A route that stops the server is answered, whoever awaits what.
#[tokio::test]
async fn a_route_may_stop_its_own_server() {
    for workers in WORKERS {
        let handle = Arc::new(OnceLock::<Handle>::new());
        let stop = {
            let handle = handle.clone();
            get(async move || {
                handle.get().unwrap().shutdown().await;
                "going down"
            })
        };
        let server = Server::new().route("/stop", stop).route("/async", any(read_all)).workers(workers);
        let started = server.listen("http://127.0.0.1:0").start().await.unwrap();
        handle.set(started.clone()).unwrap();
        let address = started.local_addrs()[0];
        let mut socket = Talk::open_at(address, "/async").await;
        let mut request = Talk::connect_to(address).await;
        request.send("GET /stop HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let answer = request.text().await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("going down"), "{answer}");
        goes_away(&mut socket).await;
        soon("the end", started.shutdown()).await;
        refused([address; 2]).await;
    }
}
