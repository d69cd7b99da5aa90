//! Clients that vanish.

use std::time::Duration;

use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, ECHO};
use crate::server::{Server, within};

pub(crate) const CASES: &[Case] = &[Case { name: "resets", run: resets }];

/// RST from half of the clients: what they held is given back.
fn resets(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--log", "warn"])?;
    let before = server.descriptors()?;
    let half = bench.pick(2500, 250);
    bench.runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..2 * half {
            clients.push(Client::connect(server.address, ECHO).await?);
        }
        for gone in clients.drain(..half) {
            gone.reset()?;
        }
        let back = within(Duration::from_secs(10), || Ok(server.descriptors()? <= before + half))?;
        let back = back.ok_or_else(|| format!("{:?} descriptors left after 10 s", server.descriptors()))?;
        for client in &mut clients {
            client.echo("still there").await?;
        }
        Ok(format!("descriptors of {half} back after {back:.1?}"))
    })
}
