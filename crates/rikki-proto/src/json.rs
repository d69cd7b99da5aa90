//! Values from and to messages of JSON.

use serde::{Deserialize, Serialize};

use crate::message::Message;

impl Message<'_> {
    /// Reads the message as JSON, whichever kind of message it is.
    ///
    /// The value may borrow from the message, as a `&str` in it does where the text has no escapes.
    ///
    /// # Errors
    ///
    /// It is no JSON, other than `T` expects, or nested more than 127 deep.
    ///
    /// ```
    /// use rikki_proto::Message;
    ///
    /// let message = Message::from(r#"{"room": 7, "text": "hello"}"#);
    /// #[derive(serde::Deserialize)]
    /// struct Said<'a> {
    ///     room: u32,
    ///     text: &'a str,
    /// }
    /// let said: Said = message.json()?;
    /// assert_eq!((said.room, said.text), (7, "hello"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn json<'m, T: Deserialize<'m>>(&'m self) -> Result<T, serde_json::Error> {
        match self {
            Self::Text(text) => serde_json::from_str(text),
            Self::Binary(bytes) => serde_json::from_slice(bytes),
        }
    }

    /// Writes a value as JSON, into a text message.
    ///
    /// # Errors
    ///
    /// The value cannot be JSON: it has a map whose keys are no texts, or says so itself.
    ///
    /// ```
    /// use rikki_proto::Message;
    ///
    /// assert_eq!(Message::with_json(&[1, 2])?, Message::from("[1,2]"));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn with_json<T: Serialize + ?Sized>(value: &T) -> Result<Message<'static>, serde_json::Error> {
        serde_json::to_string(value).map(Message::from)
    }
}
