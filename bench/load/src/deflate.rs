//! Messages of JSON that are compressed (permessage-deflate, RFC 7692), and the check of what comes back.
//!
//! It uses zlib-rs alone and nothing of rikki, so that a fault that rikki's two ends shared would be seen.

use std::cell::OnceCell;
use std::fmt::Write as _;
use std::rc::Rc;

use zlib_rs::{Deflate, DeflateFlush, Inflate, InflateFlush};

/// The header that offers it. Without context takeover every server does the same work: each message stands alone
/// (<https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1>).
pub(crate) const OFFER: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";

/// How many messages a connection takes turns with, if it has more than one.
pub(crate) const VARIANTS: usize = 16;

/// zlib's own default; the server never sees what it costs.
const LEVEL: i32 = 6;

const WINDOW_BITS: u8 = 15;

/// What a flush ends with, taken off by the sender (<https://www.rfc-editor.org/rfc/rfc7692#section-7.2.1>).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// FIN, RSV1 (compressed) and the opcode of text.
const COMPRESSED_TEXT: u8 = 0xc1;

/// Whether a server that answers with these extensions compresses as it was offered.
pub(crate) fn is_agreed(extensions: &str) -> bool {
    let mut parameters = extensions.split(';').map(str::trim);
    parameters.next() == Some("permessage-deflate") && parameters.any(|name| name == "server_no_context_takeover")
}

/// The messages of one connection, and the reply under way.
pub(crate) struct Deflated {
    variants: Rc<[Variant]>,
    /// What comes was sent by another connection, and to many: what was inflated once is known again by its bytes.
    is_listener: bool,
    request: usize,
    expected: usize,
    inflate: Inflate,
    /// What has come of the reply: its header and its payload, compressed.
    reply: Vec<u8>,
    /// Room for the message in it, and one byte that must stay free.
    message: Vec<u8>,
    replies: u64,
    reply_bytes: u64,
}

struct Variant {
    message: Vec<u8>,
    /// As it is sent: compressed, masked, with its header.
    frame: Vec<u8>,
    /// The reply that a listener inflated first.
    known: OnceCell<Vec<u8>>,
}

impl Deflated {
    /// So many messages of `size` bytes (at least a hundred or so), which no other connection sends.
    pub(crate) fn new(connection: usize, variants: usize, size: usize, key: [u8; 4]) -> Self {
        let mut deflate = Deflate::new(LEVEL, false, WINDOW_BITS);
        let variants: Rc<[_]> = (0..variants)
            .map(|number| {
                let message = json(connection, number, size).into_bytes();
                deflate.reset();
                let frame = frame(&compress(&mut deflate, &message), key);
                Variant { message, frame, known: OnceCell::new() }
            })
            .collect();
        Self::with(variants, false)
    }

    /// One that is sent what this one sends.
    pub(crate) fn listener(&self) -> Self {
        Self::with(self.variants.clone(), true)
    }

    fn with(variants: Rc<[Variant]>, is_listener: bool) -> Self {
        let longest = variants.iter().map(|variant| variant.message.len()).max().unwrap_or(0);
        Self {
            variants,
            is_listener,
            request: 0,
            expected: 0,
            inflate: Inflate::new(false, WINDOW_BITS),
            reply: Vec::new(),
            message: vec![0; longest + 1],
            replies: 0,
            reply_bytes: 0,
        }
    }

    pub(crate) fn request(&self) -> &[u8] {
        &self.variants[self.request].frame
    }

    pub(crate) fn set_request(&mut self, number: u64) {
        self.request = number as usize % self.variants.len();
    }

    pub(crate) fn set_reply(&mut self, number: u64) {
        self.expected = number as usize % self.variants.len();
    }

    /// Bytes of an average reply, its header included.
    pub(crate) fn reply_length(&self) -> Option<f64> {
        (self.replies > 0).then(|| self.reply_bytes as f64 / self.replies as f64)
    }

