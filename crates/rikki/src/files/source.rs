//! A file that was opened: what is known of it, and its content.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::time::SystemTime;

use axum::body::Body;
use cap_std::fs::Metadata;

use super::body::{self, FileBody};

/// What tells one state of a file from another, read off the open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// In bytes.
    pub(super) length: u64,
    pub(super) modified: Option<SystemTime>,
    /// 0 where there are none.
    pub(super) inode: u64,
}

impl Facts {
    pub(super) fn new(metadata: &Metadata) -> Self {
        let modified = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
        Self { length: metadata.len(), modified, inode: inode(metadata) }
    }
}

/// A regular file, open. It is never opened again by its path.
pub(super) struct Source {
    facts: Facts,
    file: File,
}

impl Source {
    pub(super) fn new(file: File, metadata: &Metadata) -> Self {
        Self { facts: Facts::new(metadata), file }
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The bytes of `range`, which lies within the length.
    pub(super) fn body(mut self, range: Range<u64>) -> io::Result<Body> {
        let length = range.end.saturating_sub(range.start);
        self.file.seek(SeekFrom::Start(range.start))?;
        let first = body::read_block(&self.file, length)?;
        if first.len() as u64 == length {
            return Ok(first.into());
        }
        Ok(Body::new(FileBody::new(self.file, first, length)))
    }
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    cap_std::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}
