//! A chat with rooms. In each, one after another says something, and the next one does when it has come to everybody.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Application, listen, number_behind};
use crate::Result;
use crate::args::Args;
use crate::listener::Listener;
use crate::talk::FanOut;

/// One of those that the example lets in.
const TOKEN: &str = "ada-7c1f";

/// In front of the time at which a message was sent, and of its number in its room.
const TIME: &[u8] = b"~t";
const NUMBER: &[u8] = b"~n";

struct Chat {
    began: Instant,
    rooms: Vec<Room>,
    /// The number of the next message that each connection gets.
    next: Vec<u64>,
    size: usize,
}

struct Room {
    fan_out: FanOut,
    /// Messages that have been sent, and that may be now.
    sent: u64,
    free: usize,
    people: usize,
}

pub(crate) fn run(args: &Args) -> Result<Value> {
    if !args.connections.is_multiple_of(args.rooms) {
        return Err("there have to be as many in each room".to_owned());
    }
    let people = args.connections / args.rooms;
    let open = |number| Listener::open(args, &format!("/rooms/room%20{}?token={TOKEN}", number % args.rooms));
    let listeners = (0..args.connections).map(open).collect::<Result<Vec<_>>>()?;
    let room = || Room { fan_out: FanOut::new(people), sent: 0, free: args.inflight, people };
    let rooms = std::iter::repeat_with(room).take(args.rooms).collect();
    let next = vec![0; args.connections];
    listen(args, listeners, &mut Chat { began: Instant::now(), rooms, next, size: args.size })
}

impl Application for Chat {
    fn take(&mut self, number: usize, text: &[u8]) -> Result<Option<Duration>> {
        // Who has come is told too.
        let Some(sent) = number_behind(text, TIME) else { return Ok(None) };
        let expected = self.next.get_mut(number).ok_or("a connection that is not there")?;
        let got = number_behind(text, NUMBER);
        if got != Some(*expected) {
            return Err(format!("message {expected} was to come, not {}", text.escape_ascii()));
        }
        *expected += 1;
        let rooms = self.rooms.len();
        let room = self.rooms.get_mut(number % rooms).ok_or("a room that is not there")?;
        room.free += room.fan_out.deliver(number / rooms, 1);
        Ok(Some(self.began.elapsed().saturating_sub(Duration::from_nanos(sent))))
    }

    fn speak(&mut self, listeners: &mut [Listener]) -> Result<()> {
        let rooms = self.rooms.len();
        for (index, room) in self.rooms.iter_mut().enumerate() {
            while room.free > 0 {
                let speaker = listeners.get_mut(room.sent as usize % room.people * rooms + index);
                let mut text = format!("~t{}~n{} ", self.began.elapsed().as_nanos(), room.sent);
                // Quotes, so that there is something to escape.
                text.extend("he said \"yes\" and went ".chars().cycle().take(self.size.saturating_sub(text.len())));
                room.fan_out.push();
                (room.sent, room.free) = (room.sent + 1, room.free - 1);
                speaker.ok_or("a connection that is not there")?.send(&text)?;
            }
        }
        Ok(())
    }
}
