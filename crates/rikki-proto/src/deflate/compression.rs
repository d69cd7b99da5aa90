//! What a compressor is made with: its window, its memory and its effort, checked once.

use std::fmt;

/// The window that DEFLATE has unless something smaller is agreed on: 2^15 bytes.
pub(super) const MAX_WINDOW_BITS: u8 = 15;

/// The smallest window that zlib compresses with. It knows 8 too, but takes 9 for it.
pub(super) const MIN_WINDOW_BITS: u8 = 9;

/// How a compressor trades memory and time for size.
///
/// ```
/// use rikki_proto::deflate::Compression;
///
/// let small = Compression::default().window_bits(10)?.memory_level(1)?;
/// assert!(small.memory() < Compression::default().memory());
/// assert_eq!(
///     Compression::default().window_bits(8).unwrap_err().to_string(),
///     "window bits must be from 9 to 15, not 8",
/// );
/// # Ok::<(), rikki_proto::deflate::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(try_from = "Unchecked"))]
#[must_use]
pub struct Compression {
    pub(super) window_bits: u8,
    pub(super) memory_level: u8,
    pub(super) level: u8,
}

impl Default for Compression {
    fn default() -> Self {
        Self { window_bits: MAX_WINDOW_BITS, memory_level: 5, level: 1 }
    }
}

/// A configuration of compression as it is read, and not checked yet.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Unchecked {
    window_bits: u8,
    memory_level: u8,
    level: u8,
}

#[cfg(feature = "serde")]
impl Default for Unchecked {
    fn default() -> Self {
        let Compression { window_bits, memory_level, level } = Compression::default();
        Self { window_bits, memory_level, level }
    }
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for Compression {
    type Error = OutOfRange;

    fn try_from(unchecked: Unchecked) -> Result<Self, OutOfRange> {
        let Unchecked { window_bits, memory_level, level } = unchecked;
        Self::default().window_bits(window_bits)?.memory_level(memory_level)?.level(level)
    }
}

impl Compression {
    /// The largest distance at which repetitions are found, as a power of two: 9 to 15 for 512 bytes to 32 KiB, default
    /// 15. A compressor takes four times the window of memory; the peer needs the window to decompress.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], naming the range.
    pub fn window_bits(self, bits: u8) -> Result<Self, OutOfRange> {
        let window_bits = in_range("window bits", bits, MIN_WINDOW_BITS, MAX_WINDOW_BITS)?;
        Ok(Self { window_bits, ..self })
    }

    /// How much is gathered before it is encoded: 1 to 9, default 5. A compressor takes 448 bytes times two to the
    /// power of the level, 14 KiB by default. More makes large messages a little smaller and small ones slower.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], naming the range.
    pub fn memory_level(self, level: u8) -> Result<Self, OutOfRange> {
        Ok(Self { memory_level: in_range("memory level", level, 1, 9)?, ..self })
    }

    /// The effort, 1 for the fastest to 9 for the smallest; default 1.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], naming the range.
    pub fn level(self, level: u8) -> Result<Self, OutOfRange> {
        Ok(Self { level: in_range("level", level, 1, 9)?, ..self })
    }

    /// Makes the window no larger than what was agreed on for this end in [`Agreed`](super::Agreed).
    pub fn limited_to(self, window_bits: u8) -> Self {
        // An agreed 8, which only a server may ask of a client, is kept with 9: zlib leaves the oldest 262 bytes of its
        // window alone, so with 9 no distance is above 250, which is within the 256 bytes of 8.
        Self { window_bits: self.window_bits.min(window_bits.max(MIN_WINDOW_BITS)), ..self }
    }

    /// The window as it is now, as a power of two: 9 to 15.
    #[must_use]
    pub fn window(self) -> u8 {
        self.window_bits
    }

    /// The heap memory of one [`Compressor`](super::Compressor) in bytes.
    #[must_use]
    pub fn memory(self) -> usize {
        // As zlib-rs lays it out: twice the window and a link of two bytes for each place in it; four bytes of output
        // and three of symbols for each place in the symbol buffer; then what depends on nothing, most of it the
        // 128 KiB of its hash table.
        let window = 1 << self.window_bits;
        let symbols = 1 << (self.memory_level + 6);
        4 * window + 7 * symbols + FIXED_MEMORY
    }
}

/// The hash table, the Huffman trees and the rest of a zlib-rs compressor, in bytes; the last part is measured.
const FIXED_MEMORY: usize = 128 * 1024 + 3_200;

/// An option is outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutOfRange {
    /// What was to be set.
    pub option: &'static str,
    /// The value given.
    pub given: u8,
    /// The smallest value there is.
    pub least: u8,
    /// The largest value there is.
    pub most: u8,
}

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be from {} to {}, not {}", self.option, self.least, self.most, self.given)
    }
}

impl std::error::Error for OutOfRange {}

pub(super) fn in_range(option: &'static str, given: u8, least: u8, most: u8) -> Result<u8, OutOfRange> {
    if (least..=most).contains(&given) { Ok(given) } else { Err(OutOfRange { option, given, least, most }) }
}
