//! The networks of this machine while the server runs.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use rikki::Handle;

use crate::banner::{self, Facts};
use crate::network::Network;
use crate::serve::{Kept, code, tell};

/// How often this machine's networks are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Goes by the networks of this machine as they are, as long as it is nobody else that is answered: a computer that is
/// carried elsewhere has other addresses.
pub(crate) async fn follow(handle: Handle, mut network: Network, kept: Arc<Kept>) -> Infallible {
    let mut in_force = kept.in_force();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        // Nobody looks where everybody is answered.
        let on_lan = in_force.wait_for(|settings| settings.as_ref().is_some_and(|settings| settings.lan)).await;
        let Some(settings) = on_lan.ok().and_then(|settings| settings.clone()) else { continue };
        let (again, asked, before) = (kept.clone(), settings.clone(), network.clone());
        let fingerprint = kept.fingerprint();
        // It may write a certificate.
        let looked = tokio::task::spawn_blocking(move || {
            let now = Network::now().ok().filter(|now| *now != before)?;
            Some((now, again.server(asked).map_err(|failure| failure.lines().1.join("; "))))
        });
        let Ok(looked) = looked.await else { return std::future::pending().await };
        // Settings that came meanwhile are not to be undone: it looks again.
        let are_in_force = || in_force.borrow().as_ref().is_some_and(|now| Arc::ptr_eq(now, &settings));
        let Some((now, server)) = looked.filter(|_| are_in_force()) else { continue };
        let before = std::mem::replace(&mut network, now);
        let addresses: Vec<_> = network.reachable().map(|address| address.ip.to_string()).collect();
        let addresses = addresses.join(" ");
        let reloaded = match server {
            Ok(server) => handle.reload(server).await.map(drop).map_err(|error| error.to_string()),
            Err(why) => Err(why),
        };
        if let Err(why) = reloaded {
            tracing::error!(target: "rikki::settings", addresses, "in other networks now: {why}");
            continue;
        }
        let another = kept.fingerprint().filter(|another| Some(another) != fingerprint.as_ref());
        // Where containers come and go, so do addresses that nobody types.
        if another.is_none() && network.reachable().eq(before.reachable()) {
            continue;
        }
        tracing::info!(target: "rikki::settings", addresses, "this computer is in other networks now");
        let bound = handle.bound();
        let facts = Facts { bound, network: &network, fingerprint: another.as_deref(), code: code() };
        // Without a thread for it, the log has said it.
        let _ = tell(banner::others(&facts, &settings));
    }
}
