//! No service manager: systemd is Linux's.

use std::fmt;

use super::event_loop::EventLoop;
use super::handle::Bound;
use super::reload::Reload;
use crate::live::Monitor;

#[derive(Debug)]
pub(super) struct Manager;

impl Manager {
    pub(super) fn of_environment(_: &[Bound], _: Monitor, _: Vec<EventLoop>) -> Self {
        Self
    }

    pub(super) fn ready(&self) {}

    pub(super) fn reloading(&self) {}

    pub(super) fn reloaded(&self, _: &Result<Reload, impl fmt::Display>) {}

    pub(super) fn stopping(&self) {}

    #[allow(clippy::unused_async, reason = "one that is there is waited for")]
    pub(super) async fn end(&self) {}
}
