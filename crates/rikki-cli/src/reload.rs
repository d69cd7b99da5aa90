//! Settings that are read again, from where they were read first.

use std::sync::Arc;

use rikki::{Handle, Server};

use crate::args::{self, Request};
use crate::serve::{self, Kept};
use crate::settings::Settings;
use crate::{Failure, descriptors};

/// Goes by the settings as they are now: what of them needs a restart, or why nothing changes.
pub(crate) fn by_command(server: &Handle, kept: &Arc<Kept>) -> Result<Vec<String>, String> {
    let mut needs_restart = server.reload_from(|| read_again(kept))?.needs_restart;
    let now = kept.in_force().borrow().clone();
    needs_restart.extend(now.and_then(|settings| kept.needs_restart(&settings)));
    Ok(needs_restart)
}

/// A server with the settings as they are now, all of them judged; or all that is wrong, in one line.
pub(crate) fn read_again(kept: &Arc<Kept>) -> Result<Server, String> {
    let refused = |failure: Failure| failure.lines().1.join("; ");
    let args = match args::read(std::env::args_os(), std::env::vars_os()).map_err(refused)? {
        Request::Run(args) => *args,
        // The command line is the one with which it began.
        _ => return Err("the command line asks for something else".to_owned()),
    };
    args.origins.warnings.iter().for_each(|line| tracing::warn!(target: "rikki::settings", "{line}"));
    let mut settings = Settings::from_args(args).map_err(|faults| refused(faults.into()))?;
    if let Some(lowered) = descriptors::share_out(&mut settings) {
        tracing::warn!(target: "rikki::settings", "{lowered}");
    }
    #[cfg(feature = "nats")]
    if kept.in_force().borrow().as_ref().is_some_and(|in_force| in_force.broker != settings.broker) {
        tracing::warn!(target: "rikki::settings", "this takes a restart: another --broker, and what belongs to it");
    }
    let faults = serve::faults(&settings, kept);
    if !faults.is_empty() {
        return Err(faults.join("; "));
    }
    kept.server(Arc::new(settings)).map_err(refused)
}
