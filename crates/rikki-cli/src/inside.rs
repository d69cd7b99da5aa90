//! A look inside the server, on a listener of its own: `--admin`.

use std::sync::Arc;

use rikki::admin::{Admin, Commands};
use rikki::{Handle, Monitor, Server, StartError};

use crate::Failure;
use crate::args::log_filter;
use crate::reload;
use crate::serve::Kept;
use crate::settings::Settings;

/// What is there to look with, and where.
pub(crate) struct Inside {
    admin: Admin,
    /// Drains when it is dropped, behind the server.
    listener: Handle,
}

/// The server that looks inside, if one is asked for.
fn server(url: &str, settings: &Settings, monitor: &Monitor, kept: &Kept) -> Result<(Admin, Server), StartError> {
    let admin = Admin::with_warnings(monitor, kept.warnings());
    admin.allow_hosts(&settings.allow_hosts);
    let server = admin.server(url)?;
    Ok((admin, server))
}

/// Why there cannot be one, as far as that can be told without a socket.
pub(crate) fn fault(settings: &Settings, kept: &Kept) -> Option<Failure> {
    let url = settings.admin.as_deref()?;
    let checked = server(url, settings, &Server::new().monitor(), kept).and_then(|(_, server)| server.check());
    checked.err().map(named)
}

impl Inside {
    /// Lets people look from now on, before the server that they look into has started.
    pub(crate) async fn start(settings: &Settings, monitor: &Monitor, kept: &Kept) -> Result<Option<Self>, Failure> {
        let Some(url) = settings.admin.as_deref() else {
            kept.is_looked_at(None, None);
            return Ok(None);
        };
        let (admin, server) = server(url, settings, monitor, kept).map_err(named)?;
        let listener = server.start().await.map_err(named)?;
        kept.is_looked_at(Some(url.to_owned()), Some(admin.clone()));
        Ok(Some(Self { admin, listener }))
    }

    /// Takes commands for the server, which has started.
    pub(crate) fn command(&self, server: &Handle, kept: &Arc<Kept>) {
        let (reloading, filtering, server) = (kept.clone(), kept.clone(), server.clone());
        let commands = Commands::new(&server);
        let commands = commands.reload(move || reload::by_command(&server, &reloading));
        self.admin.command(commands.log_filter(move |filter| {
            log_filter(filter)?;
            filtering.set_log(filter);
            Ok(())
        }));
    }

    /// Where it is, for people.
    pub(crate) fn places(&self) -> impl Iterator<Item = String> {
        let place = |bound: &rikki::Bound| match bound.path() {
            Some(path) => format!("unix:{}", path.display()),
            None => format!("http://{bound}/"),
        };
        self.listener.bound().iter().map(place)
    }

    /// Ends behind the server.
    pub(crate) async fn end(self) {
        self.listener.shutdown().await;
    }
}

fn named(error: StartError) -> Failure {
    match Failure::from(error) {
        Failure::Usage(crate::args::UsageError(why)) => {
            Failure::Usage(crate::args::UsageError(format!("--admin: {why}")))
        }
        Failure::Runtime(why) => Failure::Runtime(format!("--admin: {why}")),
        other => other,
    }
}
