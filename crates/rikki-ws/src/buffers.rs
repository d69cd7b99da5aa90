//! The buffers of a thread, lent to whichever connection is being polled: an idle connection owns none.

use rikki_proto::Output;

use super::local::Local;
use super::meters::Shards;

/// How much is read at once, in bytes.
pub(super) const READ_SIZE: usize = 64 * 1024;

/// An output buffer that has grown beyond this many bytes is not kept for the next connection.
const KEEP_OUTPUT: usize = 256 * 1024;

/// What one poll reads into and answers into.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) read: Box<[u8]>,
    pub(super) output: Output,
    /// Where this thread counts messages.
    pub(super) shards: Shards,
}

/// The buffers of this thread, put back when dropped, also by a panic.
#[derive(Debug)]
pub(super) struct BuffersGuard(Option<Box<Buffers>>);

impl BuffersGuard {
    /// Takes the thread's buffers, and begins to count what is compressed; a poll inside a poll finds none and gets
    /// fresh ones.
    pub(super) fn take() -> Self {
        let taken = Local::with(|local| {
            local.worked.set(0);
            local.buffers.take()
        });
        Self(taken.flatten())
    }

    pub(super) fn get(&mut self) -> &mut Buffers {
        self.0.get_or_insert_with(|| {
            let (output, shards) = Default::default();
            Box::new(Buffers { read: vec![0; READ_SIZE].into_boxed_slice(), output, shards })
        })
    }
}

impl Drop for BuffersGuard {
    fn drop(&mut self) {
        if let Some(mut buffers) = self.0.take() {
            if !buffers.output.is_empty() || buffers.output.capacity() > KEEP_OUTPUT {
                buffers.output = Output::default();
            }
            buffers.output.set_blocked(false);
            Local::with(|local| local.buffers.set(Some(buffers)));
        }
    }
}
