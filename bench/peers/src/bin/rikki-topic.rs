//! rikki, from one to all through a topic: each connection is subscribed to it, and publishes what it is sent.

use peers::Result;
use rikki::Server;
use rikki::topics::{Subscribe as _, TopicConfig, Topics, TopicsConfig};
use rikki::ws::{CloseCode, Handler, Message, Opening, Socket};

/// What everybody who connects hears.
const TOPIC: &str = "all";

struct Room(Topics);

impl Handler for Room {
    type State = ();

    fn open(&self, socket: &mut Socket<'_>, _: &Opening) {
        if socket.subscribe(&self.0, TOPIC).is_err() {
            let _ = socket.close(CloseCode::INTERNAL_ERROR, "not subscribed");
        }
    }

    fn message(&self, (): &mut (), socket: &mut Socket<'_>, message: Message<'_>) {
        if self.0.publish(TOPIC, message.into_owned()).detach().is_err() {
            let _ = socket.close(CloseCode::INTERNAL_ERROR, "not published");
        }
    }
}

fn main() -> Result<()> {
    // Nobody asks for what was before.
    let topics = Topics::new(TopicsConfig::default().others(TopicConfig::default().history(0)));
    peers::run_rikki(Server::new().topics(&topics).websocket("/websocket", Room(topics.clone())))
}
