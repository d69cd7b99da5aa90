//! The server's side of the handshake: <https://www.rfc-editor.org/rfc/rfc6455#section-4.2>.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::header::{
    ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};

use super::fields::{VERSION, accept_value, elements, is_token, names};
use super::subprotocol::Subprotocol;

/// Judges an upgrade request; `subprotocols` are those the server speaks, the preferred one first.
///
/// The first of them that the client offers is chosen. If none is common, or the list is empty, none is, and the
/// client decides whether it goes on without. An offer of extensions is passed over:
/// [`negotiate`](crate::deflate::negotiate) judges it.
///
/// The caller answers with [`Accepted::into_response`] or [`Refusal::response`]. After a refusal it must close the
/// connection: the client may already have sent frames, which must not be read as a request.
///
/// # Errors
///
/// The first broken rule, in the order of the variants of [`Refusal`].
///
/// ```
/// use http::{Request, StatusCode};
/// use rikki_proto::handshake::accept;
///
/// let request = Request::get("/chat")
///     .header("Host", "server.example.com")
///     .header("Upgrade", "websocket")
///     .header("Connection", "Upgrade")
///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("Sec-WebSocket-Version", "13")
///     .body(())?;
/// let response = match accept(request.method(), request.version(), request.headers(), &[]) {
///     Ok(accepted) => accepted.into_response(),
///     Err(refusal) => refusal.response().map(drop),
/// };
/// assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
/// assert_eq!(response.headers()["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), http::Error>(())
/// ```
pub fn accept(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    subprotocols: &[Subprotocol],
) -> Result<Accepted, Refusal> {
    let fields = Fields::of(headers);
    check_request(method, version, &fields)?;
    check_upgrade(&fields)?;
    check_version(fields.version)?;
    let accept = check_key(fields.key)?;
    let subprotocol = if fields.offers_subprotocols { choose_subprotocol(headers, subprotocols)? } else { None };
    Ok(Accepted { accept, subprotocol })
}

/// An upgrade request that keeps every rule, and what the server answers.
#[derive(Clone, Debug)]
#[must_use]
pub struct Accepted {
    accept: HeaderValue,
    subprotocol: Option<Subprotocol>,
}

impl Accepted {
    /// The subprotocol that both sides speak from now on, if there is one.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&Subprotocol> {
        self.subprotocol.as_ref()
    }

    /// The 101 response, to which an application may add headers of its own.
    pub fn into_response(self) -> Response<()> {
        // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2 item 5
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, self.accept);
        if let Some(subprotocol) = &self.subprotocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, subprotocol.header().clone());
        }
        response
    }
}

/// The rule that an upgrade request breaks, told in one sentence by its `Display`.
///
/// Nothing the client sent appears in the sentence or in the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is not GET.
    Method,
    /// The request came over HTTP/1.0 or HTTP/0.9.
    OldHttp,
    /// The request came over HTTP/2 or HTTP/3, which have no `Upgrade`.
    NewHttp,
    /// `Host` is missing or repeated.
    Host,
    /// The request announces a body.
    Body,
    /// `Upgrade` does not name `websocket`: this is no upgrade request.
    Upgrade,
    /// `Connection` does not name `upgrade`.
    Connection,
    /// `Sec-WebSocket-Version` is missing.
    VersionMissing,
    /// `Sec-WebSocket-Version` is repeated or other than 13.
    VersionUnsupported,
    /// `Sec-WebSocket-Key` is missing, repeated, or not 16 bytes in base64.
    Key,
    /// `Sec-WebSocket-Protocol` is not a list of distinct tokens.
    Subprotocol,
    /// `Sec-WebSocket-Extensions` is not a list of extensions; never given by [`accept`], which leaves them alone.
    Extensions,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::NewHttp => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Self::Upgrade | Self::VersionUnsupported => StatusCode::UPGRADE_REQUIRED,
            Self::OldHttp
            | Self::Host
            | Self::Body
            | Self::Connection
            | Self::VersionMissing
            | Self::Key
            | Self::Subprotocol
            | Self::Extensions => StatusCode::BAD_REQUEST,
        }
    }

    /// The whole answer: the sentence as plain text, and `Connection: close`.
    ///
    /// Over HTTP/2 leave out its `Connection` and `Upgrade` fields, as hyper does.
    #[must_use]
    pub fn response(self) -> Response<String> {
        let mut response = Response::new(format!("{self}\n"));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if self == Self::Method {
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.6
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        if self.status() == StatusCode::UPGRADE_REQUIRED {
            // https://www.rfc-editor.org/rfc/rfc9110#section-15.5.22 demands Upgrade, and
            // https://www.rfc-editor.org/rfc/rfc9110#section-7.8 the connection option of that name.
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("close, Upgrade"));
        }
        if self == Self::VersionUnsupported {
            // https://www.rfc-editor.org/rfc/rfc6455#section-4.4
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        }
        response
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Method => "a WebSocket is opened with the method GET",
            Self::OldHttp => "a WebSocket is opened over HTTP/1.1, not over an older version",
            Self::NewHttp => "a WebSocket is opened over HTTP/1.1 here, not over HTTP/2 or HTTP/3",
            Self::Host => "the header Host must appear exactly once",
            Self::Body => "an upgrade request must have no body: no Transfer-Encoding, no Content-Length above 0",
            Self::Upgrade => "this is a WebSocket endpoint: the header Upgrade must name websocket",
            Self::Connection => "the header Connection must name upgrade",
            Self::VersionMissing => "the header Sec-WebSocket-Version is missing: it must be 13",
            Self::VersionUnsupported => "the header Sec-WebSocket-Version must appear once and be 13",
            Self::Key => "the header Sec-WebSocket-Key must appear exactly once and hold 16 bytes in base64",
            Self::Subprotocol => "the header Sec-WebSocket-Protocol must be a list of distinct tokens",
            Self::Extensions => "the header Sec-WebSocket-Extensions must be a list of extensions",
        })
    }
}

