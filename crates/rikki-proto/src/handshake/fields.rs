//! What both roles need to read handshake header fields: lists, tokens, fields that come once, the accept value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use sha1::{Digest as _, Sha1};

/// The one version of the protocol: <https://www.rfc-editor.org/rfc/rfc6455#section-4.1> item 9.
pub(super) const VERSION: &str = "13";

/// The value of a field that must occur on exactly one line; `None` if it is absent or repeated.
pub(super) fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?;
    lines.next().is_none().then_some(first)
}

/// The elements of a list over all lines of a field, in order; empty ones are skipped.
///
/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.1.2>
pub(super) fn elements<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    headers.get_all(name).iter().flat_map(elements_of)
}

/// Whether a list has this element on any of its lines, in any case.
pub(super) fn contains(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|line| names(line, token))
}

/// Whether a line of a list has this element, in any case.
pub(super) fn names(line: &HeaderValue, token: &str) -> bool {
    elements_of(line).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The elements of one line of a list; empty ones are skipped.
fn elements_of(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = line.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    elements.filter(|element| !element.is_empty())
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>
pub(crate) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_tchar)
}

/// The `Sec-WebSocket-Accept` that answers a key: <https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2> item 5.4.
pub(super) fn accept_value(key: &[u8]) -> String {
    const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}
