//! How messages are compressed.

use clap::ValueEnum;

use super::given::{Given, OfCompression};

pub(super) const HEADING: &str = "Compression";

/// How messages are compressed; the levels are those of zlib.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Deflate {
    /// shared, dedicated or off
    #[arg(long, value_name = "MODE", default_value = "shared", hide_possible_values = true)]
    pub(crate) compression: CompressionMode,
    /// Effort, from 1 (fastest) to 9
    #[arg(
        long = "deflate-level", value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u8).range(1..=9)
    )]
    pub(crate) level: u8,
    /// Window of 2^N bytes, 9 to 15
    #[arg(
        long = "deflate-window", value_name = "N", default_value = "15",
        value_parser = clap::value_parser!(u8).range(9..=15)
    )]
    pub(crate) window: u8,
    /// Memory of a compressor, 1 to 9
    #[arg(
        long = "deflate-memory-level", value_name = "N", default_value = "5",
        value_parser = clap::value_parser!(u8).range(1..=9)
    )]
    pub(crate) memory_level: u8,
    #[command(flatten)]
    pub(crate) limits: Given<OfCompression>,
}

/// What the compression of a message may refer to: itself, the messages before it too, or nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub(crate) enum CompressionMode {
    Shared,
    Dedicated,
    Off,
}
