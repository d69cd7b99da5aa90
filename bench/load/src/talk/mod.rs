//! Messages there and back: closed loop (the next one when an earlier one has come back) or open loop (each when it is
//! due, whatever the server does; its latency counts from then, so that a stall is not left out). Or messages from one
//! to all.

mod fan_out;
mod talker;

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

use crate::args::{Args, Mode};
use crate::pause::{Pause, wait_to_be_counted};
use crate::{Result, meter, tls};

pub(crate) use fan_out::FanOut;
pub(crate) use talker::Talker;

/// A server that answers nothing for so long is given up.
const STALL_LIMIT: Duration = Duration::from_secs(20);

/// How long all connections are left alone before the first message is pushed to them.
const SETTLE: Duration = Duration::from_millis(300);

/// The most messages that may be due on one connection and not be sent: the rate is too high for the server.
const MOST_WAITING: usize = 100_000;

const READ_SIZE: usize = 256 * 1024;

/// Latencies are kept in nanoseconds, up to a minute, to three digits.
const HIGHEST_LATENCY: u64 = 60_000_000_000;

pub(crate) fn run(args: &Args) -> Result<Value> {
    let mut run = Run::new(args)?;
    if args.counted {
        return run.count();
    }
    run.start()?;
    run.serve()
}

struct Run<'a> {
    args: &'a Args,
    poll: Poll,
    talkers: Vec<Talker>,
    /// Where the first talker pushes to all of them.
    fan_out: Option<FanOut>,
    buffer: Vec<u8>,
    /// Messages that may still be begun.
    left: u64,
    completed: u64,
    latencies: Histogram<u64>,
    began: Instant,
    /// Messages begun by the clock of the open loop.
    due: u64,
}

/// What was counted since it began.
struct Window {
    began: Instant,
    cpu: Option<Duration>,
}

impl<'a> Run<'a> {
    fn new(args: &'a Args) -> Result<Self> {
        let config = if args.tls { Some(tls::config()?) } else { None };
        let poll = Poll::new().map_err(|error| format!("epoll: {error}"))?;
        let mut talkers: Vec<Talker> = Vec::with_capacity(args.connections);
        for number in 0..args.connections {
            let mut talker = Talker::open(args, number, config.as_ref(), talkers.first())?;
            poll.registry()
                .register(talker.socket(), Token(number), Interest::READABLE | Interest::WRITABLE)
                .map_err(|error| format!("epoll: {error}"))?;
            talkers.push(talker);
        }
        let latencies = Histogram::new_with_max(HIGHEST_LATENCY, 3).map_err(|error| format!("latencies: {error}"))?;
        let left = args.messages.unwrap_or(u64::MAX);
        let fan_out = (args.mode == Mode::Push).then(|| FanOut::new(args.connections));
        let (buffer, began) = (vec![0; READ_SIZE], Instant::now());
        Ok(Self { args, poll, talkers, fan_out, buffer, left, completed: 0, latencies, began, due: 0 })
    }

    /// Fills the pipes of the closed loop.
    fn start(&mut self) -> Result<()> {
        self.began = Instant::now();
        if self.args.rate.is_some() {
            return Ok(());
        }
        if self.fan_out.is_some() {
            // A server may answer an upgrade just before it puts the connection on its list.
            std::thread::sleep(SETTLE);
            self.began = Instant::now();
            return self.push_to_all(self.args.inflight, self.began);
        }
        self.begin_all(self.began)
    }

    /// Begins as many on each connection as may be under way.
    fn begin_all(&mut self, now: Instant) -> Result<()> {
        for talker in &mut self.talkers {
            let count = (self.args.inflight as u64).min(self.left);
            self.left -= count;
            talker.begin(count as usize, now);
            talker.push()?;
        }
        Ok(())
    }

    /// Two lots of messages in rounds, the second of which is counted by somebody else.
    fn count(&mut self) -> Result<Value> {
        std::thread::sleep(SETTLE);
        let mut report = Value::Null;
        for lot in 1..=2 {
            if lot == 2 {
                wait_to_be_counted(self.args, "ready")?;
            }
            (self.left, self.completed) = (self.args.messages.unwrap_or_default(), 0);
            self.start_round()?;
            report = self.serve()?;
        }
        wait_to_be_counted(self.args, "done")?;
        Ok(report)
    }

    /// Sends the messages of a round, of which the server sees none before all are sent.
    fn start_round(&mut self) -> Result<()> {
        let _pause = self.args.pid.map(Pause::begin).transpose()?;
        let now = Instant::now();
        if self.fan_out.is_some() { self.push_to_all(self.args.inflight, now) } else { self.begin_all(now) }
    }

    /// Whether everything has come back that was sent.
    fn is_round_over(&self) -> bool {
        self.args.counted && self.left > 0 && self.talkers.iter().all(|talker| talker.under_way() == 0)
    }

