//! Whether the file beside another one, such as `app.js.br`, is that one in a coding.
//!
//! Its name and time alone say little: `dump.sql.gz` may be the dump of another day, or no gzip at all. Clients would
//! take it for `dump.sql` all the same. So it is looked at once in each state of the two files, where that may wait.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use brotli::Decompressor;
use zstd::zstd_safe::get_frame_content_size;

use super::absences::Absences;
use super::encoding::Coding;
use super::facts::Facts;
use super::source::Source;
use super::wait::{Unmet, Wait};

/// How many pairs are remembered: about 1 MiB of them.
const REMEMBERED: usize = 4096;

/// How much is decoded and compared at most, in bytes, where no length is recorded.
const DECODED: u64 = 1024 * 1024;

/// The largest window that clients have to have for zstd, in bytes: <https://www.rfc-editor.org/rfc/rfc9659#section-3>.
const ZSTD_WINDOW: u64 = 8 * 1024 * 1024;

/// What has been found out of such files.
#[derive(Default)]
pub(super) struct Siblings {
    pub(super) absences: Absences,
    /// By the hash of the facts of the coded file.
    known: Mutex<HashMap<u64, Known>>,
    /// One is looked at at a time: decoding takes memory. Nobody waits for it, since it reads from a disk.
    looking: Mutex<()>,
}

impl fmt::Debug for Siblings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Siblings").finish_non_exhaustive()
    }
}

/// What is known of two files in this state.
struct Known {
    plain: Facts,
    coded: Facts,
    fits: bool,
}

impl Siblings {
    /// Whether `coded` is `plain` in this coding. It is not, for once, while another one is looked at.
    ///
    /// # Errors
    ///
    /// When they cannot be read; [`Unmet::WouldWait`] when they have to be looked at and that may not wait.
    pub(super) fn fit(&self, plain: &Source, coded: &Source, coding: Coding, wait: Wait) -> Result<bool, Unmet> {
        if let Some(fits) = self.known(plain, coded) {
            return Ok(fits);
        }
        if wait == Wait::No {
            return Err(Unmet::WouldWait);
        }
        let looking = match self.looking.try_lock() {
            Ok(looking) => looking,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(false),
        };
        if let Some(fits) = self.known(plain, coded) {
            return Ok(fits);
        }
        let fits = match coding {
            Coding::Brotli => is_brotli(plain, coded)?,
            Coding::Zstd => is_zstd(plain, coded)?,
            Coding::Gzip => is_gzip(plain, coded)?,
        };
        drop(looking);
        self.remember(Known { plain: *plain.facts(), coded: *coded.facts(), fits });
        Ok(fits)
    }

    fn known(&self, plain: &Source, coded: &Source) -> Option<bool> {
        let known = lock(&self.known);
        let known = known.get(&coded.facts().hash())?;
        (known.plain == *plain.facts() && known.coded == *coded.facts()).then_some(known.fits)
    }

