//! One connection's side of the talk: what it has sent, and what it waits for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use rustls::ClientConfig;

use crate::Result;
use crate::args::{Args, Mode};
use crate::connection::{Connection, request};
use crate::deflate::{Deflated, VARIANTS};
use crate::exchange::Exchange;
use crate::frame::Frame;

/// Messages of this size and more are sent from where they are, one by one; smaller ones are put together first, so
/// that those that are due at the same time go out in one write.
const LARGE: usize = 16 * 1024;

/// How much is put together at most.
const BATCH: usize = 64 * 1024;

pub(crate) struct Talker {
    connection: Connection,
    exchange: Exchange,
    /// The numbers that the next message sent and the next one received bear.
    next_sent: u64,
    next_received: u64,
    /// Whether a part of a reply has come.
    in_reply: bool,
    /// When those under way began, the ones that wait to be sent included.
    began: VecDeque<Instant>,
    waiting: usize,
    batch: Vec<u8>,
    /// Where what is sent now lies, and how much of it has been sent.
    source: Source,
    sent: usize,
}

#[derive(Clone, Copy)]
enum Source {
    Batch,
    Request,
}

impl Talker {
    /// Opens connection `number`; `first` is the one of those before it that pushes to all.
    pub(crate) fn open(
        args: &Args,
        number: usize,
        tls: Option<&Arc<ClientConfig>>,
        first: Option<&Self>,
    ) -> Result<Self> {
        let (connection, response) = Connection::open(args, tls)?;
        // Every connection has a key and numbers of its own: what belongs to another one does not match.
        let key = (0x5bd1_e995_u32.wrapping_mul(number as u32 + 1)).to_ne_bytes();
        let exchange = match (args.mode, response) {
            (Mode::Http, Some(response)) => Exchange::Plain {
                request: Frame::plain(request(args).into_bytes(), 0..0),
                reply: Frame::plain(response.bytes, response.headers),
            },
            (Mode::Raw, _) => {
                let (request, _) = Frame::message(args.size, args.text, key);
                Exchange::Plain { reply: request.clone(), request }
            }
            _ if args.deflate => Exchange::Deflated(match first.map(|first| &first.exchange) {
                Some(Exchange::Deflated(first)) if args.mode == Mode::Push => first.listener(),
                // A connection that is to be idle sends one.
                _ => Deflated::new(number, if args.mode == Mode::Idle { 1 } else { VARIANTS }, args.size, key),
            }),
            _ => {
                let (request, reply) = Frame::message(args.size, args.text, key);
                Exchange::Plain { request, reply }
            }
        };
        // What is pushed comes to all from one.
        let first = if args.mode == Mode::Push { 0 } else { (number as u64) << 32 };
        Ok(Self {
            connection,
            exchange,
            next_sent: first,
            next_received: first,
            in_reply: false,
            began: VecDeque::new(),
            waiting: 0,
            batch: Vec::new(),
            source: Source::Batch,
            sent: 0,
        })
    }

    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        self.connection.socket()
    }

    /// Messages that have not been sent.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Messages that have not come back, those that have not been sent among them.
    pub(crate) fn under_way(&self) -> usize {
        self.began.len()
    }

    /// Makes `count` messages due, which count as begun at `at`.
    pub(crate) fn begin(&mut self, count: usize, at: Instant) {
        self.waiting += count;
        self.began.extend(std::iter::repeat_n(at, count));
    }

    /// Makes one more message expected that another connection has sent at `at`.
    pub(crate) fn expect(&mut self, at: Instant) {
        self.began.push_back(at);
    }

    /// Bytes of an average reply, where replies differ in length.
    pub(crate) fn reply_length(&self) -> Option<f64> {
        self.exchange.reply_length()
    }

    /// When the `count` oldest messages began, which have come back.
    pub(crate) fn end(&mut self, count: usize) -> impl Iterator<Item = Instant> {
        self.began.drain(..count)
    }

    /// Sends what is due, as far as the server takes it.
    pub(crate) fn push(&mut self) -> Result<()> {
        let sending = |error: std::io::Error| format!("sending: {error}");
        self.connection.flush().map_err(sending)?;
        loop {
            let source = match self.source {
                Source::Batch => &self.batch,
                Source::Request => self.exchange.request(),
            };
            if self.sent == source.len() {
                if self.waiting == 0 {
                    return Ok(());
                }
                self.prepare();
                continue;
            }
            match self.connection.send(&source[self.sent..]).map_err(sending)? {
                0 => return Ok(()),
                count => self.sent += count,
            }
        }
    }

    /// Puts together what is sent next.
    fn prepare(&mut self) {
        let length = self.exchange.request().len();
        let alone = self.waiting == 1 || length >= LARGE;
        let count = if alone { 1 } else { self.waiting.min(BATCH.div_ceil(length)) };
        self.batch.clear();
        for _ in 0..count {
            self.exchange.set_request(self.next_sent);
            self.next_sent += 1;
            if !alone {
                self.batch.extend_from_slice(self.exchange.request());
            }
        }
        self.source = if alone { Source::Request } else { Source::Batch };
        self.waiting -= count;
        self.sent = 0;
    }

    /// Reads all there is and checks it; says how many messages have come back.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut whole = 0;
        loop {
            let count = self.connection.receive(buffer).map_err(|error| format!("receiving: {error}"))?;
            whole += self.check(&buffer[..count], whole)?;
            if count == 0 || (count < buffer.len() && self.connection.short_read_is_all()) {
                return Ok(whole);
            }
        }
    }

    /// Compares the next bytes with what was sent; `whole` messages of those under way have come back before.
    fn check(&mut self, mut bytes: &[u8], whole: usize) -> Result<usize> {
        let mut more = 0;
        while !bytes.is_empty() {
            if !self.in_reply {
                if whole + more >= self.began.len() - self.waiting {
                    return Err("more came back than was sent".to_owned());
                }
                self.exchange.set_reply(self.next_received);
                self.next_received += 1;
            }
            let (taken, is_whole) = self
                .exchange
                .check(bytes)
                .map_err(|what| format!("message {} {what}", self.next_received & 0xffff_ffff))?;
            self.in_reply = !is_whole;
            more += usize::from(is_whole);
            let later = &bytes[taken..];
            bytes = later;
        }
        Ok(more)
    }
}
