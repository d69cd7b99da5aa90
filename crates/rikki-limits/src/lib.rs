//! What bounds a server: limits, each written down once, how much may be held together, how often a line is logged, how
//! much of a peer's text is shown, and which setting would let in what is refused.
//!
//! The crates of rikki stand on this; there is no socket, clock or runtime here, and no crate beside the standard
//! library.

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod budget;
mod count;
mod excerpt;
mod hint;
mod limit;
mod seldom;
mod table;
pub mod units;
mod value;

pub use budget::{Budget, Share};
pub use count::Count;
pub use excerpt::Excerpt;
pub use hint::{Hint, Hints};
pub use limit::{BadLimit, Limit};
pub use seldom::{LeftOut, Seldom};
pub use units::{BadNumber, Unit};
pub use value::Value;
