//! A stream and sink of values, written as JSON.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_sink::Sink;
use rikki_proto::{CloseCode, Message};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::WebSocket;
use crate::error::Error;
use crate::json;

/// A [`WebSocket`] as a `Stream` of `In` and a `Sink` of `Out`, each value a message of JSON: see [`WebSocket::typed`].
///
/// A message that is no `In` closes the connection with 1007 and a reason that says where the JSON is wrong; the stream
/// yields [`Error::Json`] and then ends. [`keep_open`](Self::keep_open) leaves that to whoever reads.
///
/// # Cancel safety
///
/// Polling the stream or the sink can be given up at any point: no value is lost.
#[must_use = "dropping a WebSocket closes it"]
pub struct Typed<In, Out = In> {
    socket: WebSocket,
    keeps_open: bool,
    /// A message has closed the connection.
    is_refused: bool,
    types: PhantomData<Codec<In, Out>>,
}

/// It holds neither.
type Codec<In, Out> = (fn() -> In, fn(Out));

impl WebSocket {
    /// Reads and writes values in place of messages, as JSON (feature `json`).
    ///
    /// ```
    /// use futures_util::{SinkExt, StreamExt};
    /// use rikki_ws::{Error, WebSocket};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Ask {
    ///     number: u64,
    /// }
    ///
    /// #[derive(serde::Serialize)]
    /// struct Answer {
    ///     double: u64,
    /// }
    ///
    /// async fn double(socket: WebSocket) -> Result<(), Error> {
    ///     let mut socket = socket.typed::<Ask, Answer>();
    ///     while let Some(ask) = socket.next().await {
    ///         socket.send(Answer { double: 2 * ask?.number }).await?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn typed<In: DeserializeOwned, Out: Serialize>(self) -> Typed<In, Out> {
        Typed { socket: self, keeps_open: false, is_refused: false, types: PhantomData }
    }
}

impl<In, Out> Typed<In, Out> {
    /// Closes nothing for a message that is no `In`: the stream yields [`Error::Json`] and goes on with the next one.
    pub fn keep_open(self) -> Self {
        Self { keeps_open: true, ..self }
    }

    /// The WebSocket below, such as for its [`sender`](WebSocket::sender).
    pub fn get_mut(&mut self) -> &mut WebSocket {
        &mut self.socket
    }

    /// The WebSocket alone.
    pub fn into_inner(self) -> WebSocket {
        self.socket
    }
}

impl<In: DeserializeOwned, Out> Stream for Typed<In, Out> {
    type Item = Result<In, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(message) = ready!(Pin::new(&mut this.socket).poll_next(cx)?) else { return Poll::Ready(None) };
        if this.is_refused {
            // What the peer had sent before it knew. Others have their turn in between.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let error = match message.json() {
            Ok(value) => return Poll::Ready(Some(Ok(value))),
            Err(error) => error,
        };
        if !this.keeps_open && this.socket.start_close(CloseCode::INVALID_PAYLOAD, &json::reason(&error)).is_ok() {
            this.socket.terms.counts().closed_violations.up();
            this.is_refused = true;
        }
        Poll::Ready(Some(Err(Error::Json(error))))
    }
}

impl<In, Out: Serialize> Sink<Out> for Typed<In, Out> {
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.get_mut().socket).poll_ready(cx)
    }

    /// A value that cannot be JSON is [`Error::NoJson`], and changes nothing else.
    fn start_send(self: Pin<&mut Self>, value: Out) -> Result<(), Error> {
        let message = Message::with_json(&value).map_err(Error::NoJson)?;
        Pin::new(&mut self.get_mut().socket).start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.get_mut().socket).poll_close(cx)
    }
}

impl<In, Out> fmt::Debug for Typed<In, Out> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.socket).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver};

    use futures_util::{SinkExt as _, StreamExt as _};
    use serde::Deserialize;

    use super::*;
    use crate::testing::Client;

    #[derive(Deserialize)]
    struct Ask {
        number: u64,
    }

    /// Doubles numbers, and tells how its stream ended.
    fn open(keeps_open: bool) -> (Client, Receiver<String>) {
        let (tell, told) = mpsc::channel();
        let client = Client::serve(async move |socket: WebSocket| {
            let mut socket = socket.typed::<Ask, u64>();
            if keeps_open {
                socket = socket.keep_open();
            }
            while let Some(ask) = socket.next().await {
                match ask {
                    Ok(ask) => socket.send(2 * ask.number).await.unwrap(),
                    Err(error) => tell.send(error.to_string()).unwrap(),
                }
            }
            let closed = socket.get_mut().closed().unwrap();
            tell.send(format!("{} {}", closed.code, &*closed.reason)).unwrap();
        });
        (client, told)
    }

    #[test]
    fn a_message_that_is_no_such_value_ends_the_stream_or_does_not() {
        const WRONG: &str = "a message is not the JSON that was expected: missing field `number` at line 1 column 2";
        let (mut client, told) = open(false);
        client.send(r#"{"number": 21}"#);
        client.expect("42");
        client.send(br#"{"number": 4}"#);
        client.expect("8");
        client.send("{}");
        assert_eq!(
            client.expect_close(CloseCode::INVALID_PAYLOAD),
            "no such JSON: missing field `number` at line 1 column 2"
        );
        client.expect_silence();
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [WRONG, "1007 "]);

        let (mut client, told) = open(true);
        client.send("{}");
        client.send(r#"{"number": 21}"#);
        client.expect("42");
        client.close(CloseCode::NORMAL, "bye");
        client.expect_close(CloseCode::NORMAL);
        assert_eq!(told.try_iter().collect::<Vec<_>>(), [WRONG, "1000 bye"]);
    }

    /// Functions with `?` need do nothing about it.
    #[test]
    fn a_task_that_ends_with_a_bad_message_closes_with_1007() {
        let mut client = Client::serve(async move |socket: WebSocket| {
            let mut socket = socket.typed::<Ask, u64>().keep_open();
            socket.next().await.unwrap()?;
            Ok::<(), Error>(())
        });
        client.send("[");
        client.expect_close(CloseCode::INVALID_PAYLOAD);
        // What we cannot write is our own failure.
        let mut client = Client::serve(async move |socket: WebSocket| {
            let mut socket = socket.typed::<u64, std::collections::HashMap<[u8; 2], u8>>();
            socket.send([([1, 2], 3)].into()).await
        });
        client.expect_close(CloseCode::INTERNAL_ERROR);
    }

    #[test]
    fn a_long_reason_is_cut_where_a_letter_ends() {
        let error =
            serde_json::from_str::<Ask>(&format!("{{\"{}\": 1, \"number\": \"x{}\"}}", "a", "ü".repeat(90))).err();
        let reason = json::reason(&error.unwrap());
        assert!((120..=123).contains(&reason.len()), "{reason}");
    }
}
