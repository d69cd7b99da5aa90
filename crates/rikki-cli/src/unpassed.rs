//! No sockets are passed: systemd is Linux's.

use rikki::Server;

use crate::Failure;
use crate::settings::Settings;

pub(crate) struct Passed;

impl Passed {
    pub(crate) fn take() -> Self {
        Self
    }

    #[expect(clippy::unnecessary_wraps, reason = "those that are there may be of the wrong kind")]
    pub(crate) fn give_to(self, server: Server, _: &Settings) -> Result<Server, Failure> {
        Ok(server)
    }
}
