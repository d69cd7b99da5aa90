//! Connections opened per second: TCP, upgrade request, answer, reset.
//!
//! They end with a reset, so that neither side keeps ports in TIME_WAIT and the run is not limited by their number.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};
use socket2::SockRef;

use crate::args::Args;
use crate::connection::{head_length, is_accepted, request};
use crate::{Result, meter};

/// A server that accepts nothing for so long is given up.
const STALL_LIMIT: Duration = Duration::from_secs(10);

struct Slot {
    socket: TcpStream,
    asked: bool,
    answer: Vec<u8>,
}

pub(crate) fn run(args: &Args) -> Result<Value> {
    let mut poll = Poll::new().map_err(|error| format!("epoll: {error}"))?;
    let request = request(args);
    let mut slots = (0..args.connections).map(|number| open(args, &poll, number)).collect::<Result<Vec<_>>>()?;
    let mut events = Events::with_capacity(1024);
    let measure_from = Instant::now() + args.warmup;
    let mut window: Option<(Instant, Option<Duration>)> = None;
    let mut opened: u64 = 0;
    let mut last_opened = Instant::now();
    loop {
        let now = Instant::now();
        let cpu = || args.pid.map(meter::cpu_time).transpose();
        match window {
            None if now >= measure_from => {
                window = Some((now, cpu()?));
                opened = 0;
            }
            Some((began, before)) if now >= measure_from + args.duration => {
                let seconds = (now - began).as_secs_f64();
                let spent = cpu()?.zip(before).map(|(after, before)| (after - before).as_secs_f64());
                return Ok(json!({
                    "messages": opened,
                    "seconds": seconds,
                    "per_second": opened as f64 / seconds,
                    "cpu_us": spent.map(|spent| spent * 1e6 / opened as f64),
                    "busy": spent.map(|spent| spent / seconds),
                }));
            }
            _ => {}
        }
        if now - last_opened > STALL_LIMIT {
            return Err("the server has stopped accepting".to_owned());
        }
        match poll.poll(&mut events, Some(Duration::from_millis(50))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => other.map_err(|error| format!("epoll: {error}"))?,
        }
        for event in &events {
            let number = event.token().0;
            let Some(slot) = slots.get_mut(number) else { continue };
            if slot.advance(request.as_bytes())? {
                opened += 1;
                last_opened = now;
                *slot = open(args, &poll, number)?;
            }
        }
    }
}

fn open(args: &Args, poll: &Poll, number: usize) -> Result<Slot> {
    let connecting = |error: std::io::Error| format!("connecting: {error}");
    let mut socket = TcpStream::connect(args.server()).map_err(connecting)?;
    SockRef::from(&socket).set_linger(Some(Duration::ZERO)).map_err(connecting)?;
    poll.registry()
        .register(&mut socket, Token(number), Interest::READABLE | Interest::WRITABLE)
        .map_err(connecting)?;
    Ok(Slot { socket, asked: false, answer: Vec::new() })
}

impl Slot {
    /// Asks when it is connected and reads the answer; true when that is whole.
    fn advance(&mut self, request: &[u8]) -> Result<bool> {
        if !self.asked {
            match self.socket.write(request) {
                Ok(count) if count == request.len() => self.asked = true,
                Ok(_) => return Err("the request did not go out in one piece".to_owned()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
                Err(error) => return Err(format!("connecting: {error}")),
            }
            return Ok(false);
        }
        let mut buffer = [0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => return Err("the server has ended a connection instead of upgrading it".to_owned()),
            Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(format!("receiving: {error}")),
        }
        match head_length(&self.answer) {
            None => Ok(false),
            Some(_) if is_accepted(&self.answer) => Ok(true),
            Some(_) => Err(format!("the server answered {:?}", String::from_utf8_lossy(&self.answer))),
        }
    }
}
