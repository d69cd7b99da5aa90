//! Messages for many receivers: framed once, and compressed once for all who can be sent the same.
//!
//! Whether a connection compresses, and from which length on, its [`Codecs`] say; which of the forms goes out is
//! `connection`'s business.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use rikki_limits::{Budget, Share};

use crate::deflate::Codecs;
use crate::frame::EncodedHeader;
use crate::message::Message;

/// The smallest window of which there is a form, as a power of two; the largest is 15.
const SMALLEST: u8 = 9;

/// A message for many receivers, framed and compressed once for all of them; a clone is the same message.
///
/// Receivers that agreed on no context takeover for what they are sent ([RFC 7692 section 7.1.1.1]) get the same
/// compressed bytes, of which there is one form for each size of window among them ([section 7.1.2.1]). It is made when
/// it is first needed, and never for a message below the threshold or one that becomes no smaller. Where messages refer
/// to earlier ones each receiver's own compressor is used.
///
/// Memory: about 100 bytes and the payload, which is shared with the message if that was shared; then 128 bytes with
/// the first form, and with each form its length and 48 bytes. They are kept as long as the message is. A large payload
/// or form is not copied to be sent, so receivers that have not read it share that too.
///
/// ```
/// use rikki_proto::{Connection, Limits, Output, PreparedMessage};
///
/// let message = PreparedMessage::new("to all of you");
/// for mut server in [(); 3].map(|()| Connection::server(Limits::default())) {
///     let mut output = Output::default();
///     server.send_prepared(&message, &mut output)?;
///     assert_eq!(output.len(), message.len());
/// }
/// # Ok::<(), rikki_proto::SendError>(())
/// ```
///
/// [RFC 7692 section 7.1.1.1]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1.1.1
/// [section 7.1.2.1]: https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.1
#[derive(Clone)]
pub struct PreparedMessage(Arc<Prepared>);

struct Prepared {
    message: Message<'static>,
    header: EncodedHeader,
    /// Whether it may be compressed at all.
    is_compressible: bool,
    /// What the forms are counted in.
    budget: Option<Arc<Budget>>,
    /// `None` inside if the budget had no room for them.
    forms: OnceLock<Option<Box<Forms>>>,
}

/// The compressed forms, by window.
struct Forms {
    /// `None` inside if the message is sent as it is: it gained nothing, or the budget had no room.
    by_window: [OnceLock<Option<Box<Form>>>; 7],
    _share: Option<Share>,
}

struct Form {
    /// The whole frame.
    frame: Bytes,
    _share: Option<Share>,
}

impl PreparedMessage {
    /// Prepares a message that is compressed where that was agreed on.
    ///
    /// A secret beside text that others choose can be told from the compressed length: such a message is for
    /// [`uncompressed`](Self::uncompressed). A payload that is borrowed is copied.
    #[must_use]
    pub fn new<'a>(message: impl Into<Message<'a>>) -> Self {
        Self::prepare(message.into(), true, None)
    }

    /// Prepares a message that is never compressed: for one that mixes a secret with what others choose, whose
    /// compressed length would tell of the secret ([RFC 7692 section 8]).
    ///
    /// [RFC 7692 section 8]: https://www.rfc-editor.org/rfc/rfc7692#section-8
    #[must_use]
    pub fn uncompressed<'a>(message: impl Into<Message<'a>>) -> Self {
        Self::prepare(message.into(), false, None)
    }

    /// Prepares a message whose compressed forms are counted in `budget` as long as they are kept, with all that they
    /// take; one that it has no room for when it is first needed is never made, and the message sent as it is.
    ///
    /// The message itself is the caller's to count.
    #[doc(hidden)]
    #[must_use]
    pub fn counted<'a>(message: impl Into<Message<'a>>, budget: &Arc<Budget>) -> Self {
        Self::prepare(message.into(), true, Some(budget.clone()))
    }

    fn prepare(message: Message<'_>, is_compressible: bool, budget: Option<Arc<Budget>>) -> Self {
        let message = message.into_owned();
        let header = EncodedHeader::new(message.opcode(), false, message.as_bytes());
        Self(Arc::new(Prepared { message, header, is_compressible, budget, forms: OnceLock::new() }))
    }

    /// The message as it was given.
    #[must_use]
    pub fn message(&self) -> &Message<'static> {
        &self.0.message
    }

    /// The length of the whole frame in bytes, as a server sends it uncompressed.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.header().len() + self.message().as_bytes().len()
    }

    /// What goes in front of the payload where a server sends it uncompressed.
    #[inline]
    pub(crate) fn header(&self) -> &[u8] {
        self.0.header.as_slice()
    }

    /// Whether it is compressed where messages of so many bytes and more are.
    pub(crate) fn is_compressed_from(&self, threshold: usize) -> bool {
        self.0.is_compressible && self.message().as_bytes().len() >= threshold
    }

    /// The whole frame, compressed with a window of this size by whichever codecs were first asked for it; `None` if it
    /// is sent as it is.
    pub(crate) fn compressed(&self, window_bits: u8, codecs: &dyn Codecs) -> Option<&Bytes> {
        let index = window_bits.checked_sub(SMALLEST)?;
        let forms = self.0.forms.get_or_init(|| self.0.no_forms()).as_ref()?;
        let form = forms.by_window.get(usize::from(index))?.get_or_init(|| self.0.compress(codecs));
        form.as_ref().map(|form| &form.frame)
    }
}

impl Prepared {
    /// Where the forms will be.
    fn no_forms(&self) -> Option<Box<Forms>> {
        let share = self.count(size_of::<Forms>())?;
        Some(Box::new(Forms { by_window: Default::default(), _share: share }))
    }

    fn compress(&self, codecs: &dyn Codecs) -> Option<Box<Form>> {
        let mut form = None;
        codecs.compress(self.message.as_bytes(), &mut |compressed| {
            let header = EncodedHeader::new(self.message.opcode(), true, compressed);
            let length = header.as_slice().len() + compressed.len();
            if let Some(share) = self.count(size_of::<Form>() + length) {
                let frame = [header.as_slice(), compressed].concat().into();
                form = Some(Box::new(Form { frame, _share: share }));
            }
        });
        form
    }

    /// Counts so much in the budget, if there is one; `None` if it has no room.
    fn count(&self, bytes: usize) -> Option<Option<Share>> {
        match &self.budget {
            Some(budget) => budget.take(bytes).map(Some),
            None => Some(None),
        }
    }
}

impl fmt::Debug for PreparedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PreparedMessage").field(self.message()).finish()
    }
}
