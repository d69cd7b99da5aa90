//! Files that are compressed while they are sent.
//!
//! Compressing is work for a processor, up to milliseconds for each block, so it is done on the blocking pool. The body
//! of the plain file is read as it always is, a block ahead.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Error;
use axum::body::Body;
use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use bytes::Bytes;
use http_body::{Body as _, Frame};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinHandle, spawn_blocking};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status};

use super::cache::Cache;
use super::encoding::Coding;
use super::facts::Facts;

/// The content of a file in a coding; how long it becomes is not known before.
///
/// If the plain body fails, because the file was truncated, so does this one.
pub(super) struct Compressed {
    plain: Body,
    state: State,
}

enum State {
    Waiting(Box<Job>),
    Working(JoinHandle<io::Result<(Option<Box<Job>>, Bytes)>>),
    Done,
}

impl Compressed {
    /// Compresses `plain`, which is `length` bytes long if that is known, and keeps the result if it is to be kept. The
    /// permit is given back when the encoder is gone.
    pub(super) fn new(
        plain: Body,
        length: Option<u64>,
        coding: Coding,
        permit: OwnedSemaphorePermit,
        kept: Option<Collected>,
    ) -> Self {
        let job = Job { coding, length, encoder: None, kept, _permit: permit };
        Self { plain, state: State::Waiting(Box::new(job)) }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Done => return Poll::Ready(None),
                State::Waiting(job) => {
                    let Poll::Ready(frame) = Pin::new(&mut self.plain).poll_frame(cx) else {
                        self.state = State::Waiting(job);
                        return Poll::Pending;
                    };
                    let frame = match frame.transpose() {
                        Ok(frame) => frame,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    let last = frame.is_none() || self.plain.is_end_stream();
                    let block = frame.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
                    self.state = State::Working(spawn_blocking(move || job.run(&block, last)));
                }
                State::Working(mut work) => {
                    let Poll::Ready(done) = Pin::new(&mut work).poll(cx) else {
                        self.state = State::Working(work);
                        return Poll::Pending;
                    };
                    let (job, bytes) = match done.unwrap_or_else(|error| Err(error.into())) {
                        Ok(done) => done,
                        Err(error) => return Poll::Ready(Some(Err(Error::new(error)))),
                    };
                    self.state = job.map_or(State::Done, State::Waiting);
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
            }
        }
    }
}

impl http_body::Body for Compressed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Poll::Ready(ready!(self.poll_next(cx)).map(|next| next.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Done)
    }
}

/// What goes to the blocking pool and comes back.
struct Job {
    coding: Coding,
    length: Option<u64>,
    /// Made with the first block.
    encoder: Option<Encoder>,
    /// `None` if there is too much of it.
    kept: Option<Collected>,
    _permit: OwnedSemaphorePermit,
}

impl Job {
    /// Compresses one block. Returns what has come out, and the job if there is more to do.
    fn run(mut self: Box<Self>, block: &[u8], last: bool) -> io::Result<(Option<Box<Self>>, Bytes)> {
        let mut encoder = match self.encoder.take() {
            Some(encoder) => encoder,
            None => Encoder::new(self.coding, self.length)?,
        };
        encoder.write(block)?;
        let (encoder, bytes) = if last {
            (None, encoder.finish()?)
        } else {
            let bytes = encoder.take();
            (Some(encoder), bytes)
        };
        self.encoder = encoder;
        self.kept = self.kept.take().and_then(|kept| kept.append(&bytes));
        if !last {
            return Ok((Some(self), bytes.into()));
        }
        if let Some(kept) = self.kept.take() {
            kept.insert(self.coding);
        }
        Ok((None, bytes.into()))
    }
}

/// What has come out so far, to be kept in the cache when it is complete.
pub(super) struct Collected {
    cache: Arc<Cache>,
    path: PathBuf,
    facts: Facts,
    bytes: Vec<u8>,
}

impl Collected {
    /// For a file at `path` that is as `facts` say.
    pub(super) fn new(cache: &Arc<Cache>, path: &Path, facts: Facts) -> Self {
        Self { cache: Arc::clone(cache), path: path.into(), facts, bytes: Vec::new() }
    }

