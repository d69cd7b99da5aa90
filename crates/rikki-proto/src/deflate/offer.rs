//! Who may compress how: offers, the server's answer and what both make of it,
//! <https://www.rfc-editor.org/rfc/rfc7692#section-7.1>.

use http::{HeaderMap, HeaderValue};

use super::compression::{Compression, MAX_WINDOW_BITS, MIN_WINDOW_BITS, OutOfRange, in_range};
use super::extension::{ClientWindow, ExtensionError, Parameters, extensions};

/// What both sides keep to after the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "the extension has these four parameters")]
pub struct Agreed {
    /// Whether each message of the server can be decompressed without those before it.
    pub server_no_context_takeover: bool,
    /// Whether each message of the client can be decompressed without those before it.
    pub client_no_context_takeover: bool,
    /// The largest window the server compresses with, 9 to 15; a foreign server may use 8.
    pub server_max_window_bits: u8,
    /// The largest window the client compresses with, 8 to 15.
    pub client_max_window_bits: u8,
}

/// What a server agrees to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ServerOptions {
    compression: Compression,
    context_takeover: bool,
}

impl ServerOptions {
    /// No message refers to one before it, in either direction, so that an idle connection needs neither a compressor
    /// nor a decompressor of its own. The default.
    pub fn shared(compression: Compression) -> Self {
        Self { compression, context_takeover: false }
    }

    /// Messages refer to those before them unless the client asks otherwise: similar messages become much smaller.
    ///
    /// Each connection then holds [`Compression::memory`] plus [`Decompressor::MEMORY`](super::Decompressor::MEMORY)
    /// bytes, less what its [`Agreed`] spares it.
    pub fn dedicated(compression: Compression) -> Self {
        Self { compression, context_takeover: true }
    }

    /// What the compressors are made with, before [`Compression::limited_to`] what a client demands.
    pub fn compression(&self) -> Compression {
        self.compression
    }
}

/// An offer that the server accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Negotiated {
    /// What both sides keep to.
    pub agreed: Agreed,
    /// The `Sec-WebSocket-Extensions` of the 101 response.
    pub response: HeaderValue,
}

/// The server's side: takes the first offer in a request that it can keep to, or `None`.
///
/// An offer with an unknown, repeated or invalid parameter is passed over, and so is one that demands a window of 8,
/// which zlib does not compress with.
///
/// # Errors
///
/// [`ExtensionError::Malformed`] alone: a header that breaks the grammar of [RFC 6455 section 9.1] fails the handshake.
///
/// ```
/// use http::{HeaderMap, HeaderValue};
/// use rikki_proto::deflate::{ServerOptions, negotiate};
///
/// let mut request = HeaderMap::new();
/// request.insert("Sec-WebSocket-Extensions", HeaderValue::from_static("permessage-deflate; client_max_window_bits"));
/// let accepted = negotiate(&request, &ServerOptions::default())?.unwrap();
/// assert_eq!(accepted.response, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
/// # Ok::<(), rikki_proto::deflate::ExtensionError>(())
/// ```
///
/// [RFC 6455 section 9.1]: https://www.rfc-editor.org/rfc/rfc6455#section-9.1
pub fn negotiate(request: &HeaderMap, options: &ServerOptions) -> Result<Option<Negotiated>, ExtensionError> {
    let mut accepted = None;
    // To its end, also after an offer was found: whether the header is malformed does not depend on the order in it.
    for extension in extensions(request) {
        let extension = extension?;
        // https://www.rfc-editor.org/rfc/rfc7692#section-7: an offer with such parameters is declined.
        if let (true, None, Ok(offer)) = (extension.is_deflate, &accepted, extension.parameters) {
            accepted = accept(&offer, options);
        }
    }
    Ok(accepted)
}

