//! Where a connection's compressors and decompressors come from: the endpoint owns them, for one connection or for
//! many.

use std::fmt;
use std::sync::Arc;

use super::{Decompressor, Scratch};
use crate::error::Error;

/// Compresses for connections, and lends them what decompresses.
///
/// Without context takeover nothing of one message is needed for the next: an endpoint keeps a few compressors and
/// decompressors for all its connections. With it each connection has codecs of its own. Either way their memory is
/// bounded here.
pub trait Codecs: Send + Sync {
    /// Messages of fewer bytes are not worth compressing.
    fn threshold(&self) -> usize;

    /// Compresses a whole message and hands the result to `use_it`, at most once, to be sent.
    ///
    /// It is not called if there is no compressor to spare, or if compressing gains nothing: the message is then sent
    /// as it is. With context takeover later messages may refer to what was handed over, and to nothing else.
    fn compress(&self, payload: &[u8], use_it: &mut dyn FnMut(&[u8]));

    /// The window that a message is compressed with, as a power of two from 9 to 15, where each is compressed by
    /// itself: what comes out is then sent to every connection with the same window, whichever codecs made it
    /// ([`PreparedMessage`](crate::PreparedMessage)). That [`compress`](Self::compress) hands nothing over holds for
    /// all of them too.
    ///
    /// `None`, the default, where a message may refer to earlier ones, so that no two connections can share what comes
    /// out. With a number outside the range what is prepared is sent as it is.
    fn window_bits(&self) -> Option<u8> {
        None
    }

    /// A decompressor that is ready for the next message: [reset](Decompressor::reset), or as it was given back after
    /// the message before if the peer's messages refer to earlier ones. `None` if all there may be are lent.
    fn lend(&self) -> Option<Decompressor>;

    /// Takes a decompressor back, in whatever state it is.
    fn give_back(&self, decompressor: Decompressor);
}

/// A decompressor on loan, which goes home when it is dropped.
pub(crate) struct Lent {
    /// Always there until it is dropped.
    decompressor: Option<Decompressor>,
    home: Arc<dyn Codecs>,
}

impl Lent {
    pub(crate) fn from(codecs: &Arc<dyn Codecs>) -> Option<Self> {
        Some(Self { decompressor: Some(codecs.lend()?), home: codecs.clone() })
    }

    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        scratch: &mut Scratch,
        limit: usize,
        sink: impl FnMut(&[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.decompressor.as_mut().map_or(Ok(()), |decompressor| decompressor.push(piece, scratch, limit, sink))
    }

    pub(crate) fn finish(&mut self, scratch: &mut Scratch) -> Result<(), Error> {
        self.decompressor.as_mut().map_or(Ok(()), |decompressor| decompressor.finish(scratch))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(decompressor) = self.decompressor.take() {
            self.home.give_back(decompressor);
        }
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}
