//! An application and its tests, without ports and without waiting: `cargo test --example testing`.

use std::time::Duration;

use axum::routing::get;
use rikki::axum::response::Response;
use rikki::ws::{Error, Message, SendError, Socket, Upgrade, WebSocket};
use rikki::{Server, StartError, axum};

/// Answers with what it is sent, backwards.
fn reverse(socket: &mut Socket<'_>, message: Message<'_>) -> Result<(), SendError> {
    match message.as_text() {
        Some(text) => socket.send(text.chars().rev().collect::<String>()),
        None => Ok(()),
    }
}

/// Counts down from the number that it is sent, one a second, and closes.
async fn count_down(mut socket: WebSocket) -> Result<(), Error> {
    let Some(first) = socket.recv().await else { return Ok(()) };
    let first: u32 = first?.as_text().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    for number in (0..=first).rev() {
        seconds.tick().await;
        socket.send(number.to_string()).await?;
    }
    Ok(())
}

fn server() -> Server {
    let upgrade = async |upgrade: Upgrade| -> Response { upgrade.on_upgrade(count_down) };
    Server::new()
        .websocket("/reverse", reverse)
        .route("/countdown", get(upgrade))
        .route("/health", get(|| async { "fine" }))
        .header("x-content-type-options", "nosniff")
        .allow_origin("https://app.example")
}

fn main() -> Result<(), StartError> {
    server().listen("http://localhost:8000").run()
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use rikki::client::ConnectError;
    use rikki::testing::{Client, Expect as _, call, pair, text};
    use rikki::ws::CloseCode;

    use super::*;

    const SOON: Duration = Duration::from_millis(1);

    /// A handler alone, as a function of messages.
    #[test]
    fn text_comes_back_reversed() {
        assert_eq!(call(reverse, ["abc", "", "été"]), ["cba", "", "été"].map(Message::from));
        assert_eq!(call(reverse, [[1, 2, 3]]), []);
    }

    /// A handler alone, message by message, in a plain function.
    #[test]
    fn what_is_no_text_is_passed_over() {
        let mut client = Client::open(reverse);
        client.send([1, 2, 3]);
        client.expect_silence();
        client.send("abc");
        client.expect("cba");
        client.close(CloseCode::NORMAL, "");
        client.expect_close(CloseCode::NORMAL);
    }

    /// A function that takes a `WebSocket`, by the clock of tokio, which is paused.
    #[tokio::test(start_paused = true)]
    async fn it_counts_once_a_second() {
        let (mut client, server) = pair();
        let counting = tokio::spawn(count_down(server));
        client.send("2").await.unwrap();
        for number in ["2", "1", "0"] {
            assert_eq!(client.recv_within(SOON).await.unwrap().as_text(), Some(number));
            if number != "0" {
                client.expect_silence(Duration::from_millis(990)).await.unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        counting.await.unwrap().unwrap();
        let end = client.recv_within(SOON).await.unwrap_err();
        assert_eq!(end.to_string(), "expected a message within 1ms, and there came a Close with 1000 \"\"");
    }

    /// The whole application.
    #[tokio::test(start_paused = true)]
    async fn pages_and_websockets() {
        let app = server().in_memory().unwrap();
        let answer = app.get("/health").await;
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert_eq!(text(answer).await, "fine");
        assert_eq!(app.get("/nothing").await.status(), 404);

        let from = |origin: &str| Request::get("/reverse").header("origin", origin).body(()).unwrap();
        let mut socket = app.websocket(from("https://app.example")).await;
        socket.send("abc").await.unwrap();
        assert_eq!(socket.recv_within(SOON).await.unwrap().as_text(), Some("cba"));
        let refused = app.try_websocket(from("https://other.example")).await;
        assert!(matches!(refused, Err(ConnectError::Refused(answer)) if answer.status() == 403));

        let mut socket = app.websocket("/countdown").await;
        socket.send("3600").await.unwrap();
        let started = tokio::time::Instant::now();
        while socket.recv().await.is_some() {}
        assert_eq!(started.elapsed().as_secs(), 3600);
    }
}