    /// Takes the next bytes of the reply from the front of `bytes`: how many, and whether it is whole now.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(usize, bool), &'static str> {
        let mut taken = 0;
        loop {
            let (needed, header) = match extent(&self.reply)? {
                Extent::Header(needed) => (needed, None),
                Extent::Frame { header, payload } => (header + payload, Some(header)),
            };
            // A reply never needs twice what the message has: nothing grows because of a length in a header.
            if needed > 2 * self.message.len() + 16 {
                return Err("came back longer than it was");
            }
            let more = (needed - self.reply.len()).min(bytes.len() - taken);
            self.reply.extend_from_slice(&bytes[taken..taken + more]);
            taken += more;
            match header {
                Some(header) if self.reply.len() == needed => {
                    self.compare(header)?;
                    return Ok((taken, true));
                }
                _ if taken == bytes.len() => return Ok((taken, false)),
                _ => {}
            }
        }
    }

    /// Decompresses the whole reply and compares it with what was sent.
    fn compare(&mut self, header: usize) -> Result<(), &'static str> {
        self.replies += 1;
        self.reply_bytes += self.reply.len() as u64;
        let expected = &self.variants[self.expected];
        if self.is_listener && expected.known.get() == Some(&self.reply) {
            self.reply.clear();
            return Ok(());
        }
        let known = self.is_listener.then(|| self.reply.clone());
        self.reply.extend_from_slice(&TAIL);
        self.inflate.reset(false);
        let inflated = self.inflate.decompress(&self.reply[header..], &mut self.message, InflateFlush::SyncFlush);
        inflated.map_err(|_| "came back as something that is not DEFLATE")?;
        self.reply.clear();
        let length = self.inflate.total_out() as usize;
        if self.message[..length] != expected.message {
            return Err("came back changed");
        }
        if let Some(known) = known {
            // A server that compresses the same otherwise another time has that inflated each time.
            let _ = expected.known.set(known);
        }
        Ok(())
    }
}

/// What is known of a frame by its first bytes.
enum Extent {
    /// So many bytes are needed to know more.
    Header(usize),
    Frame {
        header: usize,
        payload: usize,
    },
}

fn extent(bytes: &[u8]) -> Result<Extent, &'static str> {
    match bytes {
        [] | [_] => Ok(Extent::Header(2)),
        [COMPRESSED_TEXT, payload @ 0..=125, ..] => Ok(Extent::Frame { header: 2, payload: usize::from(*payload) }),
        [COMPRESSED_TEXT, 126, a, b, ..] => {
            Ok(Extent::Frame { header: 4, payload: usize::from(u16::from_be_bytes([*a, *b])) })
        }
        [COMPRESSED_TEXT, 126, ..] => Ok(Extent::Header(4)),
        [COMPRESSED_TEXT, ..] => Err("came back in a frame that is too long or masked"),
        _ => Err("did not come back as one compressed text frame"),
    }
}

fn compress(deflate: &mut Deflate, message: &[u8]) -> Vec<u8> {
    let mut out = vec![0; message.len() + 64];
    let status = deflate.compress(message, &mut out, DeflateFlush::SyncFlush);
    debug_assert!(status.is_ok(), "{status:?}");
    out.truncate(deflate.total_out() as usize - TAIL.len());
    out
}