    /// Nothing is collected that the cache would not take.
    fn append(mut self, bytes: &[u8]) -> Option<Self> {
        let length = self.bytes.len() + bytes.len();
        if !self.cache.may_keep(&self.path, &self.facts, length) {
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        Some(self)
    }

    fn insert(self, coding: Coding) {
        self.cache.insert(&self.path, coding.name(), &self.facts, self.bytes.into());
    }
}

/// An encoder with what has come out of it. Windows are small, since files are sent to many at once: brotli takes up to
/// 10 MiB for it all, and 13 with what an allocator rounds up; zstd 3, and gzip half of one.
enum Encoder {
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::Encoder<'static, Vec<u8>>),
    Gzip(Box<Gzip>),
}

impl Encoder {
    /// With levels in the middle, where zstd and brotli save more than gzip does: higher ones take several times as
    /// long.
    fn new(coding: Coding, length: Option<u64>) -> io::Result<Self> {
        Ok(match coding {
            Coding::Brotli => {
                let size_hint = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
                // With a window of 2^17 or 2^18 bytes, this encoder does worse than gzip.
                let parameters = BrotliEncoderParams { quality: 5, lgwin: 19, size_hint, ..Default::default() };
                Self::Brotli(Box::new(CompressorWriter::with_params(Vec::new(), 4096, &parameters)))
            }
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), 6)?;
                encoder.window_log(18)?;
                // Short files take less memory.
                encoder.set_pledged_src_size(length)?;
                Self::Zstd(encoder)
            }
            Coding::Gzip => Self::Gzip(Box::new(Gzip::new())),
        })
    }

    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        match self {
            Self::Brotli(encoder) => encoder.write_all(block),
            Self::Zstd(encoder) => encoder.write_all(block),
            Self::Gzip(encoder) => encoder.write(block, DeflateFlush::NoFlush),
        }
    }

    /// What has come out since the last time.
    fn take(&mut self) -> Vec<u8> {
        std::mem::take(match self {
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => &mut encoder.out,
        })
    }

    /// Ends the stream and returns the rest of it.
    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(mut encoder) => encoder.write(&[], DeflateFlush::Finish).map(|()| encoder.out),
        }
    }
}

struct Gzip {
    deflate: Deflate,
    out: Vec<u8>,
}

impl Gzip {
    fn new() -> Self {
        // 16 more than the window asks for the head and checksum of gzip.
        let config = DeflateConfig { level: 6, window_bits: 16 + 15, ..DeflateConfig::default() };
        Self { deflate: Deflate::new_with_config(config), out: Vec::new() }
    }

