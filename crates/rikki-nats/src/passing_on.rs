//! Messages that are passed on and not kept: each process has a history of its own.

use std::sync::Arc;

use rikki_topics::{Epoch, WeakInlet};

use crate::follow::Followed;
use crate::link::{Link, random};
use crate::requests::{next_of, subscribe};
use crate::wire;

/// Brings what others publish, until nobody here uses the topic.
pub(crate) async fn follow(link: Arc<Link>, followed: Arc<Followed>, name: String) {
    tokio::select! {
        () = followed.end.notified() => {}
        _ = run(&link, &followed.inlet, &name) => {}
    }
}

async fn run(link: &Arc<Link>, inlet: &WeakInlet, name: &str) -> Option<()> {
    let mut history = link.history.subscribe();
    history.wait_for(|history| history.epoch.is_some()).await.ok()?;
    let mut messages = subscribe(&link.connected.get()?.client, link.names.passed_on(name)).await;
    history.mark_unchanged();
    loop {
        tokio::select! {
            message = next_of(&mut messages) => {
                // What there is no room for is counted as refused by the topic.
                let _ = inlet.upgrade()?.publish(wire::published(&message?));
            }
            changed = history.changed() => {
                changed.ok()?;
                // What others have published meanwhile has not come.
                link.counts.gaps.up();
                inlet.upgrade()?.begin(Epoch(random()), 0, []);
            }
        }
    }
}
