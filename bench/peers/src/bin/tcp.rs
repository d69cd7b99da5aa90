//! The limit: every byte comes back, on bare epoll, without any protocol.

use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use peers::Result;

const LISTENER: Token = Token(usize::MAX);

struct Connection {
    stream: TcpStream,
    /// What the peer has not taken yet; nothing more is read before it has.
    unsent: Vec<u8>,
}

fn main() -> Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    peers::announce(listener.local_addr()?.port())?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&listener, &poll, &mut connections)?;
            } else if let Some(slot) = connections.get_mut(event.token().0)
                && let Some(connection) = slot
                && connection.echo(&mut buffer).is_err()
            {
                *slot = None;
            }
        }
    }
}

fn accept(listener: &TcpListener, poll: &Poll, connections: &mut Vec<Option<Connection>>) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        stream.set_nodelay(true)?;
        let token = Token(connections.len());
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        connections.push(Some(Connection { stream, unsent: Vec::new() }));
    }
}

impl Connection {
    fn echo(&mut self, buffer: &mut [u8]) -> std::io::Result<()> {
        loop {
            while !self.unsent.is_empty() {
                match blocked_is_none(self.stream.write(&self.unsent))? {
                    None => return Ok(()),
                    Some(count) => drop(self.unsent.drain(..count)),
                }
            }
            let count = match blocked_is_none(self.stream.read(buffer))? {
                None => return Ok(()),
                Some(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Some(count) => count,
            };
            let sent = blocked_is_none(self.stream.write(&buffer[..count]))?.unwrap_or(0);
            self.unsent.extend_from_slice(&buffer[sent..count]);
            // A read that was not full took all there was: no second call to hear that.
            if self.unsent.is_empty() && count < buffer.len() {
                return Ok(());
            }
        }
    }
}

fn blocked_is_none(result: std::io::Result<usize>) -> std::io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
