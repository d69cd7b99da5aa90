//! The name of a subprotocol, checked once, so that every list of them can be written into a header.

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;

use super::fields::is_token;

/// The name of an application protocol spoken over a WebSocket, such as `graphql-transport-ws`.
///
/// Names are compared byte by byte: `chat` and `Chat` are two subprotocols. A clone shares the bytes.
///
/// ```
/// use rikki_proto::handshake::Subprotocol;
///
/// let name: Subprotocol = "graphql-transport-ws".parse()?;
/// assert_eq!(name.as_str(), "graphql-transport-ws");
/// assert!("two words".parse::<Subprotocol>().is_err());
/// # Ok::<(), rikki_proto::handshake::InvalidSubprotocol>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subprotocol(HeaderValue);

impl Subprotocol {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Always `Ok`: a token is ASCII.
        self.0.to_str().unwrap_or_default()
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(super) fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl FromStr for Subprotocol {
    type Err = InvalidSubprotocol;

    /// # Errors
    ///
    /// The name is not a token of RFC 9110 section 5.6.2.
    fn from_str(name: &str) -> Result<Self, InvalidSubprotocol> {
        if !is_token(name.as_bytes()) {
            return Err(InvalidSubprotocol { given: name.to_owned() });
        }
        HeaderValue::from_str(name).map(Self).map_err(|_| InvalidSubprotocol { given: name.to_owned() })
    }
}

impl fmt::Display for Subprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name given for a subprotocol is not a token of RFC 9110 section 5.6.2.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidSubprotocol {
    /// The name as it was given.
    pub given: String,
}

impl fmt::Display for InvalidSubprotocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a subprotocol name: use ASCII letters, digits and !#$%&'*+-.^_`|~ without spaces",
            self.given
        )
    }
}

impl std::error::Error for InvalidSubprotocol {}