/// `payload` as a client sends it (<https://www.rfc-editor.org/rfc/rfc6455#section-5.2>).
fn frame(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![COMPRESSED_TEXT];
    match u8::try_from(payload.len()) {
        Ok(short @ 0..=125) => frame.push(0x80 | short),
        _ => {
            let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
            frame.push(0x80 | 126);
            frame.extend_from_slice(&length.to_be_bytes());
        }
    }
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A list of orders, as an interface might send it: names and structure repeat, figures do not.
fn json(connection: usize, number: usize, size: usize) -> String {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul((connection * VARIANTS + number + 1) as u64);
    let mut draw = |below: u64| {
        // xorshift64: the same figures in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut text = format!("{{\"connection\":{connection},\"number\":{number},\"orders\":[");
    while text.len() + 140 < size {
        let side = if draw(2) == 0 { "buy" } else { "sell" };
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "{{\"id\":{},\"side\":\"{side}\",\"price\":{}.{:02},\"amount\":{},\"open\":true}},",
            draw(1_000_000_000),
            draw(10_000),
            draw(100),
            draw(500),
        );
    }
    text.push_str("null],\"note\":\"");
    while text.len() + 2 < size {
        text.push(char::from(b'a' + draw(26) as u8));
    }
    text.push_str("\"}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server makes of a message: compressed, without a mask.
    fn reply(message: &[u8]) -> Vec<u8> {
        let payload = compress(&mut Deflate::new(1, false, WINDOW_BITS), message);
        let mut reply = vec![COMPRESSED_TEXT, 126];
        reply.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        reply.extend_from_slice(&payload);
        reply
    }

    #[test]
    fn takes_the_same_message_however_it_is_cut() {
        let mut deflated = Deflated::new(3, VARIANTS, 1024, [1, 2, 3, 4]);
        deflated.set_reply(5);
        let good = reply(&deflated.variants[5].message);
        for cut in 1..good.len() {
            assert_eq!(deflated.check(&good[..cut]), Ok((cut, false)), "cut at {cut}");
            let rest = [&good[cut..], b"next"].concat();
            assert_eq!(deflated.check(&rest), Ok((good.len() - cut, true)), "cut at {cut}");
        }
        assert_eq!(deflated.reply_length(), Some(good.len() as f64));
    }

    #[test]
    fn a_listener_knows_what_it_has_inflated() {
        let source = Deflated::new(3, VARIANTS, 1024, [1, 2, 3, 4]);
        let mut listeners = [source.listener(), source.listener()];
        let good = reply(&source.variants[5].message);
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        for listener in &mut listeners {
            for _ in 0..2 {
                listener.set_reply(5);
                assert_eq!(listener.check(&good), Ok((good.len(), true)));
            }
        }
        assert_eq!(source.variants[5].known.get(), Some(&good));
        let [listener, other] = &mut listeners;
        assert!(listener.check(&bad).is_err());
        other.set_reply(6);
        assert_eq!(other.check(&good), Err("came back changed"));
    }

    #[test]
    fn refuses_everything_else() {
        let check = |bytes: &[u8], expected: &str| {
            let mut deflated = Deflated::new(3, VARIANTS, 1024, [1, 2, 3, 4]);
            assert_eq!(deflated.check(bytes).unwrap_err(), expected, "{bytes:?}");
        };
        let other = Deflated::new(3, VARIANTS, 1024, [0; 4]);
        check(&reply(&other.variants[1].message), "came back changed");
        check(&reply(&[&other.variants[0].message[..], b" "].concat()), "came back changed");
        check(b"\xc1\x02\xff\xff", "came back as something that is not DEFLATE");
        check(b"\x81\x01{", "did not come back as one compressed text frame");
        check(b"\xc1\x7f\0\0\0\0", "came back in a frame that is too long or masked");
        check(b"\xc1\x7e\xff\xff\0", "came back longer than it was");
    }

    #[test]
    fn messages_are_of_the_size_that_was_asked_for_and_differ() {
        let (one, other) = (Deflated::new(0, VARIANTS, 1024, [0; 4]), Deflated::new(1, VARIANTS, 1024, [0; 4]));
        let mut messages: Vec<_> =
            one.variants.iter().chain(other.variants.iter()).map(|variant| variant.message.clone()).collect();
        for message in &messages {
            assert_eq!(message.len(), 1024);
            assert!(serde_json::from_slice::<serde_json::Value>(message).is_ok(), "{message:?}");
        }
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), 2 * VARIANTS);
    }

    #[test]
    fn knows_an_agreement() {
        let check = |extensions, expected| assert_eq!(is_agreed(extensions), expected, "{extensions}");
        check("permessage-deflate; server_no_context_takeover", true);
        check("permessage-deflate;client_no_context_takeover;server_no_context_takeover", true);
        check("permessage-deflate", false);
        check("", false);
        check("x-other; server_no_context_takeover", false);
    }
}
