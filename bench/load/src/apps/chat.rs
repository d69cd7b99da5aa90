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

/// In front of the time at which a message was sent, of who in the room has sent it, and of its number among theirs.
const TIME: &[u8] = b"~t";
const SPEAKER: &[u8] = b"~s";
const NUMBER: &[u8] = b"~n";

struct Chat {
    began: Instant,
    rooms: Vec<Room>,
    /// The number of the next message that each connection gets of each in its room.
    next: Vec<Vec<u64>>,
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
    let next = vec![vec![0; people]; args.connections];
    listen(args, listeners, &mut Chat { began: Instant::now(), rooms, next, size: args.size })
}

impl Room {
    /// Whether there has been such a message, and it is not of somebody who was here before.
    fn has_sent(&self, speaker: Option<u64>, number: u64) -> bool {
        speaker.is_some_and(|speaker| number.saturating_mul(self.people as u64).saturating_add(speaker) < self.sent)
    }
}

impl Application for Chat {
    fn take(&mut self, number: usize, text: &[u8]) -> Result<Option<Duration>> {
        // Who has come is told too.
        let Some(sent) = number_behind(text, TIME) else { return Ok(None) };
        let rooms = self.rooms.len();
        let room = self.rooms.get_mut(number % rooms).ok_or("a room that is not there")?;
        let (speaker, got) = (number_behind(text, SPEAKER), number_behind(text, NUMBER));
        let expected = speaker.and_then(|speaker| self.next.get_mut(number)?.get_mut(speaker as usize));
        match expected.zip(got).filter(|(expected, got)| **expected == *got && room.has_sent(speaker, *got)) {
            Some((expected, _)) => *expected += 1,
            None => return Err(format!("not what was to come next: {}", text.escape_ascii())),
        }
        room.free += room.fan_out.deliver(number / rooms, 1);
        Ok(Some(self.began.elapsed().saturating_sub(Duration::from_nanos(sent))))
    }

    fn speak(&mut self, listeners: &mut [Listener]) -> Result<()> {
        let rooms = self.rooms.len();
        for (index, room) in self.rooms.iter_mut().enumerate() {
            while room.free > 0 {
                let (speaker, number) = (room.sent as usize % room.people, room.sent as usize / room.people);
                let mut text = format!("~t{}~s{speaker}~n{number} ", self.began.elapsed().as_nanos());
                // Quotes, so that there is something to escape.
                text.extend("he said \"yes\" and went ".chars().cycle().take(self.size.saturating_sub(text.len())));
                room.fan_out.push();
                (room.sent, room.free) = (room.sent + 1, room.free - 1);
                let connection = listeners.get_mut(speaker * rooms + index);
                connection.ok_or("a connection that is not there")?.send(&text)?;
            }
        }
        Ok(())
    }
}
