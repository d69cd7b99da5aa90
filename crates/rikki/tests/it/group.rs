//! Groups under `axum::serve` and under our own server: what ends with 1001 instead of a reset.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::any;
use futures_util::{FutureExt, SinkExt, StreamExt};
use rikki::Server;
use rikki::ws::{CloseCode, Endpoint, Group, Message, Sender, Socket, Upgrade, WebSocket};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Notify, oneshot};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message as Theirs;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as TheirCode;

use crate::talk::{Talk, close, upgrade};
use crate::wire::{Running, Via, soon};

fn echo(socket: &mut Socket<'_>, message: Message<'_>) {
    let _ = socket.send(message);
}

async fn read_all(mut socket: WebSocket) {
    while socket.recv().await.is_some() {}
}

/// One that is ended by a signal, as `main` of an application does it, on a runtime that is gone with `main`.
struct Application {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    /// The signal has come, and the group is closed.
    closing: oneshot::Receiver<()>,
    main: thread::JoinHandle<()>,
}

impl Application {
    async fn start(group: &Group, app: Router) -> Self {
        let ((stop, stopped), (told, bound)) = (oneshot::channel::<()>(), oneshot::channel());
        let (begin, closing) = oneshot::channel();
        let group = group.clone();
        let main = thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                let shutdown = group.shutdown(stopped).map(|()| begin.send(()).unwrap_or_default());
                axum::serve(listener, app).with_graceful_shutdown(shutdown).await.unwrap();
                group.closed().await;
            });
        });
        Self { address: bound.await.unwrap(), stop, closing, main }
    }

    /// Waits for the end of `main`, and of all that was left on its runtime.
    async fn end(main: thread::JoinHandle<()>) {
        soon("the end", tokio::task::spawn_blocking(|| main.join())).await.unwrap().unwrap();
    }
}