    fn remember(&self, known: Known) {
        // One that has just changed may change again without showing it.
        if !known.plain.are_settled() || !known.coded.are_settled() {
            return;
        }
        let mut all = lock(&self.known);
        if all.len() >= REMEMBERED {
            // Looking again costs less than keeping an order.
            all.clear();
        }
        all.insert(known.coded.hash(), known);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// By the magic in front and the length at the end: <https://www.rfc-editor.org/rfc/rfc1952#section-2.3.1>.
fn is_gzip(plain: &Source, coded: &Source) -> io::Result<bool> {
    /// A head and a tail with nothing in between.
    const SHORTEST: u64 = 18;
    let length = coded.facts().length;
    if length < SHORTEST {
        return Ok(false);
    }
    let (mut head, mut tail) = ([0; 3], [0; 4]);
    read_exact(coded, &mut head, 0)?;
    read_exact(coded, &mut tail, length - 4)?;
    // The length of the last member, by 2^32: of several members in a row none has that of the file.
    Ok(head == [0x1f, 0x8b, 8] && u32::from_le_bytes(tail) == plain.facts().length as u32)
}

/// By the frame's head, which mostly has the length: <https://www.rfc-editor.org/rfc/rfc8878#section-3.1.1>.
fn is_zstd(plain: &Source, coded: &Source) -> io::Result<bool> {
    /// The longest head of a frame.
    const HEAD: u64 = 18;
    let mut head = [0; HEAD as usize];
    let head = head.get_mut(..HEAD.min(coded.facts().length) as usize).unwrap_or_default();
    read_exact(coded, head, 0)?;
    let &[0x28, 0xb5, 0x2f, 0xfd, descriptor, window, ..] = &*head else { return Ok(false) };
    let length = plain.facts().length;
    let is_single_segment = descriptor & 0x20 != 0;
    let base = 1_u64 << (10 + (window >> 3));
    let window = if is_single_segment { length } else { base + base / 8 * u64::from(window & 7) };
    let has_dictionary = descriptor & 3 != 0;
    if window > ZSTD_WINDOW || has_dictionary {
        return Ok(false);
    }
    match get_frame_content_size(head) {
        Ok(Some(recorded)) => Ok(recorded == length),
        Ok(None) => begins_like(plain, zstd::Decoder::new(Reader::new(coded))?),
        Err(_) => Ok(false),
    }
}

/// By decoding, since it has neither magic nor length.
fn is_brotli(plain: &Source, coded: &Source) -> io::Result<bool> {
    let mut first = [0];
    if coded.facts().length == 0 {
        return Ok(false);
    }
    read_exact(coded, &mut first, 0)?;
    // A window that no client has: https://www.rfc-editor.org/rfc/rfc7932#section-9.1
    if first[0] & 0x7f == 0x11 {
        return Ok(false);
    }
    begins_like(plain, Decompressor::new(Reader::new(coded), 4096))
}

/// Whether what is `decoded` is the content of `plain`, as far as it is looked at.
fn begins_like(plain: &Source, mut decoded: impl Read) -> io::Result<bool> {
    let length = plain.facts().length;
    let (mut one, mut other) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut offset = 0;
    while offset < DECODED {
        // What cannot be decoded is something else.
        let Ok(read) = decoded.read(&mut one) else { return Ok(false) };
        if read == 0 {
            return Ok(offset == length);
        }
        let (Some(one), Some(other)) = (one.get(..read), other.get_mut(..read)) else { return Ok(false) };
        if offset + read as u64 > length {
            return Ok(false);
        }
        read_exact(plain, other, offset)?;
        if one != other {
            return Ok(false);
        }
        offset += read as u64;
    }
    Ok(true)
}

fn read_exact(source: &Source, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    match source.read_at(buffer, offset, Wait::Yes).map_err(Unmet::into_error)? {
        read if read == buffer.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Reads a file from its beginning.
struct Reader<'a> {
    source: &'a Source,
    offset: u64,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source) -> Self {
        Self { source, offset: 0 }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read_at(buffer, self.offset, Wait::Yes).map_err(Unmet::into_error)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use http::Request;
    use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
    use tokio::time::timeout;

    use super::*;
    use crate::Files;

    #[test]
    fn nobody_waits_for_the_look_at_another_file() {
        let root = std::env::temp_dir().join(format!("rikki-siblings-{}", std::process::id()));
        fs::create_dir_all(&root).unwrap();
        let coded = zstd::bulk::compress(b"content", 1).unwrap();
        for (name, content) in [("a.txt", b"content".as_slice()), ("a.txt.zst", &coded)] {
            fs::write(root.join(name), content).unwrap();
        }
        let files = Files::new(&root).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let coding = || {
            let request = Request::get("/a.txt").header(ACCEPT_ENCODING, "zstd").body(()).unwrap();
            let answer =
                runtime.block_on(async { timeout(Duration::from_secs(5), files.clone().respond(request)).await });
            answer.unwrap().headers().get(CONTENT_ENCODING).map(|coding| coding.to_str().unwrap().to_owned())
        };
        let looking = lock(&files.shared.siblings.as_ref().unwrap().looking);
        assert_eq!(coding(), None);
        drop(looking);
        assert_eq!(coding().as_deref(), Some("zstd"), "nothing is remembered");
        fs::remove_dir_all(root).unwrap();
    }
}
