//! What a test expects of a WebSocket that it awaits.

use std::fmt;
use std::time::Duration;

use rikki_proto::{CloseCode, Message, Text};
use tokio::time::timeout;

use super::end::Came;
use crate::error::{Closed, Error};
use crate::stream::WebSocket;

/// Receiving with a deadline, for tests.
///
/// What is not as expected is a value, so that `unwrap` tells it with the line of the test.
///
/// ```
/// use std::time::Duration;
///
/// use rikki_ws::CloseCode;
/// use rikki_ws::testing::{Expect, pair};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(async {
/// let (mut client, mut server) = pair();
/// server.start_close(CloseCode(4001), "no such room").unwrap();
/// let closing = tokio::spawn(async move { server.recv().await.is_none() });
/// let unexpected = client.recv_within(Duration::from_secs(1)).await.unwrap_err();
/// assert_eq!(unexpected.to_string(), "expected a message within 1s, and there came a Close with 4001 \"no such room\"");
/// assert!(closing.await.unwrap());
/// # });
/// ```
pub trait Expect: sealed::Sealed {
    /// The next message, which has to come in this time.
    ///
    /// # Errors
    ///
    /// [`Unexpected`] if none does, or the connection ends: it tells with which code, or why.
    ///
    /// # Cancel safety
    ///
    /// No message is lost when the future is dropped.
    fn recv_within(&mut self, duration: Duration) -> impl Future<Output = Result<Message<'static>, Unexpected>> + Send;

    /// Lets this time pass, in which nothing may come: neither a message nor the end of the connection. Pings are
    /// answered meanwhile.
    ///
    /// # Errors
    ///
    /// [`Unexpected`] with what has come, which is taken.
    ///
    /// # Cancel safety
    ///
    /// No message is lost when the future is dropped.
    fn expect_silence(&mut self, duration: Duration) -> impl Future<Output = Result<(), Unexpected>> + Send;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::stream::WebSocket {}
}

impl Expect for WebSocket {
    async fn recv_within(&mut self, duration: Duration) -> Result<Message<'static>, Unexpected> {
        let came = match timeout(duration, self.recv()).await {
            Ok(Some(Ok(message))) => return Ok(message),
            Ok(end) => Some(ended(end, self.closed())),
            Err(_) => None,
        };
        Err(Unexpected { expected: format!("a message within {duration:?}"), came })
    }

    async fn expect_silence(&mut self, duration: Duration) -> Result<(), Unexpected> {
        let came = match timeout(duration, self.recv()).await {
            Ok(Some(Ok(message))) => Came::Message(message),
            Ok(end) => ended(end, self.closed()),
            Err(_) => return Ok(()),
        };
        Err(Unexpected { expected: format!("silence for {duration:?}"), came: Some(came) })
    }
}

/// How the connection has ended.
fn ended(end: Option<Result<Message<'static>, Error>>, closed: Option<&Closed>) -> Came {
    match (end, closed) {
        (Some(Err(error)), _) => Came::End(Some(error.to_string())),
        (_, Some(Closed { code, reason, .. })) if *code != CloseCode::ABNORMAL => {
            Came::Close(*code, Text::to_string(reason))
        }
        _ => Came::End(None),
    }
}

/// What has come in the place of what a test expected, or that nothing has. It is told in one sentence.
pub struct Unexpected {
    expected: String,
    came: Option<Came>,
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { expected, came } = self;
        match came {
            Some(came) => write!(f, "expected {expected}, and there came {came}"),
            None => write!(f, "expected {expected}, and nothing came"),
        }
    }
}

impl fmt::Debug for Unexpected {
    /// As `unwrap` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Unexpected {}
