//! A server without the feature `files`, which has no folders.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use rikki_limits::{Budget, Count};

use super::StartError;
use super::memory::Memory;

#[derive(Clone, Debug, Default)]
pub(super) struct Mounts(());

impl Mounts {
    pub(super) fn share(&mut self, _: &Memory, _: &Arc<Count>) {}

    pub(super) fn succeed(&mut self, _: &Self) {}

    #[allow(clippy::unnecessary_wraps, reason = "with folders it can fail")]
    pub(super) fn deny(&mut self, _: &[PathBuf]) -> Result<(), StartError> {
        Ok(())
    }

    pub(super) fn budgets(&self) -> Vec<(String, Arc<Budget>)> {
        Vec::new()
    }

    #[cfg(feature = "admin")]
    pub(super) fn caches(&self) -> Vec<(String, Arc<[Count; 2]>)> {
        Vec::new()
    }

    #[allow(clippy::unnecessary_wraps, reason = "with folders it can fail")]
    pub(super) fn add_to(self, router: Router, _: bool) -> Result<Router, StartError> {
        Ok(router)
    }
}
