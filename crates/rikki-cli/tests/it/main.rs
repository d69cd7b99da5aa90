//! The command, as its users run it.

mod flags;
mod readme;
