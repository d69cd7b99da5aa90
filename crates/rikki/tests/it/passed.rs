//! Sockets that the server is given and that outlive it, as those of systemd do.

use std::fs::File;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::time::Duration;

use axum::routing::get;
use rikki::{Peer, Server, ServerTls, StartError};
use socket2::{Domain, Socket, Type};

use crate::files::fixture::Fixture;
use crate::talk::{Talk, close};
use crate::wire::{WORKERS, soon};

fn server(name: &'static str, workers: usize) -> Server {
    let who = get(move |peer: Peer| std::future::ready(format!("{name} {}", peer.ip().is_some())));
    let echo = |socket: &mut rikki::ws::Socket<'_>, message: rikki::ws::Message<'_>| socket.send(message);
    Server::new().route("/who", who).websocket("/echo", echo).drain_window(Duration::ZERO).workers(workers)
}

const REQUEST: &str = "GET /who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Whoever comes while nobody accepts waits, and is answered by the next.
#[tokio::test]
async fn whoever_comes_between_two_servers_is_answered_by_the_next() {
    for workers in WORKERS {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let folder = Fixture::empty();
        let path = folder.root().join("s");
        let at_path = UnixListener::bind(&path).unwrap();
        let first = server("first", workers)
            .socket("web", socket.try_clone().unwrap())
            .socket("local", at_path.try_clone().unwrap())
            .listen("fd:web")
            .listen("fd:local");
        let first = first.start().await.unwrap();
        // Where they are is told.
        let bound: Vec<_> = first.bound().iter().map(ToString::to_string).collect();
        assert_eq!(bound, [address.to_string(), format!("unix:{}", path.display())]);
        assert_eq!(first.local_addrs(), [address]);
        let mut talk = Talk::connect_to(address).await;
        talk.upgrade("/echo").await;
        let drain = tokio::spawn({
            let first = first.clone();
            async move { first.shutdown().await }
        });
        assert_eq!(talk.next().await, "close(1001)");
        talk.send(close(1001, "")).await;
        soon("the end", drain).await.unwrap();
        let mut between = [Talk::connect_to(address).await, Talk::connect_at(&path).await];
        for talk in &mut between {
            talk.send(REQUEST).await;
        }
        let second = server("second", workers)
            .socket("web", socket)
            .socket("local", at_path)
            .listen("fd:web")
            .listen("fd:local");
        let second = second.start().await.unwrap();
        for (talk, expected) in between.iter_mut().zip(["second true", "second false"]) {
            let answer = talk.text().await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(expected), "{answer}");
        }
        second.shutdown().await;
        // It is not ours to remove.
        assert!(path.exists());
    }
}

/// Several have one name, as those of one unit, and each answers to the names of the place where it is.
#[tokio::test]
async fn several_of_one_name_and_a_reload() {
    let sockets = ["127.0.0.1:0", "0.0.0.0:0"].map(|place| TcpListener::bind(place).unwrap());
    let [loopback, open] = [0, 1].map(|index: usize| sockets[index].local_addr().unwrap());
    let named = |text: &'static str| server(text, 1).listen("fd:web");
    let [first, second] = sockets;
    let handle = named("before").socket("web", first).socket("web", second).start().await.unwrap();
    assert_eq!(handle.local_addrs(), [loopback, open]);
    let bound: Vec<_> = handle.bound().iter().map(ToString::to_string).collect();
    assert_eq!(bound, [loopback, open].map(|address| address.to_string()));
    let ask = async |address: std::net::SocketAddr, host: &str| {
        let mut talk = Talk::connect_to(([127, 0, 0, 1], address.port()).into()).await;
        talk.send(REQUEST.replace("localhost", host)).await;
        talk.text().await
    };
    assert!(ask(loopback, "app.test").await.starts_with("HTTP/1.1 403 "));
    assert!(ask(open, "app.test").await.ends_with("before true"));
    // The name is enough: what it has stays.
    let reload = handle.reload(named("after")).await.unwrap();
    assert_eq!(reload.needs_restart, [""; 0]);
    assert!(ask(loopback, "localhost").await.ends_with("after true"));
    let reload = handle.reload(server("more", 1).listen("fd:web").listen("fd:more")).await.unwrap();
    assert_eq!(reload.needs_restart, ["to listen on fd:more"]);
    handle.shutdown().await;
}

#[tokio::test]
async fn what_is_none_to_listen_on_is_refused() {
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(listening.local_addr().unwrap()).unwrap();
    let silent = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    silent.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let (pair, _other) = UnixStream::pair().unwrap();
    let sockets: [(OwnedFd, &str); 6] = [
        (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "it is no stream socket"),
        (UnixDatagram::unbound().unwrap().into(), "it is no stream socket"),
        (File::open("/dev/null").unwrap().into(), "it is no socket"),
        (connected.into(), "it does not listen"),
        (silent.into(), "it does not listen"),
        (pair.into(), "it does not listen"),
    ];
    let check = async |server: Server, expected: &str| {
        let error = server.start().await.unwrap_err();
        assert!(matches!(error, StartError::Passed { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    for (socket, expected) in sockets {
        check(Server::new().socket("web", socket).listen("fd:web"), &format!("cannot listen on fd:web: {expected}"))
            .await;
    }
    let none = "cannot listen on fd:web: no socket was passed under this name";
    check(Server::new().listen("fd:web"), none).await;
    let other = Server::new().socket("other", listening.try_clone().unwrap()).listen("fd:web");
    check(other, &format!("{none}; there is other")).await;
    let twice = Server::new().socket("web", listening.try_clone().unwrap()).listen("fd:web").listen("fd:web");
    check(twice, "cannot listen on fd:web: it is given twice").await;
    let folder = Fixture::empty();
    let at_path = UnixListener::bind(folder.root().join("s")).unwrap();
    let tls = Server::new().tls(ServerTls::self_signed(["localhost"]).unwrap()).socket("web", at_path);
    check(tls.listen("fd:web,tls"), "cannot listen on fd:web: TLS is for TCP").await;
    let without = Server::new().socket("web", listening).listen("fd:web,tls").start().await.unwrap_err();
    assert!(matches!(without, StartError::NoCertificate { .. }), "{without}");
}