    fn write(&mut self, mut block: &[u8], flush: DeflateFlush) -> io::Result<()> {
        /// The room that is given to zlib at a time, in bytes.
        const ROOM: usize = 16 * 1024;
        loop {
            let start = self.out.len();
            self.out.resize(start + ROOM, 0);
            let (taken_before, written_before) = (self.deflate.total_in(), self.deflate.total_out());
            let space = self.out.get_mut(start..).unwrap_or_default();
            let status = self.deflate.compress(block, space, flush);
            let taken = (self.deflate.total_in() - taken_before) as usize; // at most block.len()
            let written = (self.deflate.total_out() - written_before) as usize; // at most ROOM
            block = block.get(taken..).unwrap_or_default();
            self.out.truncate(start + written);
            match status {
                Ok(Status::Ok) if written == ROOM || !block.is_empty() => {}
                // A buffer error says that there is nothing to do.
                Ok(_) => return Ok(()),
                Err(error) => return Err(io::Error::other(error.as_str())),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::SystemTime;

    use http_body_util::{BodyExt, StreamBody};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::cache::MAX_CONTENT;

    #[test]
    fn collects_only_what_the_cache_takes() {
        let check = |limit, facts, expected| {
            let kept = Collected::new(&Arc::new(Cache::new(limit)), Path::new("a"), facts);
            assert_eq!(kept.append(b"coded").is_some(), expected, "{limit} bytes");
        };
        check(1024 * 1024, facts(), true);
        check(0, facts(), false);
        check(1024 * 1024, Facts { changed: Some(SystemTime::now()), ..facts() }, false);
    }

    /// `count` blocks of `length` bytes each: text, or what cannot be compressed.
    fn blocks(count: usize, length: usize, random: bool) -> Vec<Bytes> {
        let mut state = 1_u32;
        let mut byte = |index: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if random { (state >> 24) as u8 } else { b"all work and no play "[index % 21] }
        };
        (0..count).map(|_| (0..length).map(&mut byte).collect()).collect()
    }

    fn body(blocks: Vec<io::Result<Bytes>>) -> Body {
        Body::new(StreamBody::new(futures_util::stream::iter(blocks.into_iter().map(|block| block.map(Frame::data)))))
    }

    fn decode(coding: Coding, coded: &[u8], length: usize) -> Vec<u8> {
        match coding {
            Coding::Brotli => {
                let mut plain = Vec::new();
                brotli::Decompressor::new(coded, 4096).read_to_end(&mut plain).unwrap();
                plain
            }
            Coding::Zstd => zstd::decode_all(coded).unwrap(),
            Coding::Gzip => {
                let mut plain = vec![0; length + 1];
                let config = zlib_rs::InflateConfig { window_bits: 16 + 15 };
                zlib_rs::decompress_slice(&mut plain, coded, config).0.to_vec()
            }
        }
    }

    /// The facts of a file that has long not changed.
    fn facts() -> Facts {
        Facts { changed: Some(SystemTime::UNIX_EPOCH), ..Facts::default() }
    }

    #[tokio::test]
    async fn what_comes_out_is_what_went_in() {
        for coding in [Coding::Brotli, Coding::Zstd, Coding::Gzip] {
            for (count, length, random) in [
                (0, 0, false),
                (1, 1, false),
                (1, 1024, false),
                (3, 128 * 1024, false),
                (4, 100_000, true),
                (300, 7, true),
            ] {
                let permits = Arc::new(Semaphore::new(1));
                let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
                let mut blocks = blocks(count, length, random);
                // A block without content is not the last one.
                blocks.insert(count / 2, Bytes::new());
                let plain = blocks.concat();
                let content = body(blocks.into_iter().map(Ok).collect());
                let cache = Arc::new(Cache::new(1024 * 1024));
                let kept = Collected::new(&cache, Path::new("a"), facts());
                let compressed = Compressed::new(content, Some(plain.len() as u64), coding, permit, Some(kept));
                let coded = compressed.collect().await.unwrap().to_bytes();
                assert!(decode(coding, &coded, plain.len()) == plain, "{coding:?}: {count} times {length}");
                assert!(random || plain.len() < 1024 || coded.len() < plain.len() / 10, "{coding:?}: {}", coded.len());
                assert_eq!(permits.available_permits(), 1);
                let kept = cache.get(Path::new("a"), coding.name(), &facts());
                assert_eq!(kept, Some(coded).filter(|coded| coded.len() <= MAX_CONTENT));
            }
        }
    }

    #[tokio::test]
    async fn an_error_of_the_plain_body_ends_this_one() {
        for coding in [Coding::Brotli, Coding::Zstd, Coding::Gzip] {
            let permits = Arc::new(Semaphore::new(1));
            let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
            let truncated = io::Error::from(io::ErrorKind::UnexpectedEof);
            let content = blocks(1, 1000, false).into_iter().map(Ok).chain([Err(truncated)]).collect();
            let cache = Arc::new(Cache::new(1024 * 1024));
            let kept = Collected::new(&cache, Path::new("a"), facts());
            let mut compressed = Compressed::new(body(content), Some(2000), coding, permit, Some(kept));
            let end = loop {
                match compressed.frame().await {
                    Some(Ok(_)) => {}
                    end => break end,
                }
            };
            assert!(matches!(end, Some(Err(_))), "{coding:?}");
            assert!(compressed.frame().await.is_none());
            assert_eq!(permits.available_permits(), 1);
            assert_eq!(cache.get(Path::new("a"), coding.name(), &facts()), None);
        }
    }
}
