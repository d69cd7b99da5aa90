//! What there is to tell of WebSockets: of all, by endpoint, and of one.

use serde::Serialize;

use super::millis;
use crate::counters::Counters;
use crate::ws::internal::{Carrier, ClosedBy, Details, MeterReading, Packed};

#[derive(Debug, Default, Serialize)]
pub(in crate::admin) struct WebSockets {
    open: u64,
    pub(in crate::admin) queued_bytes: u64,
    dropped_messages: u64,
    pub(in crate::admin) lost_messages: u64,
    received_messages: u64,
    received_bytes: u64,
    sent_messages: u64,
    sent_bytes: u64,
    endpoints: Vec<Endpoint>,
    slowest: Vec<WebSocket>,
    closes: Vec<Close>,
}

/// What has come to one endpoint by one transport.
#[derive(Debug, Serialize)]
struct Endpoint {
    endpoint: String,
    transport: &'static str,
    open: u64,
    opened: u64,
    draining: bool,
    received_messages: u64,
    received_bytes: u64,
    sent_messages: u64,
    sent_bytes: u64,
    dropped_messages: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<Compression>,
}

/// Bytes of messages that were compressed, before and after.
#[derive(Debug, Serialize)]
struct Compression {
    sent_plain: u64,
    sent_packed: u64,
    received_plain: u64,
    received_packed: u64,
}

/// One WebSocket.
#[derive(Debug, Serialize)]
struct WebSocket {
    id: u64,
    endpoint: String,
    transport: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    age_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    subprotocol: Option<String>,
    received_messages: u64,
    received_bytes: u64,
    sent_messages: u64,
    sent_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<Compression>,
    queued_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closing: Option<u16>,
}

/// How often WebSockets were closed with a code by somebody.
#[derive(Debug, PartialEq, Serialize)]
struct Close {
    code: String,
    by: &'static str,
    count: u64,
}

impl WebSockets {
    pub(super) fn read(counters: &Counters, meters: &[MeterReading], slowest: &[Details]) -> Self {
        Self {
            open: counters.websockets,
            queued_bytes: counters.queued_bytes,
            dropped_messages: counters.dropped_messages,
            lost_messages: counters.lost_messages,
            received_messages: sum(meters, |meters| meters.received.messages()),
            received_bytes: sum(meters, |meters| meters.received.bytes),
            sent_messages: sum(meters, |meters| meters.sent.messages()),
            sent_bytes: sum(meters, |meters| meters.sent.bytes),
            endpoints: meters.iter().map(Endpoint::from).collect(),
            slowest: slowest.iter().map(WebSocket::from).collect(),
            closes: closes(meters),
        }
    }
}

impl Compression {
    /// `None` where nothing was compressed.
    fn of(sent: Packed, received: Packed) -> Option<Self> {
        let compression = Self {
            sent_plain: sent.plain,
            sent_packed: sent.packed,
            received_plain: received.plain,
            received_packed: received.packed,
        };
        (sent.packed + received.packed > 0).then_some(compression)
    }
}

impl From<&MeterReading> for Endpoint {
    fn from(meters: &MeterReading) -> Self {
        Self {
            endpoint: meters.endpoint.clone(),
            transport: transport(meters.carrier),
            open: meters.open,
            opened: meters.opened,
            draining: meters.is_closed,
            received_messages: meters.received.messages(),
            received_bytes: meters.received.bytes,
            sent_messages: meters.sent.messages(),
            sent_bytes: meters.sent.bytes,
            dropped_messages: meters.dropped.iter().sum(),
            compression: Compression::of(meters.deflated, meters.inflated),
        }
    }
}

impl From<&Details> for WebSocket {
    fn from(details: &Details) -> Self {
        let packed = details.sent_packed.zip(details.received_packed);
        Self {
            id: details.id,
            endpoint: details.endpoint.clone(),
            transport: transport(details.carrier),
            peer: details.peer.map(|peer| peer.to_string()),
            age_ms: millis(details.age),
            subprotocol: details.subprotocol.clone(),
            received_messages: details.received_messages,
            received_bytes: details.received_bytes,
            sent_messages: details.sent_messages,
            sent_bytes: details.sent_bytes,
            compression: packed.and_then(|(sent, received)| Compression::of(sent, received)),
            queued_bytes: details.queued,
            waiting_ms: details.waiting.map(millis),
            closing: details.closing,
        }
    }
}

/// One WebSocket, as an object of JSON.
pub(in crate::admin) fn details(details: &Details) -> String {
    serde_json::to_string(&WebSocket::from(details)).unwrap_or_default()
}

fn sum(meters: &[MeterReading], of: fn(&MeterReading) -> u64) -> u64 {
    meters.iter().map(of).sum()
}

pub(in crate::admin) fn transport(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Tcp => "tcp",
        Carrier::Tls => "tls",
        Carrier::Unix => "unix",
        Carrier::Other => "other",
    }
}

pub(in crate::admin) fn who(by: ClosedBy) -> &'static str {
    match by {
        ClosedBy::Peer => "peer",
        ClosedBy::Server => "server",
        ClosedBy::Network => "network",
    }
}

/// Of all endpoints together.
fn closes(meters: &[MeterReading]) -> Vec<Close> {
    let mut closes: Vec<Close> = Vec::new();
    for closings in meters.iter().flat_map(|meters| &meters.closed) {
        let by = who(closings.by);
        match closes.iter_mut().find(|close| close.code == closings.code && close.by == by) {
            Some(close) => close.count += closings.count,
            None => closes.push(Close { code: closings.code.clone(), by, count: closings.count }),
        }
    }
    closes
}
