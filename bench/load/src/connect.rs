//! Connections opened per second: TCP, TLS if asked for, a request, its answer, reset.
//!
//! They end with a reset, so that neither side keeps ports in TIME_WAIT and the run is not limited by their number.

use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};
use serde_json::{Value, json};
use socket2::SockRef;

use crate::args::{Args, Mode};
use crate::connection::{head_length, is_accepted, request};
use crate::pause::{Pause, wait_to_be_counted};
use crate::{Result, meter, tls};

/// A server that accepts nothing for so long is given up.
const STALL_LIMIT: Duration = Duration::from_secs(10);

/// Where one connection after another is opened.
struct Slot {
    socket: TcpStream,
    /// Each slot has sessions of its own: what resumes one came of the connection before it.
    config: Option<Arc<ClientConfig>>,
    tls: Option<Box<ClientConnection>>,
    /// Whether a session is there to be resumed.
    resumes: bool,
    asked: bool,
    answer: Vec<u8>,
}

pub(crate) fn run(args: &Args) -> Result<Value> {
    let mut poll = Poll::new().map_err(|error| format!("epoll: {error}"))?;
    let request = request(args);
    let mut slots = (0..args.connections).map(|number| Slot::new(args, &poll, number)).collect::<Result<Vec<_>>>()?;
    let mut events = Events::with_capacity(1024);
    let measure_from = Instant::now() + args.warmup;
    let mut window: Option<(Instant, Option<Duration>)> = None;
    let mut opened: u64 = 0;
    // Of those that are counted, there is as much again before.
    let mut to_skip = args.messages.filter(|_| args.counted);
    let mut last_opened = Instant::now();
    loop {
        let now = Instant::now();
        let cpu = || args.pid.map(meter::cpu_time).transpose();
        match window {
            None if now >= measure_from => {
                window = Some((now, cpu()?));
                opened = 0;
            }
            Some((began, before)) if to_skip.is_none() && is_over(args, now - measure_from, opened) => {
                if args.counted {
                    wait_to_be_counted(args, "done")?;
                }
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
        if to_skip.is_some_and(|skipped| opened >= skipped) {
            (to_skip, opened, window) = (None, 0, None);
            wait_to_be_counted(args, "ready")?;
            continue;
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
            if slot.advance(args, request.as_bytes())? {
                opened += 1;
                last_opened = now;
                slot.open(args, &poll, number, request.as_bytes())?;
            }
        }
    }
}

/// Whether what was asked for is done, `since` warming up ended.
fn is_over(args: &Args, since: Duration, opened: u64) -> bool {
    args.messages.map_or(since >= args.duration, |many| opened >= many)
}

/// A connection that has just been begun.
fn connect(args: &Args, poll: &Poll, number: usize) -> std::io::Result<TcpStream> {
    let mut socket = TcpStream::connect(args.server())?;
    SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
    poll.registry().register(&mut socket, Token(number), Interest::READABLE | Interest::WRITABLE)?;
    Ok(socket)
}

fn connecting(error: impl std::fmt::Display) -> String {
    format!("connecting: {error}")
}

impl Slot {
    fn new(args: &Args, poll: &Poll, number: usize) -> Result<Self> {
        let config = if args.tls { Some(tls::handshakes(args.resume)?) } else { None };
        let socket = connect(args, poll, number).map_err(connecting)?;
        let mut slot = Self { socket, config, tls: None, resumes: false, asked: false, answer: Vec::new() };
        slot.begin_tls()?;
        Ok(slot)
    }

    /// Resets the connection, and begins the next. Where that is counted, the server finds both at once, with what is
    /// first said on the next.
    fn open(&mut self, args: &Args, poll: &Poll, number: usize, request: &[u8]) -> Result<()> {
        let pause = args.pid.filter(|_| args.counted).map(Pause::begin).transpose()?;
        self.socket = connect(args, poll, number).map_err(connecting)?;
        self.asked = false;
        self.answer.clear();
        self.resumes = args.resume;
        self.begin_tls()?;
        if pause.is_some() { self.advance(args, request).map(drop) } else { Ok(()) }
    }

    fn begin_tls(&mut self) -> Result<()> {
        let Some(config) = &self.config else { return Ok(()) };
        let name = ServerName::try_from("localhost").map_err(connecting)?;
        self.tls = Some(Box::new(ClientConnection::new(config.clone(), name).map_err(connecting)?));
        Ok(())
    }

    /// Asks when it is connected and reads the answer; true when that is whole.
    fn advance(&mut self, args: &Args, request: &[u8]) -> Result<bool> {
        let advanced = if self.tls.is_some() { self.advance_tls(request)? } else { self.advance_plain(request)? };
        if !advanced {
            return Ok(false);
        }
        let Some(head) = head_length(&self.answer) else { return Ok(false) };
        let accepted = match args.mode {
            // The body is a few bytes in the same write; that it is not waited for costs the server nothing.
            Mode::Handshake => self.answer.starts_with(format!("HTTP/1.1 {} ", args.status).as_bytes()),
            _ => is_accepted(&self.answer),
        };
        if accepted {
            Ok(true)
        } else {
            Err(format!("the server answered {:?}", String::from_utf8_lossy(&self.answer[..head])))
        }
    }

    /// Whether there may be an answer.
    fn advance_plain(&mut self, request: &[u8]) -> Result<bool> {
        if !self.asked {
            match self.socket.write(request) {
                Ok(count) if count == request.len() => self.asked = true,
                Ok(_) => return Err("the request did not go out in one piece".to_owned()),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {}
                Err(error) => return Err(connecting(error)),
            }
            return Ok(false);
        }
        let mut buffer = [0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => return Err(ENDED.to_owned()),
            Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(format!("receiving: {error}")),
        }
        Ok(true)
    }

    /// The same by way of TLS; whether the handshake was what it was to be is judged as soon as it is over.
    fn advance_tls(&mut self, request: &[u8]) -> Result<bool> {
        let Some(tls) = &mut self.tls else { return Ok(false) };
        loop {
            match tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(ENDED.to_owned()),
                Ok(_) => drop(tls.process_new_packets().map_err(connecting)?),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) => return Err(format!("receiving: {error}")),
            }
        }
        if !self.asked && !tls.is_handshaking() {
            let expected = if self.resumes { HandshakeKind::Resumed } else { HandshakeKind::Full };
            if tls.handshake_kind() != Some(expected) {
                return Err(format!("the handshake is {:?}, not {expected:?}", tls.handshake_kind()));
            }
            tls.writer().write_all(request).map_err(connecting)?;
            self.asked = true;
        }
        while tls.wants_write() {
            match tls.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => break,
                Err(error) => return Err(connecting(error)),
            }
        }
        let mut buffer = [0; 4096];
        match tls.reader().read(&mut buffer) {
            Ok(0) => Err(ENDED.to_owned()),
            Ok(count) => {
                self.answer.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(format!("receiving: {error}")),
        }
    }
}

const ENDED: &str = "the server has ended a connection instead of answering it";
