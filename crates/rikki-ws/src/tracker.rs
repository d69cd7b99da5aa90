//! What a server gives back when a connection is gone.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What lasts as long as a connection, whatever becomes of it: all that serves it holds a clone.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    _held: Option<Arc<dyn Held>>,
}

/// What a server gives back when a connection is gone.
pub trait Held: Any + fmt::Debug + Send + Sync {}

impl Tracker {
    /// What `held` is goes when the last clone does.
    pub fn new(held: impl Held) -> Self {
        Self { _held: Some(Arc::new(held)) }
    }
}