    fn serve(&mut self) -> Result<Value> {
        let mut events = Events::with_capacity(1024);
        let mut window = None;
        let measure_from = self.began + self.args.warmup;
        let mut last_answer = Instant::now();
        loop {
            let now = Instant::now();
            if window.is_none() && now >= measure_from {
                self.completed = 0;
                self.latencies.reset();
                window = Some(Window { began: now, cpu: self.cpu()? });
            }
            let end = measure_from + self.args.duration;
            let done = self.args.messages.map_or(now >= end, |messages| self.completed >= messages);
            if let (Some(window), true) = (&window, done) {
                return self.report(window, now);
            }
            if now - last_answer > STALL_LIMIT {
                return Err("the server has stopped answering".to_owned());
            }
            let wait = if window.is_some() { end } else { measure_from }.saturating_duration_since(now);
            let wait = if self.args.messages.is_some() { STALL_LIMIT } else { wait };
            let wait = self.begin_due(now)?.map_or(wait, |due| due.min(wait));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => other.map_err(|error| format!("epoll: {error}"))?,
            }
            let before = self.completed;
            for event in &events {
                self.handle(event.token().0, event.is_readable())?;
            }
            if self.completed > before {
                last_answer = now;
                if self.is_round_over() {
                    self.start_round()?;
                }
            }
        }
    }

    /// Open loop: begins what is due, and says how long it is until the next.
    fn begin_due(&mut self, now: Instant) -> Result<Option<Duration>> {
        let Some(rate) = self.args.rate else { return Ok(None) };
        while self.left > 0 {
            let at = self.began + Duration::from_secs_f64(self.due as f64 / rate);
            if at > now {
                // epoll waits whole milliseconds: the rest of the time it is asked again and again.
                let wait = at - now;
                return Ok(Some(if wait < Duration::from_millis(2) { Duration::ZERO } else { wait / 2 }));
            }
            let number = (self.due % self.talkers.len() as u64) as usize;
            let talker = &mut self.talkers[number];
            talker.begin(1, at);
            talker.push()?;
            if talker.waiting() > MOST_WAITING {
                return Err(format!("the server does not keep up with {rate} messages/s"));
            }
            self.due += 1;
            self.left -= 1;
        }
        Ok(None)
    }

    fn handle(&mut self, number: usize, readable: bool) -> Result<()> {
        let Some(talker) = self.talkers.get_mut(number) else { return Ok(()) };
        if readable {
            let came_back = talker.receive(&mut self.buffer)?;
            let now = Instant::now();
            for began in talker.end(came_back) {
                let nanoseconds = now.saturating_duration_since(began).as_nanos() as u64;
                self.latencies.saturating_record(nanoseconds);
            }
            self.completed += came_back as u64;
            if let Some(fan_out) = &mut self.fan_out {
                let whole = fan_out.deliver(number, came_back);
                return if self.args.counted { Ok(()) } else { self.push_to_all(whole, now) };
            }
            if self.args.rate.is_none() && !self.args.counted {
                let count = (came_back as u64).min(self.left);
                self.left -= count;
                talker.begin(count as usize, now);
            }
        }
        talker.push()
    }

    /// Sends `count` messages on the first connection, which have to come to all.
    fn push_to_all(&mut self, count: usize, now: Instant) -> Result<()> {
        let Some(fan_out) = &mut self.fan_out else { return Ok(()) };
        for _ in 0..count {
            if self.left == 0 {
                break;
            }
            self.left = self.left.saturating_sub(self.talkers.len() as u64);
            fan_out.push();
            let mut talkers = self.talkers.iter_mut();
            if let Some(source) = talkers.next() {
                source.begin(1, now);
            }
            talkers.for_each(|talker| talker.expect(now));
        }
        self.talkers.first_mut().map_or(Ok(()), Talker::push)
    }

    fn cpu(&self) -> Result<Option<Duration>> {
        self.args.pid.map(meter::cpu_time).transpose()
    }

    fn report(&self, window: &Window, now: Instant) -> Result<Value> {
        if self.completed == 0 {
            return Err("not one message came back in the time that is counted".to_owned());
        }
        let seconds = (now - window.began).as_secs_f64();
        let spent = self.cpu()?.zip(window.cpu).map(|(after, before)| (after - before).as_secs_f64());
        let lengths: Vec<_> = self.talkers.iter().filter_map(Talker::reply_length).collect();
        let reply_bytes = (!lengths.is_empty()).then(|| lengths.iter().sum::<f64>() / lengths.len() as f64);
        let latency = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        Ok(json!({
            "messages": self.completed,
            "seconds": seconds,
            "per_second": self.completed as f64 / seconds,
            "cpu_us": spent.map(|spent| spent * 1e6 / self.completed as f64),
            "busy": spent.map(|spent| spent / seconds),
            "reply_bytes": reply_bytes,
            "p50_us": latency(0.5),
            "p99_us": latency(0.99),
            "p999_us": latency(0.999),
            "max_us": self.latencies.max() as f64 / 1000.0,
        }))
    }
}
