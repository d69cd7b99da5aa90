//! How messages are compressed.

use clap::ValueEnum;

use super::given::{Given, OfCompression};

pub(super) const HEADING: &str = "Compression";

/// How messages are compressed; the levels are those of zlib.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct Deflate {
    /// How messages are compressed for clients that offer it: shared, each by itself and with no memory for who is idle;
    /// dedicated, with references to earlier ones and about 330 KiB a connection; or off
    #[arg(long, value_name = "MODE", default_value = "shared", hide_possible_values = true)]
    pub(crate) compression: CompressionMode,
    /// Effort of compressing messages, from 1 (fastest) to 9 (smallest)
    #[arg(
        long = "deflate-level", value_name = "N", default_value = "1",
        value_parser = clap::value_parser!(u8).range(1..=9)
    )]
    pub(crate) level: u8,
    /// Window of 2^N bytes in which compressing finds repetitions, 9 to 15
    #[arg(
        long = "deflate-window", value_name = "N", default_value = "15",
        value_parser = clap::value_parser!(u8).range(9..=15)
    )]
    pub(crate) window: u8,
    /// Memory of a compressor of messages beside its window, 1 to 9: 14 KiB at 5, twice as much with each step
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
