//! The header `Sec-WebSocket-Extensions`: <https://www.rfc-editor.org/rfc/rfc6455#section-9.1>, with the parameters of
//! permessage-deflate, <https://www.rfc-editor.org/rfc/rfc7692#section-7.1>.
//!
//! Every byte is looked at once and nothing is allocated, whatever a peer sends.

use std::fmt::{self, Write as _};

use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};

use super::compression::MAX_WINDOW_BITS;
use crate::handshake::is_tchar;

const NAME: &str = "permessage-deflate";
const SERVER_NO_CONTEXT_TAKEOVER: &str = "server_no_context_takeover";
const CLIENT_NO_CONTEXT_TAKEOVER: &str = "client_no_context_takeover";
const SERVER_MAX_WINDOW_BITS: &str = "server_max_window_bits";
const CLIENT_MAX_WINDOW_BITS: &str = "client_max_window_bits";

/// The parameters of one offer or one response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) server_no_context_takeover: bool,
    pub(super) client_no_context_takeover: bool,
    pub(super) server_max_window_bits: Option<u8>,
    pub(super) client_max_window_bits: ClientWindow,
}

/// The one parameter that may come without its value, in an offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ClientWindow {
    #[default]
    Absent,
    Unlimited,
    Limited(u8),
}

/// Why a server's `Sec-WebSocket-Extensions` is refused, or why either side's cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The header breaks the grammar of RFC 6455 section 9.1, at which either side fails the connection.
    Malformed,
    /// The server names an extension that was not offered, or one twice.
    NotOffered,
    /// A parameter that permessage-deflate does not have.
    UnknownParameter,
    /// A parameter comes twice.
    Repeated(&'static str),
    /// A parameter has a value that it cannot have, or lacks the one it needs.
    InvalidValue(&'static str),
    /// The server answers a parameter that was not offered, or with more than was offered.
    Exceeds(&'static str),
    /// The server accepts the offer without a parameter that the offer demands.
    Missing(&'static str),
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the header Sec-WebSocket-Extensions ")?;
        match self {
            Self::Malformed => f.write_str("is not a list of extensions"),
            Self::NotOffered => f.write_str("names an extension that was not offered, or one twice"),
            Self::UnknownParameter => f.write_str("has a parameter that permessage-deflate does not have"),
            Self::Repeated(name) => write!(f, "has the parameter {name} twice"),
            Self::InvalidValue(name) => write!(f, "has the parameter {name} with a value that it cannot have"),
            Self::Exceeds(name) => write!(f, "has the parameter {name}, which goes past what was offered"),
            Self::Missing(name) => write!(f, "lacks the parameter {name}, which was demanded"),
        }
    }
}

impl std::error::Error for ExtensionError {}

/// One element of the header.
pub(super) struct Extension {
    pub(super) is_deflate: bool,
    /// Read as those of permessage-deflate, whatever the extension is.
    pub(super) parameters: Result<Parameters, ExtensionError>,
}

/// The extensions that all lines of the header name, in order. What comes after an error means nothing.
pub(super) fn extensions(headers: &HeaderMap) -> impl Iterator<Item = Result<Extension, ExtensionError>> {
    headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().flat_map(|line| Line { rest: line.as_bytes() })
}

impl Parameters {
    /// Takes one parameter of an offer or a response.
    fn set(&mut self, name: &[u8], value: Option<&[u8]>) -> Result<(), ExtensionError> {
        let flag = |flag: &mut bool, name| match (value, std::mem::replace(flag, true)) {
            (Some(_), _) => Err(ExtensionError::InvalidValue(name)),
            (None, true) => Err(ExtensionError::Repeated(name)),
            (None, false) => Ok(()),
        };
        if name == SERVER_NO_CONTEXT_TAKEOVER.as_bytes() {
            flag(&mut self.server_no_context_takeover, SERVER_NO_CONTEXT_TAKEOVER)
        } else if name == CLIENT_NO_CONTEXT_TAKEOVER.as_bytes() {
            flag(&mut self.client_no_context_takeover, CLIENT_NO_CONTEXT_TAKEOVER)
        } else if name == SERVER_MAX_WINDOW_BITS.as_bytes() {
            let bits = value.and_then(window_bits).ok_or(ExtensionError::InvalidValue(SERVER_MAX_WINDOW_BITS))?;
            match self.server_max_window_bits.replace(bits) {
                None => Ok(()),
                Some(_) => Err(ExtensionError::Repeated(SERVER_MAX_WINDOW_BITS)),
            }
        } else if name == CLIENT_MAX_WINDOW_BITS.as_bytes() {
            let window = match value.map(window_bits) {
                None => ClientWindow::Unlimited,
                Some(Some(bits)) => ClientWindow::Limited(bits),
                Some(None) => return Err(ExtensionError::InvalidValue(CLIENT_MAX_WINDOW_BITS)),
            };
            match std::mem::replace(&mut self.client_max_window_bits, window) {
                ClientWindow::Absent => Ok(()),
                _ => Err(ExtensionError::Repeated(CLIENT_MAX_WINDOW_BITS)),
            }
        } else {
            Err(ExtensionError::UnknownParameter)
        }
    }

    /// Judges a response by the offer that it answers.
    pub(super) fn check_answers(&self, offer: &Self) -> Result<(), ExtensionError> {
        // https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1: a server accepts by repeating it.
        if offer.server_no_context_takeover && !self.server_no_context_takeover {
            return Err(ExtensionError::Missing(SERVER_NO_CONTEXT_TAKEOVER));
        }
        // https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1: "with the same or smaller value as the offer"
        match (offer.server_max_window_bits, self.server_max_window_bits) {
            (Some(_), None) => return Err(ExtensionError::Missing(SERVER_MAX_WINDOW_BITS)),
            (Some(offered), Some(answered)) if answered > offered => {
                return Err(ExtensionError::Exceeds(SERVER_MAX_WINDOW_BITS));
            }
            _ => Ok(()),
        }?;
        // https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2: in a response it has a value, "equal to or smaller
        // than" that of the offer, and it does not answer an offer without it.
        match (offer.client_max_window_bits, self.client_max_window_bits) {
            (_, ClientWindow::Absent) => Ok(()),
            (_, ClientWindow::Unlimited) => Err(ExtensionError::InvalidValue(CLIENT_MAX_WINDOW_BITS)),
            (ClientWindow::Absent, _) => Err(ExtensionError::Exceeds(CLIENT_MAX_WINDOW_BITS)),
            (ClientWindow::Limited(offered), ClientWindow::Limited(answered)) if answered > offered => {
                Err(ExtensionError::Exceeds(CLIENT_MAX_WINDOW_BITS))
            }
            _ => Ok(()),
        }
    }

    /// The element that offers or answers these.
    pub(super) fn to_header(self) -> HeaderValue {
        let mut text = String::from(NAME);
        for (is_set, name) in [
            (self.server_no_context_takeover, SERVER_NO_CONTEXT_TAKEOVER),
            (self.client_no_context_takeover, CLIENT_NO_CONTEXT_TAKEOVER),
        ] {
            if is_set {
                text.extend(["; ", name]);
            }
        }
        // Writing into a string cannot fail, and what is written is visible ASCII.
        if let Some(bits) = self.server_max_window_bits {
            let _ = write!(text, "; {SERVER_MAX_WINDOW_BITS}={bits}");
        }
        match self.client_max_window_bits {
            ClientWindow::Absent => {}
            ClientWindow::Unlimited => text.extend(["; ", CLIENT_MAX_WINDOW_BITS]),
            ClientWindow::Limited(bits) => {
                let _ = write!(text, "; {CLIENT_MAX_WINDOW_BITS}={bits}");
            }
        }
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(NAME))
    }
}

/// "a decimal integer value without leading zeroes between 8 to 15, inclusive", section 7.1.2
fn window_bits(value: &[u8]) -> Option<u8> {
    // In a quoted string a backslash stands before any character, and a token has none.
    let mut digits = value.iter().filter(|&&byte| byte != b'\\');
    let number = match (digits.next(), digits.next(), digits.next()) {
        (Some(digit @ b'8'..=b'9'), None, None) => digit - b'0',
        (Some(b'1'), Some(digit @ b'0'..=b'9'), None) => 10 + digit - b'0',
        _ => return None,
    };
    (number <= MAX_WINDOW_BITS).then_some(number)
}

/// One line of the header, as far as it has not been read.
struct Line<'h> {
    rest: &'h [u8],
}