fn accept(offer: &Parameters, options: &ServerOptions) -> Option<Negotiated> {
    // https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1: declined by a server that does not support it.
    if offer.server_max_window_bits.is_some_and(|bits| bits < MIN_WINDOW_BITS) {
        return None;
    }
    let limit = offer.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS);
    let window_bits = options.compression.limited_to(limit).window_bits;
    let response = Parameters {
        // Sections 7.1.1.1 and 7.1.1.2: a server may answer both, whether they were offered or not.
        server_no_context_takeover: offer.server_no_context_takeover || !options.context_takeover,
        client_no_context_takeover: offer.client_no_context_takeover || !options.context_takeover,
        // It may answer this one too, but some clients do not expect that, and a smaller window needs no agreement.
        server_max_window_bits: offer.server_max_window_bits.map(|_| window_bits),
        // Section 7.1.2.2: "the server may either ignore this value or use this value". A smaller window of the client
        // saves nothing here: see `Decompressor`.
        client_max_window_bits: ClientWindow::Absent,
    };
    let agreed = Agreed {
        server_no_context_takeover: response.server_no_context_takeover,
        client_no_context_takeover: response.client_no_context_takeover,
        server_max_window_bits: window_bits,
        client_max_window_bits: window_of(offer.client_max_window_bits),
    };
    Some(Negotiated { agreed, response: response.to_header() })
}

/// What a client offers, and demands of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct ClientOptions {
    compression: Compression,
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
}

impl ClientOptions {
    /// What the client compresses with. The server may shrink the window, and a smaller one than 15 bits is announced.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Demands that no message of the server refers to one before it, so that the client needs no decompressor of its
    /// own between messages; default false.
    pub fn server_no_context_takeover(mut self, demanded: bool) -> Self {
        self.server_no_context_takeover = demanded;
        self
    }

    /// Promises that no message of the client refers to one before it; default false. The server may demand it.
    pub fn client_no_context_takeover(mut self, promised: bool) -> Self {
        self.client_no_context_takeover = promised;
        self
    }

    /// Demands a window of at most 2^`bits` bytes of the server, 8 to 15; default none. A server that cannot do this
    /// goes on without compression.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], naming the range.
    pub fn server_max_window_bits(mut self, bits: u8) -> Result<Self, OutOfRange> {
        self.server_max_window_bits = Some(in_range("window bits", bits, 8, MAX_WINDOW_BITS)?);
        Ok(self)
    }

    fn parameters(&self) -> Parameters {
        Parameters {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits,
            client_max_window_bits: match self.compression.window_bits {
                MAX_WINDOW_BITS => ClientWindow::Unlimited,
                bits => ClientWindow::Limited(bits),
            },
        }
    }
}

/// The client's side: the `Sec-WebSocket-Extensions` of its request.
#[must_use]
pub fn offer(options: &ClientOptions) -> HeaderValue {
    options.parameters().to_header()
}

/// The client's side: judges the response to a request that had the [`offer`] of the same options.
///
/// `None` means that messages are not compressed.
///
/// # Errors
///
/// The rule that the response breaks; the client must then fail the connection.
pub fn confirm(response: &HeaderMap, options: &ClientOptions) -> Result<Option<Agreed>, ExtensionError> {
    let mut answer = None;
    for extension in extensions(response) {
        let extension = extension?;
        // https://www.rfc-editor.org/rfc/rfc6455#section-4.1: one "that was not present in the client's handshake"
        if !extension.is_deflate || answer.is_some() {
            return Err(ExtensionError::NotOffered);
        }
        answer = Some(extension.parameters?);
    }
    let Some(answer) = answer else { return Ok(None) };
    let offer = options.parameters();
    answer.check_answers(&offer)?;
    Ok(Some(Agreed {
        server_no_context_takeover: answer.server_no_context_takeover,
        // Section 7.1.1.2: what was promised holds, whether the server repeats it or not; the same for the window.
        client_no_context_takeover: answer.client_no_context_takeover || offer.client_no_context_takeover,
        server_max_window_bits: answer.server_max_window_bits.unwrap_or(MAX_WINDOW_BITS),
        client_max_window_bits: window_of(answer.client_max_window_bits).min(options.compression.window_bits),
    }))
}

fn window_of(client: ClientWindow) -> u8 {
    match client {
        ClientWindow::Limited(bits) => bits,
        ClientWindow::Absent | ClientWindow::Unlimited => MAX_WINDOW_BITS,
    }
}
