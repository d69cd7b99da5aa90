//! What a thread keeps for whichever of its connections is polled: an idle connection owns none of it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use rikki_limits::Share;
use rikki_proto::deflate::Decompressor;
use tokio::runtime::Id;

use super::buffers::Buffers;
use super::clock::Clock;
use super::compression::Compressors;
use super::stream::Unfinished;

thread_local! {
    static LOCAL: Local = const { Local::new() };
}

pub(super) struct Local {
    pub(super) buffers: Cell<Option<Box<Buffers>>>,
    /// Bytes that were compressed, and that have come of decompressing, in the poll under way.
    pub(super) worked: Cell<usize>,
    pub(super) compressors: Cell<Option<Box<Compressors>>>,
    pub(super) decompressors: Cell<Vec<Decompressor>>,
    /// What those hold that are lent: each is given back by the call that it was lent to, the last one first.
    pub(super) lent: Cell<Vec<Share>>,
    /// That of the runtime with this id.
    pub(super) clock: RefCell<Option<(Id, Arc<Clock>)>>,
    /// What TCP is read into before it is decrypted; nothing stays in it.
    #[cfg(feature = "tls")]
    pub(super) sealed: Cell<Vec<u8>>,
    /// The WebSockets that a task has dropped in the poll under way, if it serves one.
    pub(super) dropped: RefCell<Option<Vec<Unfinished>>>,
}

impl Local {
    const fn new() -> Self {
        Self {
            buffers: Cell::new(None),
            worked: Cell::new(0),
            compressors: Cell::new(None),
            decompressors: Cell::new(Vec::new()),
            lent: Cell::new(Vec::new()),
            clock: RefCell::new(None),
            #[cfg(feature = "tls")]
            sealed: Cell::new(Vec::new()),
            dropped: RefCell::new(None),
        }
    }

    /// Uses that of this thread; `None` at the end of a thread, when there is no next poll to keep anything for.
    #[inline(always)]
    pub(super) fn with<R>(use_it: impl FnOnce(&Self) -> R) -> Option<R> {
        LOCAL.try_with(use_it).ok()
    }
}
