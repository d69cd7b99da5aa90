//! What is seen of the crate from outside.

#![allow(clippy::unwrap_used, clippy::panic, reason = "an expectation of a test that is not met is a panic")]

mod mistakes;
