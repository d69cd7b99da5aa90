//! Topics without sockets: what every broker holds to, policies, presence, bounds, threads and runtimes.

#[path = "../contract/mod.rs"]
mod contract;

mod bounds;
mod brokers;
mod checker;
mod keys;
mod policies;
mod presence;
mod quiet;
mod reconfigure;
mod reconfigure_random;
mod runtimes;

use rikki_topics::{Subscription, Update};

/// Everything that is there now, in a line.
fn all(subscription: &mut Subscription) -> String {
    let mut said = Vec::new();
    while let Some(update) = subscription.try_next() {
        said.push(match update {
            Update::Joined(joined) => match joined.recovered {
                Some(recovered) => format!("recovered={recovered}"),
                None => "joined".to_owned(),
            },
            Update::Message(message) => message.message.as_text().unwrap_or("binary").to_owned(),
            Update::Gap(Some(missed)) => format!("gap({missed})"),
            Update::Gap(None) => "gap".to_owned(),
            Update::Presence(change) => {
                let names = |members: &[std::sync::Arc<rikki_topics::Member>]| {
                    members.iter().map(|member| member.identity.user.clone()).collect::<Vec<_>>().join(",")
                };
                let complete = if change.is_complete { " all" } else { "" };
                format!("presence({} +{} -{}{complete})", change.count, names(&change.joined), names(&change.left))
            }
            other => format!("{other:?}"),
        });
    }
    if subscription.has_ended() {
        said.push("end".to_owned());
    }
    said.join(" ")
}