impl Iterator for Line<'_> {
    type Item = Result<Extension, ExtensionError>;

    fn next(&mut self) -> Option<Self::Item> {
        // https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2: empty elements are skipped.
        while self.take(b',') {}
        if self.rest.is_empty() {
            return None;
        }
        Some(self.extension())
    }
}

/// The grammar of RFC 6455 section 9.1; spaces may stand between any two of its parts.
impl<'h> Line<'h> {
    fn extension(&mut self) -> Result<Extension, ExtensionError> {
        let is_deflate = self.token()? == NAME.as_bytes();
        let mut parameters = Ok(Parameters::default());
        while self.take(b';') {
            let name = self.token()?;
            let value = if self.take(b'=') { Some(self.value()?) } else { None };
            parameters = parameters.and_then(|mut so_far: Parameters| so_far.set(name, value).map(|()| so_far));
        }
        self.skip_spaces();
        match self.rest.first() {
            None | Some(b',') => Ok(Extension { is_deflate, parameters }),
            Some(_) => Err(ExtensionError::Malformed),
        }
    }

    /// A token, or a quoted string that is one when it is unquoted; its backslashes are left in it.
    ///
    /// None at all is an invalid value rather than a header that cannot be read.
    fn value(&mut self) -> Result<&'h [u8], ExtensionError> {
        if !self.take(b'"') {
            return Ok(self.split_at(self.rest.iter().position(|&byte| !is_tchar(byte))));
        }
        let mut length = 0;
        loop {
            match self.rest.get(length..) {
                Some([b'"', ..]) => break,
                Some([b'\\', byte, ..]) if is_tchar(*byte) => length += 2,
                Some([byte, ..]) if is_tchar(*byte) => length += 1,
                _ => return Err(ExtensionError::Malformed),
            }
        }
        let value = self.split_at(Some(length));
        self.take(b'"');
        Ok(value)
    }

    fn token(&mut self) -> Result<&'h [u8], ExtensionError> {
        self.skip_spaces();
        let token = self.split_at(self.rest.iter().position(|&byte| !is_tchar(byte)));
        if token.is_empty() { Err(ExtensionError::Malformed) } else { Ok(token) }
    }

    /// Takes spaces, and the byte if it is there behind them.
    fn take(&mut self, byte: u8) -> bool {
        self.skip_spaces();
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn skip_spaces(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn split_at(&mut self, end: Option<usize>) -> &'h [u8] {
        let (front, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        front
    }
}
