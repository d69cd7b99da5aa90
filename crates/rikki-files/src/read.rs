//! Reading a file at an offset, with and without waiting for the disk.

use std::fs::File;
use std::io;

use super::wait::{Unmet, Wait};

/// Reads at `offset`, without moving the position of the file. Less than the whole buffer is read at the end of the
/// file, or if the rest would have to be waited for and `wait` forbids it.
///
/// # Errors
///
/// [`Unmet::WouldWait`] if nothing can be read without waiting, [`Unmet::MayWait`] if that cannot be told for this
/// file.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64, wait: Wait) -> Result<usize, Unmet> {
    match wait {
        Wait::No => read_now(file, buffer, offset),
        Wait::Yes => Ok(read_waiting(file, buffer, offset)?),
    }
}

/// Whether the first and the last of `length` bytes at `offset` can be read without waiting.
///
/// # Errors
///
/// As [`read_at`]'s, and [`Unmet::WouldWait`] where the file ends before.
pub(super) fn is_at_hand(file: &File, offset: u64, length: usize) -> Result<(), Unmet> {
    let last = offset.saturating_add((length as u64).saturating_sub(1));
    for offset in [offset, last] {
        if read_now(file, &mut [0], offset)? == 0 {
            return Err(Unmet::WouldWait);
        }
    }
    Ok(())
}

fn read_waiting(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match read_some(file, rest, offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(unix)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_some(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

/// What is in the page cache.
#[cfg(target_os = "linux")]
fn read_now(file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Unmet> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2, retry_on_intr};
    let read = retry_on_intr(|| preadv2(file, &mut [io::IoSliceMut::new(buffer)], offset, ReadWriteFlags::NOWAIT));
    read.map_err(|errno| match errno {
        // Of the file system (tmpfs has it so), or of kernels before 4.14.
        Errno::OPNOTSUPP | Errno::NOSYS => Unmet::MayWait,
        Errno::AGAIN => Unmet::WouldWait,
        errno => Unmet::Failed(errno.into()),
    })
}

#[cfg(not(target_os = "linux"))]
fn read_now(_: &File, _: &mut [u8], _: u64) -> Result<usize, Unmet> {
    Err(Unmet::MayWait)
}
