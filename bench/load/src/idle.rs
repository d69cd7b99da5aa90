//! What a connection costs while nothing happens on it: memory in RAM, shared by many of them.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::args::Args;
use crate::talk::Talker;
use crate::{Result, meter, tls};

/// Connections that are opened before anything is counted: buffers that all share are there after them.
const FIRST: usize = 100;

/// How long the server may tidy up before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);

const ECHO_LIMIT: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Args) -> Result<Value> {
    let pid = args.pid.ok_or("--pid is missing")?;
    let config = if args.tls { Some(tls::config()?) } else { None };
    let mut buffer = vec![0; 64 * 1024];
    let mut open = |numbers: std::ops::Range<usize>| {
        numbers
            .map(|number| {
                let mut talker = Talker::open(args, number, config.as_ref(), None)?;
                echo_once(&mut talker, &mut buffer)?;
                Ok(talker)
            })
            .collect::<Result<Vec<_>>>()
    };
    let first = open(0..FIRST)?;
    thread::sleep(SETTLE);
    let before = meter::memory(pid)?;
    let counted = open(FIRST..FIRST + args.connections)?;
    thread::sleep(SETTLE);
    let after = meter::memory(pid)?;
    drop((first, counted));
    let bytes = after.saturating_sub(before) as f64 / args.connections as f64;
    Ok(json!({ "connections": args.connections, "before": before, "after": after, "bytes": bytes }))
}

/// One message there and back, so that what is only made on first use is there.
fn echo_once(talker: &mut Talker, buffer: &mut [u8]) -> Result<()> {
    let deadline = Instant::now() + ECHO_LIMIT;
    talker.begin(1, Instant::now());
    talker.push()?;
    while talker.receive(buffer)? == 0 {
        if Instant::now() > deadline {
            return Err("the server has stopped answering".to_owned());
        }
        thread::sleep(Duration::from_micros(20));
    }
    talker.end(1).for_each(drop);
    Ok(())
}