impl std::error::Error for Refusal {}

/// What the fields of a request say to the handshake: found in one pass, since looking up each by its name takes longer
/// than all of the rest.
#[derive(Default)]
struct Fields<'h> {
    host: Lines<'h>,
    version: Lines<'h>,
    key: Lines<'h>,
    announces_body: bool,
    upgrades_to_websocket: bool,
    connection_upgrades: bool,
    offers_subprotocols: bool,
}

/// The lines of a field that must occur on exactly one.
#[derive(Clone, Copy, Default)]
enum Lines<'h> {
    #[default]
    None,
    One(&'h HeaderValue),
    Several,
}

impl<'h> Lines<'h> {
    fn add(&mut self, value: &'h HeaderValue) {
        *self = if matches!(self, Self::None) { Self::One(value) } else { Self::Several };
    }
}

impl<'h> Fields<'h> {
    fn of(headers: &'h HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            if name == HOST {
                found.host.add(value);
            } else if name == UPGRADE {
                found.upgrades_to_websocket |= names(value, "websocket");
            } else if name == CONNECTION {
                found.connection_upgrades |= names(value, "upgrade");
            } else if name == SEC_WEBSOCKET_KEY {
                found.key.add(value);
            } else if name == SEC_WEBSOCKET_VERSION {
                found.version.add(value);
            } else if name == SEC_WEBSOCKET_PROTOCOL {
                found.offers_subprotocols = true;
            } else if name == TRANSFER_ENCODING || (name == CONTENT_LENGTH && value != "0") {
                found.announces_body = true;
            }
        }
        found
    }
}

fn check_request(method: &Method, version: Version, fields: &Fields<'_>) -> Result<(), Refusal> {
    // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1 item 1, also for the version.
    if method != Method::GET {
        return Err(Refusal::Method);
    }
    if version < Version::HTTP_11 {
        // A server ignores Upgrade in HTTP/1.0 (https://www.rfc-editor.org/rfc/rfc9110#section-7.8). It is not 505,
        // which refuses a whole major version.
        return Err(Refusal::OldHttp);
    }
    if version > Version::HTTP_11 {
        // https://www.rfc-editor.org/rfc/rfc9113#section-8.6: HTTP/2 has no 101;
        // https://www.rfc-editor.org/rfc/rfc9110#section-15.6.6: unwilling to complete it in this major version.
        return Err(Refusal::NewHttp);
    }
    // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1 item 2, https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    if !matches!(fields.host, Lines::One(_)) {
        return Err(Refusal::Host);
    }
    // What follows the head is frames (https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2): a body would be read as
    // such by one side and as content by a proxy between them.
    if fields.announces_body { Err(Refusal::Body) } else { Ok(()) }
}

fn check_upgrade(fields: &Fields<'_>) -> Result<(), Refusal> {
    // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1 item 3
    if !fields.upgrades_to_websocket {
        return Err(Refusal::Upgrade);
    }
    // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1 item 4
    if fields.connection_upgrades { Ok(()) } else { Err(Refusal::Connection) }
}

/// Before the key, since another version may have other keys.
fn check_version(version: Lines<'_>) -> Result<(), Refusal> {
    // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1 item 6, https://www.rfc-editor.org/rfc/rfc6455#section-4.4
    match version {
        Lines::None => Err(Refusal::VersionMissing),
        Lines::One(version) if version == VERSION => Ok(()),
        Lines::One(_) | Lines::Several => Err(Refusal::VersionUnsupported),
    }
}

/// The value that answers the key.
fn check_key(key: Lines<'_>) -> Result<HeaderValue, Refusal> {
    // Padding is demanded. Bits that do not belong to the 16 bytes are ignored: the rule is about the decoded length,
    // https://www.rfc-editor.org/rfc/rfc4648#section-3.5 leaves them to the decoder, the answer is made from the text,
    // and clients that pick 22 random characters work with every other server.
    const BASE64: GeneralPurpose =
        GeneralPurpose::new(&alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

    // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1 item 5,
    // https://www.rfc-editor.org/rfc/rfc6455#section-11.3.1 for "once".
    let Lines::One(key) = key else { return Err(Refusal::Key) };
    let key = key.as_bytes();
    if BASE64.decode(key).map_or(0, |nonce| nonce.len()) != 16 {
        return Err(Refusal::Key);
    }
    // Cannot fail: base64 is visible ASCII.
    HeaderValue::try_from(accept_value(key)).map_err(|_| Refusal::Key)
}

fn choose_subprotocol(headers: &HeaderMap, spoken: &[Subprotocol]) -> Result<Option<Subprotocol>, Refusal> {
    // https://www.rfc-editor.org/rfc/rfc6455#section-4.1 item 10: tokens, all of them distinct. There should be one at
    // least, but Python's websockets and tornado send an empty field for an empty list.
    let mut offered: Vec<&[u8]> = elements(headers, &SEC_WEBSOCKET_PROTOCOL).collect();
    let count = offered.len();
    offered.sort_unstable();
    offered.dedup();
    if offered.len() != count || !offered.iter().all(|name| is_token(name)) {
        return Err(Refusal::Subprotocol);
    }
    // https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2 item 5.5: one that the client offers, or none.
    Ok(spoken.iter().find(|name| offered.binary_search(&name.as_bytes()).is_ok()).cloned())
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
