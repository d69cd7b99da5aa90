//! Where a connection's compressors and decompressors come from: the endpoint owns them, many connections share them.

use std::fmt;
use std::sync::Arc;

use super::{Decompressor, Scratch};
use crate::error::Error;

/// Lends compressors and decompressors to connections without context takeover.
///
/// Nothing of one message is needed for the next, so an endpoint keeps a few of each for all its connections, and bounds
/// their number here.
pub trait Codecs: Send + Sync {
    /// Messages of fewer bytes are not worth compressing.
    fn threshold(&self) -> usize;

    /// Compresses a whole message that refers to none before it, and hands the result to `use_it`, once.
    ///
    /// An implementation that has no compressor to spare does not call `use_it`: the message is then sent as it is.
    fn compress(&self, payload: &[u8], use_it: &mut dyn FnMut(&[u8]));

    /// A decompressor for one message, or `None` if all there may be are lent.
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
        let mut decompressor = codecs.lend()?;
        decompressor.reset();
        Some(Self { decompressor: Some(decompressor), home: codecs.clone() })
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
