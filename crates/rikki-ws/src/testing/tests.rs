//! The kit itself, and that the engine's deadlines go by a clock that is paused.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use http::Request;
use tokio::task::yield_now;
use tokio::time::Instant;

use super::*;
use crate::{
    CloseCode, Closed, Config, Deadline, Endpoint, Error, Handler, Message, Opening, SendError, Socket, WebSocket,
};

fn echo(socket: &mut Socket<'_>, message: Message<'_>) {
    let _ = socket.send(message);
}

/// What a test is told that expects something else.
fn told(expectation: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(expectation)).unwrap_err();
    panic.downcast_ref::<String>().cloned().unwrap_or_else(|| panic.downcast_ref::<&str>().unwrap().to_string())
}

#[test]
fn messages_of_every_size_come_back() {
    let mut client = Client::open(echo);
    client.expect_silence();
    for size in [0, 1, 125, 126, 65_535, 65_536, 3 << 20] {
        client.send(vec![7; size]);
        client.expect(vec![7; size]);
    }
    client.send("text");
    assert_eq!(client.expect_message(), Message::from("text"));
    client.expect_silence();
    client.close(CloseCode::GOING_AWAY, "");
    client.expect_close(CloseCode::GOING_AWAY);
    client.expect_silence();
}

#[test]
fn what_was_not_expected_is_told() {
    let mut client = Client::open(echo);
    client.send("a");
    assert_eq!(told(|| client.expect_silence()), "expected silence, and there came the text \"a\"");
    assert_eq!(told(|| client.expect("b")), "expected the text \"b\", and there came the text \"a\"");
    client.send(vec![1, 2]);
    let text = told(|| drop(client.expect_close(CloseCode::NORMAL)));
    assert_eq!(text, "expected a Close with 1000, and there came the bytes [1, 2]");
    client.close(CloseCode::NORMAL, "");
    assert_eq!(
        told(|| client.expect_cut()),
        "expected the end of the connection, and there came a Close with 1000 \"\""
    );
    assert_eq!(told(|| client.expect("c")), "nothing comes any more: the connection is over");
    assert_eq!(told(|| client.send("d")), format!("the message cannot be sent: {}", SendError::Closed));
}

#[test]
fn the_limits_of_the_endpoint_hold() {
    let endpoint = Endpoint::new(echo).config(Config::default().max_message_size(3));
    let mut client = Client::open_at(&endpoint, Request::new(()));
    client.send("abc");
    client.expect("abc");
    client.send("abcd");
    client.expect_close(CloseCode::MESSAGE_TOO_BIG);
}

#[test]
fn a_callback_that_panics_closes_with_1011() {
    fn fail(_: &mut Socket<'_>, _: Message<'_>) {
        panic!("it does that");
    }
    let mut client = Client::open(fail);
    client.send("a");
    client.expect_close(CloseCode::INTERNAL_ERROR);
}

/// Tells how each connection began and ended.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl Handler for Arc<Recorder> {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) {
        let user: &&str = opening.extensions().get().unwrap();
        let _ = socket.send(format!("{user} at {} by {:?}", opening.uri(), opening.protocol()));
    }

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        // Another task and another thread answer.
        let (sender, message) = (socket.sender(), message.into_owned());
        tokio::spawn({
            let (sender, message) = (sender.clone(), message.clone());
            async move {
                yield_now().await;
                sender.send(message)
            }
        });
        std::thread::spawn(move || sender.send(message));
    }

    fn close(&self, (): (), closed: &Closed) {
        self.0.lock().unwrap().push(format!("{} {}", closed.code.0, closed.error.is_some()));
    }
}

#[test]
fn a_handler_finds_the_request_and_learns_of_the_end() {
    let recorder = Arc::<Recorder>::default();
    let endpoint = Endpoint::new(recorder.clone()).protocols(["v2", "v1"]).unwrap();
    let open = || {
        let request = Request::get("/room?a=1").header("sec-websocket-protocol", "v1").extension("rikki");
        let mut client = Client::open_at(&endpoint, request.body(()).unwrap());
        client.expect("rikki at /room?a=1 by Some(\"v1\")");
        client
    };
    let mut client = open();
    client.send("b");
    client.expect("b");
    client.expect("b");
    client.expect_silence();
    client.close(CloseCode::NORMAL, "bye");
    client.expect_close(CloseCode::NORMAL);
    open().cut();
    assert_eq!(*recorder.0.lock().unwrap(), ["1000 false", "1006 true"]);
    let refused = told(|| drop(Client::open_at(&endpoint, Request::post("/").body(()).unwrap())));
    assert!(refused.starts_with("no server would accept this handshake: "), "{refused}");
}

