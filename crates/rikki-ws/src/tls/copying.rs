//! Which bytes of what is written rustls would copy slowly, since they lie badly for where they go.
//!
//! `memcpy` of glibc copies more than 2 KiB by `rep movsb` where the processor calls that fast. Some of AMD's do, Zen 3
//! among them, and yet take twenty times as long where the destination lies 1 to 31 bytes behind the source within a page
//! of 4 KiB ([glibc bug 30994](https://sourceware.org/bugzilla/show_bug.cgi?id=30994); measured with glibc 2.36). rustls copies into memory of its own, for
//! each record; for a full one mimalloc, which the command has, lets that begin where a page does, and so do blocks of
//! files, payloads that are shared and other large buffers. What lies so is moved away by a short record in front of it.
//! With other allocators this is a guess, which costs a record where it is wrong.

use std::io::IoSlice;

const PAGE: usize = 4096;

/// Where in a page rustls puts the first byte of a record, at the least and at the most: behind a header of 5 bytes, with
/// 8 of a nonce behind that in TLS 1.2, in memory that begins where a page does, or 16 bytes behind that as large blocks
/// of glibc do.
const RECORD: [usize; 2] = [5, 29];

/// How many bytes behind its source a destination is slow at the most.
const SLOW: usize = 31;

/// From how many bytes on a piece is worth a record: those of a full one.
const LARGE: usize = 4 * PAGE;

/// How many more bytes a short record takes: no copy begins as close to another place as that.
const STEP: usize = 64;

/// How many of the bytes are to go in a record of their own, so that those behind them are copied fast; `None` if they
/// are anyhow.
fn apart(pieces: &[IoSlice<'_>]) -> Option<usize> {
    let mut before = 0;
    for piece in pieces {
        let place = piece.as_ptr() as usize;
        if piece.len() >= LARGE && is_slow(place, before) {
            let step = if is_slow(place + STEP, 0) { 2 * STEP } else { STEP };
            return Some(before + step);
        }
        before += piece.len();
    }
    None
}

/// Whether what lies at `place` is copied slowly as what comes behind so many bytes of whole records; those have 16 KiB,
/// which are whole pages.
fn is_slow(place: usize, before: usize) -> bool {
    let [least, most] = RECORD;
    let behind = (before + most).wrapping_sub(place) % PAGE;
    // From 1 byte behind at the later of both places up to 31 at the earlier one.
    (1..=SLOW + most - least).contains(&behind)
}

/// Writes pieces, as much as `write` takes of them, with short records where those help.
#[inline]
pub(super) fn write<E>(
    pieces: &[IoSlice<'_>],
    mut write: impl FnMut(&[IoSlice<'_>]) -> Result<usize, E>,
) -> Result<usize, E> {
    // Most are small, and go as they are.
    if pieces.iter().all(|piece| piece.len() < LARGE) { write(pieces) } else { write_large(pieces, write) }
}

#[inline(never)]
fn write_large<E>(
    pieces: &[IoSlice<'_>],
    mut write: impl FnMut(&[IoSlice<'_>]) -> Result<usize, E>,
) -> Result<usize, E> {
    let Some(mut first) = apart(pieces) else { return write(pieces) };
    let mut all = pieces.to_vec();
    let (mut left, mut written) = (&mut all[..], 0);
    loop {
        let taken = write(&up_to(left, first))?;
        written += taken;
        if taken < first {
            return Ok(written);
        }
        IoSlice::advance_slices(&mut left, taken);
        match apart(left) {
            Some(next) => first = next,
            None => return Ok(written + write(left)?),
        }
    }
}

/// The first `length` bytes of the pieces.
fn up_to<'p>(pieces: &'p [IoSlice<'_>], length: usize) -> Vec<IoSlice<'p>> {
    let mut left = length;
    let cut = |piece: &'p IoSlice<'_>| {
        let part = piece.get(..left.min(piece.len())).unwrap_or_default();
        left -= part.len();
        (!part.is_empty()).then(|| IoSlice::new(part))
    };
    pieces.iter().filter_map(cut).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory with room for two places in a page and what follows, and where a page begins in it.
    fn memory() -> (Vec<u8>, usize) {
        let memory: Vec<u8> = (0..32 * PAGE).map(|at| (at ^ (at >> 8)) as u8).collect();
        let start = memory.as_ptr().align_offset(PAGE);
        (memory, start)
    }

    #[test]
    fn what_lies_badly_is_moved_away() {
        let (memory, start) = memory();
        let check = |before: usize, at: usize, length: usize, expected: Option<usize>| {
            let pieces = [IoSlice::new(&memory[..before]), IoSlice::new(&memory[start + PAGE + at..][..length])];
            assert_eq!(apart(&pieces), expected, "{length} bytes at {at} behind {before}");
        };
        // Where a page begins: as the whole, behind the header of a frame, and where it is the rest of a larger one.
        check(0, 0, LARGE, Some(STEP));
        check(4, 0, LARGE, Some(4 + STEP));
        check(10, 0, 9 * PAGE, Some(10 + STEP));
        check(0, 28, LARGE, Some(STEP));
        check(0, PAGE - 26, LARGE, Some(STEP));
        check(0, 29, LARGE, None);
        check(0, PAGE - 27, LARGE, None);
        check(0, STEP, LARGE, None);
        // As far behind another place as what goes before it.
        check(300, 300, LARGE, Some(300 + STEP));
        check(300, 0, LARGE, None);
        check(300, STEP, LARGE, None);
        // The short record would move it to another bad place.
        check(PAGE - STEP, PAGE - STEP, LARGE, Some(PAGE + STEP));
        check(0, 0, LARGE - 1, None);
    }

    /// Whatever lies where, everything goes in its order, nothing large is copied slowly, and what is not taken is left.
    #[test]
    fn all_goes_in_its_order() {
        let (memory, start) = memory();
        for at in (0..PAGE).step_by(7).chain(0..64) {
            for most in [usize::MAX, 8 * PAGE, 40] {
                let large = [&memory[start + at..][..5 * PAGE], &memory[start..][..9 * PAGE]];
                let pieces = [&[][..], &memory[..4], &[], large[0], &memory[..10], &[], large[1], &[]];
                let sent = pieces.concat();
                let slices = pieces.map(IoSlice::new);
                let (mut taken, mut room) = (Vec::new(), most);
                let written = write(&slices, |some| {
                    assert!(
                        apart(some).is_none_or(|first| some.iter().map(|piece| piece.len()).sum::<usize>() <= first)
                    );
                    let all = some.iter().flat_map(|piece| piece.iter().copied());
                    let before = taken.len();
                    taken.extend(all.take(room));
                    room -= taken.len() - before;
                    Ok::<_, ()>(taken.len() - before)
                });
                assert_eq!(written, Ok(sent.len().min(most)), "at {at}");
                assert!(sent.starts_with(&taken) && taken.len() == sent.len().min(most), "at {at}");
            }
        }
    }
}
