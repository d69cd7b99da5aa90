//! A file that was opened: what is known of it, and its content.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use cap_std::fs::Metadata;
use http::Response;

use super::blocks::{BLOCK, Block};
use super::body::{FileBody, Open};
use super::cache::{Kept, MAX_CONTENT};
use super::conditional::Validators;
use super::digest::{Digest, Digesting};
use super::encoding::Coding;
use super::facts::Facts;
use super::pieces;
use super::read::{is_at_hand, read_at};
use super::stores::{Place, Stores};
use super::wait::{Unmet, Wait};

/// A regular file, as it was opened for one request. It is never opened again by its path.
pub(super) struct Source {
    facts: Facts,
    content: Content,
    /// The digest of the content, if that is small and was read.
    digest: Option<Digest>,
}

enum Content {
    /// That of a file of this path with the same facts, from the cache. The file is closed.
    Kept(Arc<Kept>),
    /// All of it, as it was read. The file is closed.
    InMemory(Bytes),
    OnDisk(OnDisk),
}

struct OnDisk {
    file: Arc<File>,
    /// That of the file among those that are open, once it stays so.
    place: Option<Arc<Place>>,
    /// Under which name it may be kept.
    path: PathBuf,
    wait: Wait,
    stores: Stores,
}

impl Source {
    /// Takes a file that `path` has led to, to be read as `wait` says.
    pub(super) fn new(file: File, metadata: &Metadata, path: &Path, wait: Wait, stores: &Stores) -> Self {
        let facts = Facts::new(metadata);
        Self::kept(&facts, path, stores).unwrap_or_else(|| {
            let on_disk = OnDisk { file: Arc::new(file), place: None, path: path.into(), wait, stores: stores.clone() };
            Self { facts, content: Content::OnDisk(on_disk), digest: None }
        })
    }

    /// A file that was found in this state, if its content is kept.
    pub(super) fn kept(facts: &Facts, path: &Path, stores: &Stores) -> Option<Self> {
        let kept = stores.cache.plain(path, facts)?;
        Some(Self { facts: *facts, digest: kept.digest(), content: Content::Kept(kept) })
    }

    /// Reads a content that is small, and keeps it if that is possible. Its digest is known then.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or not without waiting.
    pub(super) fn read_small(&mut self) -> Result<(), Unmet> {
        let Content::OnDisk(on_disk) = &self.content else { return Ok(()) };
        let Ok(length) = usize::try_from(self.facts.length) else { return Ok(()) };
        if self.digest.is_some() || length > MAX_CONTENT {
            return Ok(());
        }
        if let Some((content, digest)) = on_disk.keep(&self.facts, length)? {
            (self.content, self.digest) = (Content::InMemory(content), Some(digest));
            return Ok(());
        }
        let (digest, content) = on_disk.digest(self.facts.length)?;
        self.digest = Some(digest);
        if let Some(content) = content {
            self.content = Content::InMemory(content);
        }
        Ok(())
    }

    /// The digest of a content that is small, once it was read.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Its validators as a content in this coding, if they are not to be made.
    pub(super) fn validators(&self, coding: Option<Coding>, make: impl FnOnce() -> Validators) -> Validators {
        match &self.content {
            Content::Kept(kept) => kept.validators(coding, make),
            Content::InMemory(_) | Content::OnDisk(_) => make(),
        }
    }

    pub(super) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Has a place for the file from now on, for all bodies that are made of it.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(super) fn stay_open(&mut self) -> io::Result<()> {
        if let Content::OnDisk(on_disk) = &mut self.content {
            on_disk.place = Some(on_disk.stores.place()?);
        }
        Ok(())
    }

    /// Whether all of it is in memory.
    pub(super) fn is_kept(&self) -> bool {
        !matches!(self.content, Content::OnDisk(_))
    }