#[test]
fn functions_of_the_async_face() {
    async fn echo(mut socket: WebSocket) -> Result<(), Error> {
        while let Some(message) = socket.next().await {
            let message = message?;
            if message.as_text() == Some("later") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            socket.send(message).await?;
        }
        Ok(())
    }
    let mut client = Client::serve(echo);
    client.send("a");
    client.expect("a");
    client.send("later");
    client.expect("later");
    client.close(CloseCode::NORMAL, "");
    client.expect_close(CloseCode::NORMAL);

    async fn failing(mut socket: WebSocket) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let _ = socket.next().await;
        Err("it has failed".into())
    }
    let mut client = Client::serve(failing);
    client.send("a");
    client.expect_close(CloseCode::INTERNAL_ERROR);
}

#[test]
fn a_handler_is_a_function_of_messages() {
    struct Greeter;

    impl Handler for Greeter {
        type State = ();

        fn open(&self, socket: &mut Socket<'_>, _: &Opening) {
            socket.send("hello").unwrap();
        }

        fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
            match message.as_text() {
                Some("bye") => socket.close(CloseCode::NORMAL, "").unwrap(),
                _ => socket.send(message).unwrap(),
            }
        }
    }

    assert_eq!(call(Greeter, ["a", "bye", "b"]), ["hello", "a"].map(Message::from));
    assert_eq!(call(Arc::new(Greeter), Vec::<&str>::new()), ["hello"].map(Message::from));
}

#[tokio::test(start_paused = true)]
async fn what_comes_instead_is_told() {
    let (mut client, mut server) = pair();
    let second = Duration::from_secs(1);
    let told = client.recv_within(second).await.unwrap_err();
    assert_eq!(format!("{told} {told:?}"), ["expected a message within 1s, and nothing came"; 2].join(" "));
    server.send("a").await.unwrap();
    let told = client.expect_silence(second).await.unwrap_err().to_string();
    assert_eq!(told, "expected silence for 1s, and there came the text \"a\"");
    server.send("b").await.unwrap();
    assert_eq!(client.recv_within(second).await.unwrap(), Message::from("b"));
    let closing = tokio::spawn(async move { server.close_with(CloseCode(4001), "why").await });
    let told = client.recv_within(second).await.unwrap_err().to_string();
    assert_eq!(told, "expected a message within 1s, and there came a Close with 4001 \"why\"");
    closing.await.unwrap().unwrap();
    let (mut client, server) = pair_with(&Config::default().max_message_size(1), &Config::default());
    let sending = tokio::spawn(async move {
        let mut server = server;
        server.send("too long").await.unwrap();
        server.recv().await
    });
    let told = client.recv_within(second).await.unwrap_err().to_string();
    assert!(told.starts_with("expected a message within 1s, and there came the end of the connection: "), "{told}");
    sending.await.unwrap();
}

/// How long it takes until the connection ends with `deadline`, in the time of a clock that is paused.
async fn ends_after(deadline: Deadline, ended: impl Future<Output = Result<(), Error>>) -> Duration {
    let started = Instant::now();
    let error = ended.await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(of) if of == deadline), "{deadline:?}: {error}");
    started.elapsed()
}

