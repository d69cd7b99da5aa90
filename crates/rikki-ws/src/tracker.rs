//! What a server gives back when a connection is gone.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// What lasts as long as a connection, whatever becomes of it: all that serves it holds a clone.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    _tracked: Option<Arc<dyn Tracked>>,
}

/// What a server gives back when a connection is gone.
pub trait Tracked: Any + fmt::Debug + Send + Sync {}

impl Tracker {
    /// What `tracked` is goes when the last clone does.
    pub fn new(tracked: impl Tracked) -> Self {
        Self { _tracked: Some(Arc::new(tracked)) }
    }
}