    /// Reads at `offset`, as [`read_at`] does.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64, wait: Wait) -> Result<usize, Unmet> {
        let content = match &self.content {
            Content::Kept(kept) => Arc::clone(kept).content(),
            Content::InMemory(content) => content.clone(),
            Content::OnDisk(on_disk) => return read_at(&on_disk.file, buffer, offset, wait),
        };
        let rest = slice(content, offset..self.facts.length);
        let length = rest.len().min(buffer.len());
        if let (Some(buffer), Some(rest)) = (buffer.get_mut(..length), rest.get(..length)) {
            buffer.copy_from_slice(rest);
        }
        Ok(length)
    }

    /// The bytes of `range`, which lies within the length.
    ///
    /// # Errors
    ///
    /// When the first of them cannot be read, or not without waiting.
    pub(super) fn body(&self, range: Range<u64>) -> Result<Body, Unmet> {
        match &self.content {
            _ if range.is_empty() => Ok(Body::empty()),
            Content::Kept(kept) => Ok(slice(Arc::clone(kept).content(), range).into()),
            Content::InMemory(content) => Ok(slice(content.clone(), range).into()),
            Content::OnDisk(on_disk) => match on_disk.read_first(&range)? {
                first if first.len() as u64 == length_of(&range) => Ok(first.into_bytes().into()),
                first => Ok(Body::new(on_disk.body(Some(first), range)?)),
            },
        }
    }

    /// Answers with the bytes of `range`, which lies within the length. `by_system` is for those who can have the system
    /// send them, and worth its while if they are not few.
    ///
    /// # Errors
    ///
    /// As [`Source::body`].
    pub(super) fn send(&self, range: Range<u64>, by_system: bool, response: &mut Response<Body>) -> Result<(), Unmet> {
        let on_disk = match &self.content {
            Content::OnDisk(on_disk) if by_system && length_of(&range) >= SENDABLE => on_disk,
            _ => {
                *response.body_mut() = self.body(range)?;
                return Ok(());
            }
        };
        let first = match on_disk.wait {
            Wait::No => {
                is_at_hand(&on_disk.file, range.start, pieces::first_of(length_of(&range)))?;
                None
            }
            // What has to be waited for is waited for now.
            Wait::Yes => Some(on_disk.read_first(&range)?),
        };
        let body = on_disk.body(first, range)?;
        response.extensions_mut().insert(body.sendable());
        *response.body_mut() = Body::new(body);
        Ok(())
    }
}

/// The least that the system sends by itself, in bytes: less takes it no less time than to read and write one block.
const SENDABLE: u64 = BLOCK as u64;

impl OnDisk {
    /// All of the content, which is kept; `None` if there is no room for it.
    fn keep(&self, facts: &Facts, length: usize) -> Result<Option<(Bytes, Digest)>, Unmet> {
        let Some(room) = self.stores.cache.room(&self.path, facts, length) else { return Ok(None) };
        let mut content = vec![0; length];
        match read_at(&self.file, &mut content, 0, self.wait)? {
            read if read == length => {}
            _ if self.wait == Wait::No => return Err(Unmet::WouldWait),
            _ => return Err(Unmet::Failed(io::ErrorKind::UnexpectedEof.into())),
        }
        let digest = Digest::of(&content);
        Ok(Some((room.keep_plain(content.into(), digest), digest)))
    }

    /// The digest of a content that is not kept, read a block at a time; with the content, if that is one block.
    fn digest(&self, length: u64) -> Result<(Digest, Option<Bytes>), Unmet> {
        let mut digesting = Digesting::default();
        let mut offset = 0;
        while offset < length {
            let mut block = self.stores.blocks.take(length - offset);
            block.fill(&self.file, offset, self.wait)?;
            digesting.add(block.as_ref());
            if block.len() as u64 == length {
                return Ok((digesting.end(), Some(block.into_bytes())));
            }
            offset += block.len() as u64;
        }
        Ok((digesting.end(), None))
    }

    /// As much of `range` as comes in one block.
    fn read_first(&self, range: &Range<u64>) -> Result<Block, Unmet> {
        let mut first = self.stores.blocks.take(length_of(range));
        first.fill(&self.file, range.start, self.wait)?;
        Ok(first)
    }

    fn body(&self, first: Option<Block>, range: Range<u64>) -> io::Result<FileBody> {
        let place = self.place.clone().map_or_else(|| self.stores.place(), Ok)?;
        let (blocks, waits) = (Arc::clone(&self.stores.blocks), Arc::clone(&self.stores.waits));
        let open = Open { file: Arc::clone(&self.file), _place: Some(place) };
        let length = length_of(&range);
        Ok(FileBody::new(open, blocks, waits, first, range.end, length))
    }
}

fn length_of(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

fn slice(content: Bytes, range: Range<u64>) -> Bytes {
    if range == (0..content.len() as u64) {
        return content;
    }
    let position = |offset: u64| usize::try_from(offset).map_or(content.len(), |offset| offset.min(content.len()));
    content.slice(position(range.start).min(position(range.end))..position(range.end))
}