/// Both faces, by the upgrade and by an endpoint; a client that waits a while with its answer, and others' clients.
#[tokio::test]
async fn under_axum_all_are_closed_with_1001_and_none_is_reset() {
    let group = Group::new();
    let endpoint = Endpoint::new(echo).group(&group);
    let joins = group.clone();
    let app = Router::new()
        .route("/callbacks", any(async move |upgrade: Upgrade| upgrade.serve(&endpoint)))
        .route("/stream", any(async move |upgrade: Upgrade| upgrade.group(&joins).on_upgrade(read_all)));
    let Application { address, stop, main, .. } = Application::start(&group, app).await;
    let (mut raw, mut theirs) = (Vec::new(), Vec::new());
    for path in ["/callbacks", "/stream"] {
        for _ in 0..5 {
            raw.push(Talk::open_at(address, path).await);
            let url = format!("ws://{address}{path}");
            theirs.push(soon("connecting", connect_async(url)).await.unwrap().0);
        }
    }
    // A client may know before the stream is there.
    while group.len() < 20 {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    let talk = async |mut talk: Talk| {
        assert_eq!(talk.next().await, "close(1001)");
        assert!(!main.is_finished(), "it is not answered yet");
        talk.send(close(1001, "")).await;
        assert_eq!(talk.rest().await, "");
    };
    let late = raw.pop().unwrap();
    for raw in raw {
        talk(raw).await;
    }
    for mut client in theirs {
        let message = soon("the Close", client.next()).await.unwrap().unwrap();
        let Theirs::Close(Some(frame)) = message else { panic!("{message:?}") };
        assert_eq!(frame.code, TheirCode::Away);
        soon("the answer", client.flush()).await.unwrap();
        assert!(soon("the end", client.next()).await.is_none(), "a reset would be an error");
    }
    assert!(group.closed().now_or_never().is_none(), "one has not answered");
    talk(late).await;
    Application::end(main).await;
    assert!(group.is_empty());
}

/// Handshakes that are under way when the signal comes: not judged yet, and agreed on but not answered.
#[tokio::test]
async fn who_is_upgraded_during_the_shutdown_gets_1001_too() {
    for is_agreed in [false, true] {
        let (group, asked, go_on) = (Group::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let joins = group.clone();
        let serve = async move |upgrade: Upgrade| upgrade.group(&joins).on_upgrade(read_all);
        let held = from_fn({
            let held = (asked.clone(), go_on.clone());
            move |request: Request, next: Next| {
                let (asked, go_on) = held.clone();
                let hold = async move || {
                    asked.notify_one();
                    go_on.notified().await;
                };
                async move {
                    if !is_agreed {
                        hold().await;
                    }
                    let response = next.run(request).await;
                    if is_agreed {
                        hold().await;
                    }
                    response
                }
            }
        });
        let app = Router::new().route("/", any(serve)).layer(held);
        let Application { address, stop, closing, main } = Application::start(&group, app).await;
        let mut talk = Talk::connect_to(address).await;
        talk.send(upgrade("/", "")).await;
        soon("the handshake", asked.notified()).await;
        stop.send(()).unwrap();
        soon("the signal", closing).await.unwrap();
        assert_eq!(group.closed().now_or_never().is_none(), is_agreed, "it waits for what was agreed on");
        go_on.notify_one();
        let head = talk.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(talk.next().await, "close(1001)");
        talk.send(close(1001, "")).await;
        assert_eq!(talk.rest().await, "");
        Application::end(main).await;
    }
}

/// Neither does one keep the group waiting whose client has left before it was answered, nor one that was agreed on and
/// answered otherwise.
#[tokio::test]
async fn who_leaves_during_the_handshake_is_not_waited_for() {
    for answers in [false, true] {
        let (group, agreed) = (Group::new(), Arc::new(Notify::new()));
        let shared = (group.clone(), agreed.clone());
        let serve = async move |upgrade: Upgrade| {
            let (group, agreed) = shared;
            let _agreed = upgrade.group(&group).on_upgrade(read_all);
            agreed.notify_one();
            if !answers {
                std::future::pending::<()>().await;
            }
            "no WebSocket today"
        };
        let Application { address, stop, main, .. } =
            Application::start(&group, Router::new().route("/", any(serve))).await;
        let mut talk = Talk::connect_to(address).await;
        talk.send(upgrade("/", "")).await;
        soon("the handshake", agreed.notified()).await;
        if answers {
            assert!(talk.head().await.starts_with("HTTP/1.1 200 "));
        }
        drop(talk);
        stop.send(()).unwrap();
        Application::end(main).await;
        assert!(group.is_empty());
    }
}

/// By an endpoint for all, and by hand for a room.
#[tokio::test]
async fn rooms_under_our_own_server() {
    let (all, room) = (Group::new(), Group::new());
    let joining = room.clone();
    let chat = move |socket: &mut Socket<'_>, message: Message<'_>| match message.as_text() {
        Some("join") => joining.join(&socket.sender()).detach(),
        _ => _ = joining.send(message),
    };
    let server = Running::start(Server::new().endpoint("/", Endpoint::new(chat).group(&all))).await;
    let mut talks = Vec::new();
    for via in [Via::Tcp, Via::Tls, Via::Tcp] {
        talks.push(Talk::open(&server, via, "/").await);
    }
    while all.len() < 3 {
        tokio::task::yield_now().await;
    }
    let [mut one, mut other, mut outside] = <[Talk; 3]>::try_from(talks).ok().unwrap();
    for talk in [&mut one, &mut other] {
        talk.send(testkit::frame(0x81, "join")).await;
    }
    while room.len() < 2 {
        tokio::task::yield_now().await;
    }
    one.send(testkit::frame(0x81, "hello")).await;
    for talk in [&mut one, &mut other] {
        assert_eq!(talk.next().await, "text(hello)");
    }
    let sent = all.send("to all");
    assert_eq!((sent.accepted, sent.refused, sent.closed), (3, 0, 0));
    for talk in [&mut one, &mut other, &mut outside] {
        assert_eq!(talk.next().await, "text(to all)");
    }
    // A room is closed, and the others go on.
    let closing = tokio::spawn({
        let room = room.clone();
        async move { room.close(CloseCode(4000), "the room is closed", Duration::ZERO).await }
    });
    for talk in [&mut one, &mut other] {
        assert_eq!(talk.next().await, "close(4000)");
        talk.send(close(4000, "")).await;
        assert_eq!(talk.rest().await, "");
    }
    drop((one, other));
    soon("the room", closing).await.unwrap().unwrap();
    assert_eq!(all.senders().iter().filter(|sender| !Sender::is_closed(sender)).count(), 1);
    outside.send(testkit::frame(0x81, "join")).await;
    assert_eq!(outside.next().await, "close(4000)", "it is closed for good");
    outside.send(close(4000, "")).await;
    assert_eq!(outside.rest().await, "");
}

/// Both close the same connections: the first Close counts, and the drain waits for the rest.
#[tokio::test]
async fn a_drain_and_a_group_close_the_same() {
    let group = Group::new();
    let endpoint = Endpoint::new(echo).group(&group);
    let server = Running::start(Server::new().endpoint("/", endpoint).drain_code(CloseCode::SERVICE_RESTART)).await;
    let (mut one, mut other) = (Talk::open(&server, Via::Tcp, "/").await, Talk::open(&server, Via::Tls, "/").await);
    while group.len() < 2 {
        tokio::task::yield_now().await;
    }
    let first = group.senders().remove(0);
    first.close(CloseCode(4000), "").unwrap();
    assert_eq!(one.next().await, "close(4000)");
    let down = tokio::spawn(async move { server.handle.shutdown().await });
    assert_eq!(other.next().await, "close(1012)");
    group.start_close(CloseCode::GOING_AWAY, "", Duration::ZERO).unwrap();
    for (talk, code) in [(&mut one, 4000), (&mut other, 1012)] {
        talk.send(close(code, "")).await;
        assert_eq!(talk.rest().await, "");
    }
    drop((one, other));
    soon("the group", group.closed()).await;
    soon("the drain", down).await.unwrap();
}
