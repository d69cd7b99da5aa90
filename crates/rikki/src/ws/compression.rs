//! The compressors and decompressors of a thread, lent to its connections: an idle one owns neither
//! ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692), without context takeover).

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rikki_proto::deflate::{self, Agreed, Codecs, Compressor, Decompressor, OutOfRange, ServerOptions};

/// The windows that a server may agree to, as powers of two.
const WINDOWS: std::ops::RangeInclusive<u8> = 9..=15;

/// A thread keeps at most this many compressors: one for each window that clients may ask for, and one to spare.
const KEPT_COMPRESSORS: usize = 8;

/// A thread keeps at most this many decompressors between messages.
const KEPT_DECOMPRESSORS: usize = 8;

/// An output buffer that has grown beyond this many bytes is not kept.
const KEPT_OUTPUT: usize = 256 * 1024;

thread_local! {
    static COMPRESSORS: Cell<Option<Box<Compressors>>> = const { Cell::new(None) };
    static DECOMPRESSORS: Cell<Vec<Decompressor>> = const { Cell::new(Vec::new()) };
}

/// How messages are compressed with clients that want it (permessage-deflate).
///
/// No message refers to an earlier one, so a connection needs a compressor or decompressor only while one of its
/// messages is under way, and all connections of a thread share a few. Memory: about 280 KiB a thread for each window
/// size that clients ask for, 48 KiB for each compressed message that has begun to arrive.
///
/// A secret beside text that others choose can be told from the compressed length: send such a message with
/// [`send_uncompressed`](super::Socket::send_uncompressed).
///
/// ```
/// use rikki::ws::{Compression, Settings};
///
/// let smaller = Settings::default().compression(Compression::default().level(6)?.threshold(200));
/// let off = Settings::default().compression(None);
/// # Ok::<(), rikki::ws::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Compression {
    deflate: deflate::Compression,
    threshold: usize,
    memory: usize,
}

impl Default for Compression {
    fn default() -> Self {
        Self { deflate: deflate::Compression::default(), threshold: 1024, memory: 64 * 1024 * 1024 }
    }
}

impl Compression {
    /// The effort, 1 for the fastest to 9 for the smallest; default 1.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], naming the range.
    pub fn level(self, level: u8) -> Result<Self, OutOfRange> {
        Ok(Self { deflate: self.deflate.level(level)?, ..self })
    }

    /// Messages of fewer bytes are sent as they are; default 1 KiB.
    pub fn threshold(self, bytes: usize) -> Self {
        Self { threshold: bytes, ..self }
    }

    /// The memory for decompressing, in bytes over all connections; default 64 MiB, enough for about 1,300 messages at a
    /// time. A compressed message that finds none left closes its connection with 1013.
    pub fn memory(self, bytes: usize) -> Self {
        Self { memory: bytes, ..self }
    }
}

/// What the connections of an endpoint share: the codecs for each window that a client may ask for.
#[derive(Clone, Debug)]
pub(super) struct CodecSet {
    options: ServerOptions,
    by_window: Arc<[Arc<Shared>]>,
}

/// How many decompressors are lent, and how many may be.
#[derive(Debug)]
struct Bound {
    lent: AtomicUsize,
    most: usize,
}

impl CodecSet {
    pub(super) fn new(compression: Compression) -> Self {
        let most = (compression.memory / Decompressor::MEMORY).max(1);
        let decompressors = Arc::new(Bound { lent: AtomicUsize::new(0), most });
        let shared = |window_bits| {
            Arc::new(Shared {
                compression: compression.deflate.limited_to(window_bits),
                threshold: compression.threshold,
                decompressors: decompressors.clone(),
            })
        };
        Self { options: ServerOptions::shared(compression.deflate), by_window: WINDOWS.map(shared).collect() }
    }

    pub(super) fn options(&self) -> &ServerOptions {
        &self.options
    }

    /// The codecs for a connection that has agreed on this.
    pub(super) fn codecs(&self, agreed: Agreed) -> Option<Arc<dyn Codecs>> {
        let index = agreed.server_max_window_bits.checked_sub(*WINDOWS.start())?;
        Some(self.by_window.get(usize::from(index))?.clone())
    }
}

/// The codecs of the thread that happens to poll the connection.
#[derive(Debug)]
struct Shared {
    compression: deflate::Compression,
    threshold: usize,
    decompressors: Arc<Bound>,
}

struct Compressors {
    made: Vec<Compressor>,
    output: Vec<u8>,
}

impl Compressors {
    fn get(&mut self, compression: deflate::Compression) -> (&mut Compressor, &mut Vec<u8>) {
        let Self { made, output } = self;
        let index = made.iter().position(|compressor| compressor.compression() == compression).unwrap_or_else(|| {
            if made.len() == KEPT_COMPRESSORS {
                made.remove(0);
            }
            made.push(Compressor::new(compression));
            made.len() - 1
        });
        // The index is that of an element that was found or pushed.
        #[allow(clippy::indexing_slicing, reason = "see above")]
        (&mut made[index], output)
    }
}

impl Codecs for Shared {
    fn threshold(&self) -> usize {
        self.threshold
    }

    fn compress(&self, payload: &[u8], use_it: &mut dyn FnMut(&[u8])) {
        let mut compressors =
            COMPRESSORS.take().unwrap_or_else(|| Box::new(Compressors { made: Vec::new(), output: Vec::new() }));
        let (compressor, output) = compressors.get(self.compression);
        compressor.reset();
        compressor.compress(payload, output);
        use_it(output);
        output.clear();
        output.shrink_to(KEPT_OUTPUT);
        // At the end of a thread there is no next message to keep them for.
        let _ = COMPRESSORS.try_with(|kept| kept.set(Some(compressors)));
    }

    fn lend(&self) -> Option<Decompressor> {
        let Bound { lent, most } = &*self.decompressors;
        if lent.fetch_add(1, Relaxed) >= *most {
            lent.fetch_sub(1, Relaxed);
            return None;
        }
        let mut kept = DECOMPRESSORS.take();
        let decompressor = kept.pop().unwrap_or_default();
        DECOMPRESSORS.set(kept);
        Some(decompressor)
    }

    fn give_back(&self, decompressor: Decompressor) {
        self.decompressors.lent.fetch_sub(1, Relaxed);
        let _ = DECOMPRESSORS.try_with(|cell| {
            let mut kept = cell.take();
            if kept.len() < KEPT_DECOMPRESSORS {
                kept.push(decompressor);
            }
            cell.set(kept);
        });
    }
}
