//! `rikki check`: whether the server could start, without a socket.

use std::sync::Arc;

use rikki::admin::Warnings;
use rikki::topics::Topics;
use tracing::Level;

use crate::Failure;
use crate::args::{self, Args};
use crate::serve::Kept;
use crate::settings::Settings;
use crate::{config, print, serve, tell, topics};

/// Says that all is well, or prints the settings.
pub(crate) fn check(args: Args, wants_settings: bool) -> Result<(), Failure> {
    args.origins.warnings.iter().for_each(|line| tell(Level::WARN, line));
    let shown =
        if wants_settings { config::print(&args::command(), &args) } else { "the settings are good\n".to_owned() };
    let settings = Settings::from_args(args)?;
    // Nothing is logged here, and no broker is asked.
    let topics = Topics::new(topics::config(&settings.topics)?);
    let kept = Kept::new(topics, Arc::new(|_| ()), Arc::default(), Warnings::default());
    let faults = serve::faults(&settings, &kept);
    if !faults.is_empty() {
        return Err(Failure::Settings(faults));
    }
    print(&shown);
    Ok(())
}
