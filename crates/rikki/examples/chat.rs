//! A chat with rooms: what one says goes to all in the room, and who comes late gets the last messages.
//!
//! ```text
//! cargo run --package rikki --example chat
//! ```
//!
//! Try: connect several clients to `ws://localhost:8000/rooms/kitchen`, and others to another room.

use std::error::Error;
use std::io::{Write as _, stdout};

use rikki::Server;
use rikki::topics::{From, Subscribe, TopicConfig, Topics, TopicsConfig};
use rikki::ws::{CloseCode, Handler, Message, Opening, Socket};

/// The rooms are topics, named by the path.
struct Chat {
    topics: Topics,
}

impl Handler for Chat {
    /// The room that the connection is in.
    type State = String;

    fn open(&self, socket: &mut Socket<'_>, opening: &Opening) -> String {
        let room = opening.uri().path().trim_start_matches('/').to_owned();
        if let Err(error) = socket.subscribe_with(&self.topics, &room, From::Last(20)) {
            let _ = socket.close(CloseCode::TRY_AGAIN_LATER, &error.to_string());
        }
        room
    }

    fn message(&self, room: &mut String, socket: &mut Socket<'_>, message: Message<'_>) {
        if let Err(error) = self.topics.publish(room, message.into_owned()).detach() {
            let _ = socket.send(error.to_string());
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let rooms = TopicConfig::default().history(100);
    let topics = Topics::new(TopicsConfig::default().topic("rooms/*", rooms)?.others(None));
    writeln!(stdout(), "Starting a chat on ws://localhost:8000/rooms/kitchen")?;
    let chat = Chat { topics: topics.clone() };
    Server::new().topics(&topics).websocket("/rooms/{room}", chat).listen("http://localhost:8000").run()?;
    Ok(())
}
