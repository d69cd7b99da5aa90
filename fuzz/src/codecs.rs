//! Compressors and decompressors for connections under test.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rikki_proto::deflate::{Codecs, Compression, Compressor, Decompressor};

/// The codecs of one end, made when they are needed. With context takeover they remember the messages of a connection.
pub struct Shelf {
    compression: Compression,
    context_takeover: bool,
    compressor: Mutex<Option<Compressor>>,
    decompressor: Mutex<Option<Decompressor>>,
    is_lent: AtomicBool,
}

impl Shelf {
    /// One compressor and one decompressor, which is all that one connection may ever hold.
    #[must_use]
    pub fn new(compression: Compression, context_takeover: bool) -> Arc<Self> {
        Arc::new(Self {
            compression,
            context_takeover,
            compressor: Mutex::default(),
            decompressor: Mutex::default(),
            is_lent: AtomicBool::default(),
        })
    }

    /// Whether the decompressor is at home.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.is_lent.load(Relaxed)
    }
}

impl Codecs for Shelf {
    fn threshold(&self) -> usize {
        1
    }

    fn compress(&self, payload: &[u8], use_it: &mut dyn FnMut(&[u8])) {
        let mut compressor = lock(&self.compressor);
        let compressor = compressor.get_or_insert_with(|| Compressor::new(self.compression));
        let mut output = Vec::new();
        compressor.compress(payload, &mut output);
        let is_smaller = output.len() < payload.len();
        if is_smaller {
            use_it(&output);
        }
        // What was not sent cannot be referred to.
        if !is_smaller || !self.context_takeover {
            compressor.reset();
        }
    }

    fn window_bits(&self) -> Option<u8> {
        (!self.context_takeover).then_some(self.compression.window())
    }

    fn lend(&self) -> Option<Decompressor> {
        if self.is_lent.swap(true, Relaxed) {
            return None;
        }
        let mut decompressor = lock(&self.decompressor).take().unwrap_or_default();
        if !self.context_takeover {
            decompressor.reset();
        }
        Some(decompressor)
    }

    fn give_back(&self, decompressor: Decompressor) {
        assert!(self.is_lent.swap(false, Relaxed), "it was lent");
        *lock(&self.decompressor) = Some(decompressor);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