/// The other end is there, and nobody drives it.
#[tokio::test(start_paused = true)]
async fn deadlines_go_by_a_paused_clock() {
    let check = |what: Deadline, took: Duration, seconds: u64| {
        // Up to two ticks late, never early.
        let due = Duration::from_secs(seconds);
        assert!((due..=due + Duration::from_millis(750)).contains(&took), "{what:?} after {took:?}");
    };
    let config = Config::default().ping_interval(Duration::from_secs(100)).pong_timeout(Duration::from_secs(20));
    let config = config.close_timeout(Duration::from_secs(7)).write_timeout(Duration::from_secs(60));
    let open = || pair_with(&Config::default(), &config);

    let (_client, mut server) = open();
    let silent = ends_after(Deadline::Pong, async { server.recv().await.unwrap().map(drop) }).await;
    check(Deadline::Pong, silent, 120);

    let (_client, mut server) = open();
    check(Deadline::Close, ends_after(Deadline::Close, server.close_with(CloseCode::NORMAL, "")).await, 7);

    let (_client, mut server) = open();
    let large = async {
        assert!(matches!(server.send(vec![0; 2 * PIPE]).await, Err(Error::Send(SendError::Closed))));
        server.recv().await.unwrap().map(drop)
    };
    check(Deadline::Write, ends_after(Deadline::Write, large).await, 60);

    // A client that is driven answers pings for as long as it likes.
    let (mut client, mut server) = open();
    let serving = tokio::spawn(async move { server.recv().await.is_none() });
    client.expect_silence(Duration::from_secs(3600)).await.unwrap();
    client.close_with(CloseCode::NORMAL, "").await.unwrap();
    assert!(serving.await.unwrap());
}

/// What the documentation says of `tokio::time::advance`: a jump is a process that was stopped.
#[tokio::test(start_paused = true)]
async fn a_jump_of_the_clock_is_one_tick() {
    let config = Config::default().ping_interval(Duration::from_secs(30)).pong_timeout(Duration::from_secs(10));
    let (_client, mut server) = pair_with(&Config::default(), &config);
    server.expect_silence(Duration::from_secs(1)).await.unwrap();
    tokio::time::advance(Duration::from_secs(3600)).await;
    server.expect_silence(Duration::from_secs(38)).await.unwrap();
    server.expect_silence(Duration::from_secs(3)).await.unwrap_err();
}

#[cfg(feature = "test-util")]
mod paused {
    use super::*;
    use crate::Overflow;

    /// Sends a number each second.
    async fn count(mut socket: WebSocket) -> Result<(), Error> {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        for number in 0.. {
            interval.tick().await;
            socket.send(format!("{number}")).await?;
        }
        Ok(())
    }

    #[test]
    fn timers_of_a_handler_tick() {
        let mut client = Client::serve(count).paused();
        client.expect("0");
        client.expect_silence();
        client.advance(Duration::from_millis(999));
        client.expect_silence();
        client.advance(Duration::from_millis(1));
        client.expect("1");
        client.expect_silence();
        // What is waited for comes without being told how long that takes.
        client.expect("2");
        client.advance(Duration::from_secs(3));
        assert_eq!(client.messages(), ["3", "4", "5"].map(Message::from));
    }

    #[test]
    fn a_silent_peer_is_pinged_and_cut() {
        let config = Config::default().ping_interval(Duration::from_secs(30)).pong_timeout(Duration::from_secs(10));
        let endpoint = Endpoint::new(echo).config(config);
        let mut client = Client::open_at(&endpoint, Request::new(())).paused();
        client.advance(Duration::from_secs(29));
        assert_eq!(client.pings(), 0);
        client.advance(Duration::from_secs(2));
        assert_eq!(client.pings(), 1);
        client.advance(Duration::from_secs(300));
        assert!((9..=11).contains(&client.pings()), "{} pings", client.pings());
        client.send("there");
        client.expect("there");
        client.stall(Duration::from_secs(29));
        client.send("still there");
        client.expect("still there");
        client.stall(Duration::from_secs(42));
        client.expect_cut();
    }

    #[test]
    fn a_peer_that_does_not_read_falls_behind() {
        let config = Config::default().overflow(Overflow::Close).write_queue(1 << 20);
        let endpoint = Endpoint::new(|socket: &mut Socket<'_>, _: Message<'_>| {
            let sender = socket.sender();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    if sender.send(vec![0; 256 << 10]).is_err() {
                        break;
                    }
                }
            });
        });
        let mut client = Client::open_at(&endpoint.config(config), Request::new(())).paused();
        client.send("begin");
        client.advance(Duration::from_secs(3));
        assert_eq!(client.messages().len(), 3);
        client.stall(Duration::from_secs(60));
        // What was on its way comes first.
        client.messages();
        client.expect_cut();
    }

    #[test]
    fn time_passes_where_the_clock_is_paused_alone() {
        let mut client = Client::open(echo);
        let told = told(|| client.advance(Duration::ZERO));
        assert_eq!(told, "the clock goes by itself: begin with `Client::open(..).paused()`");
    }
}
