//! The compressors and decompressors of connections ([RFC 7692](https://www.rfc-editor.org/rfc/rfc7692)): shared by all
//! of a thread, so that an idle connection owns neither, or one of each for a connection; bounded together either way.

use std::cell::Cell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue};
use rikki_limits::{Budget, Share};
use rikki_proto::deflate::{self, Codecs, Compressor, Decompressor, ExtensionError, OutOfRange, ServerOptions};
#[cfg(feature = "client")]
use rikki_proto::deflate::{Agreed, ClientOptions};

use super::local::Local;
use super::meters::Meters;

/// The windows that are compressed with, as powers of two.
const WINDOWS: std::ops::RangeInclusive<u8> = 9..=15;

/// A thread keeps at most this many compressors: one for each window that peers may ask for, and one to spare.
const KEPT_COMPRESSORS: usize = 8;

/// A thread keeps at most this many decompressors between messages.
const KEPT_DECOMPRESSORS: usize = 8;

/// An output buffer that has grown beyond this many bytes is not kept.
const KEPT_OUTPUT: usize = 256 * 1024;

/// How many bytes this thread has compressed, and has got by decompressing, since [`forget_work`]: what a connection
/// costs beyond its bytes on the wire.
#[inline]
pub(super) fn worked() -> usize {
    Local::with(|local| local.worked.get()).unwrap_or_default()
}

pub(super) fn forget_work() {
    Local::with(|local| local.worked.set(0));
}

fn work(bytes: usize) {
    Local::with(|local| local.worked.set(local.worked.get().saturating_add(bytes)));
}

rikki_limits::limits! {
    /// How messages are compressed with peers that can do it (permessage-deflate).
    ///
    /// - [`shared`](Self::shared), the default: no message refers to an earlier one, so a connection needs a compressor
    ///   or decompressor only while one of its messages is compressed or decompressed, and all connections of a thread
    ///   share a few. Memory: about 280 KiB a thread for each window size that peers ask for and 48 KiB for each of 8
    ///   decompressors, nothing for a connection. A compressed message is kept as it came until it is whole.
    /// - [`dedicated`](Self::dedicated): messages refer to earlier ones, which makes similar messages much smaller.
    ///   Memory: about 330 KiB a connection, less with a smaller [window](Self::window_bits) and [memory
    ///   level](Self::memory_level): 193 KiB with 9 and 1.
    ///
    /// A secret beside text that others choose can be told from the compressed length: send such a message with
    /// [`send_uncompressed`](super::Socket::send_uncompressed), or prepare it with
    /// [`PreparedMessage::uncompressed`](super::PreparedMessage::uncompressed).
    ///
    /// ```
    /// use rikki_ws::{Compression, Config};
    ///
    /// let smaller = Config::default().compression(Compression::shared().level(6)?.threshold(200));
    /// let smallest = Config::default().compression(Compression::dedicated());
    /// let off = Config::default().compression(None);
    /// # Ok::<(), rikki_ws::OutOfRange>(())
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[must_use]
    pub struct Compression, setters of Compression by with, beside {
        pub(super) deflate: deflate::Compression = deflate::Compression::default(),
        pub(super) context_takeover: bool = false,
    };

    pub(super) threshold: usize {
        name: "deflate-above", unit: Size, default: "1KiB",
        meaning: "Smallest message to compress", detail: "",
        setter: threshold(usize),
    }
}

impl Compression {
    /// Without context takeover: nothing is held for an idle connection.
    pub fn shared() -> Self {
        Self::default()
    }

    /// With context takeover, unless the peer asks otherwise: each connection has codecs of its own.
    pub fn dedicated() -> Self {
        Self { context_takeover: true, ..Self::shared() }
    }

    /// The effort, 1 for the fastest to 9 for the smallest; default 1.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], naming the range.
    pub fn level(self, level: u8) -> Result<Self, OutOfRange> {
        Ok(Self { deflate: self.deflate.level(level)?, ..self })
    }

    /// The largest distance at which repetitions are found, as a power of two: 9 to 15 for 512 bytes to 32 KiB, default
    /// 15. A compressor takes four times as much. The peer may ask for less.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], naming the range.
    pub fn window_bits(self, bits: u8) -> Result<Self, OutOfRange> {
        Ok(Self { deflate: self.deflate.window_bits(bits)?, ..self })
    }

    /// How much a compressor gathers before it encodes: 1 to 9, default 5 for 14 KiB; one more doubles it.
    ///
    /// # Errors
    ///
    /// [`OutOfRange`], naming the range.
    pub fn memory_level(self, level: u8) -> Result<Self, OutOfRange> {
        Ok(Self { deflate: self.deflate.memory_level(level)?, ..self })
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// What the connections of an endpoint share.
#[derive(Clone, Debug)]
pub(crate) struct CodecSet {
    deflate: deflate::Compression,
    context_takeover: bool,
    budget: Arc<Budget>,
    by_window: Arc<[Arc<Shared>]>,
}

/// A client's offer that was accepted.
pub(crate) struct AgreedCodecs {
    pub(crate) codecs: Arc<dyn Codecs>,
    /// The `Sec-WebSocket-Extensions` of the answer.
    pub(crate) response: HeaderValue,
}

/// What a client has offered, with the memory that its codecs will need at most.
#[cfg(feature = "client")]
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) options: ClientOptions,
    reserved: Option<Share>,
}

impl CodecSet {
    pub(crate) fn new(compression: Compression, budget: &Arc<Budget>) -> Self {
        let Compression { deflate, context_takeover, threshold } = compression;
        let meters = Meters::unread();
        let shared = |window_bits| {
            let (compression, budget, meters) = (deflate.limited_to(window_bits), budget.clone(), meters.clone());
            Arc::new(Shared { compression, threshold, budget, meters })
        };
        let by_window = WINDOWS.map(shared).collect();
        Self { deflate, context_takeover, budget: budget.clone(), by_window }
    }

    /// The same, counted there.
    pub(crate) fn metered(&self, meters: &Arc<Meters>) -> Self {
        let counted = |shared: &Arc<Shared>| Arc::new(Shared { meters: meters.clone(), ..(**shared).clone() });
        Self { by_window: self.by_window.iter().map(counted).collect(), ..self.clone() }
    }

    /// The server's side: what becomes of a request that may offer compression.
    pub(crate) fn negotiate(&self, request: &HeaderMap) -> Result<Option<AgreedCodecs>, ExtensionError> {
        let options = if self.context_takeover { ServerOptions::dedicated } else { ServerOptions::shared };
        let Some(accepted) = deflate::negotiate(request, &options(self.deflate))? else { return Ok(None) };
        let agreed = accepted.agreed;
        let sides = Sides {
            own_window_bits: agreed.server_max_window_bits,
            own_takeover: !agreed.server_no_context_takeover,
            peer_takeover: !agreed.client_no_context_takeover,
        };
        let Some(reserved) = self.reserve(sides) else { return Ok(None) };
        Ok(self.codecs(sides, reserved).map(|codecs| AgreedCodecs { codecs, response: accepted.response }))
    }

    /// The client's side: what to offer, or `None` if there is no memory left for it.
    #[cfg(feature = "client")]
    pub(crate) fn offer(&self) -> Option<Offer> {
        let forgets = !self.context_takeover;
        let options = ClientOptions::default()
            .compression(self.deflate)
            .server_no_context_takeover(forgets)
            .client_no_context_takeover(forgets);
        let most = Sides {
            own_window_bits: *WINDOWS.end(),
            own_takeover: self.context_takeover,
            peer_takeover: self.context_takeover,
        };
        Some(Offer { options, reserved: self.reserve(most)? })
    }

    /// The client's side: the codecs for what has come of an offer.
    #[cfg(feature = "client")]
    pub(crate) fn confirmed(&self, offer: Offer, agreed: Agreed) -> Option<Arc<dyn Codecs>> {
        let sides = Sides {
            own_window_bits: agreed.client_max_window_bits,
            own_takeover: !agreed.client_no_context_takeover,
            peer_takeover: !agreed.server_no_context_takeover,
        };
        self.codecs(sides, offer.reserved)
    }

    /// Sets memory aside for what a connection keeps between messages; `None` if there is not enough left.
    fn reserve(&self, sides: Sides) -> Option<Option<Share>> {
        match self.memory(sides) {
            0 => Some(None),
            bytes => self.budget.take(bytes).map(Some),
        }
    }

    fn memory(&self, sides: Sides) -> usize {
        let compressor = self.deflate.limited_to(sides.own_window_bits).memory();
        let own = if sides.own_takeover { compressor } else { 0 };
        own + if sides.peer_takeover { Decompressor::MEMORY } else { 0 }
    }

    fn codecs(&self, sides: Sides, reserved: Option<Share>) -> Option<Arc<dyn Codecs>> {
        // An agreed 8, which only a server may ask of a client, is kept with 9: see `deflate::Compression::limited_to`.
        let index = sides.own_window_bits.saturating_sub(*WINDOWS.start());
        let shared = self.by_window.get(usize::from(index))?.clone();
        let Some(mut reserved) = reserved else { return Some(shared) };
        reserved.shrink_to(self.memory(sides));
        Some(Arc::new(Dedicated {
            shared,
            compressor: sides.own_takeover.then(Mutex::default),
            decompressor: sides.peer_takeover.then(Mutex::default),
            _reserved: reserved,
        }))
    }
}

/// An agreement as one end of it sees it.
#[derive(Clone, Copy)]
struct Sides {
    own_window_bits: u8,
    own_takeover: bool,
    peer_takeover: bool,
}

/// The codecs of the thread that happens to poll the connection.
#[derive(Clone, Debug)]
struct Shared {
    compression: deflate::Compression,
    threshold: usize,
    budget: Arc<Budget>,
    /// What is gained is counted there.
    meters: Arc<Meters>,
}

#[derive(Default)]
pub(super) struct Compressors {
    made: Vec<Compressor>,
    output: Vec<u8>,
}

impl Compressors {
    /// Lends those of this thread; a call inside a call would find none and get fresh ones.
    fn lend<R>(use_them: impl FnOnce(&mut Self) -> R) -> R {
        let mut compressors = Local::with(|local| local.compressors.take()).flatten().unwrap_or_default();
        let result = use_them(&mut compressors);
        compressors.output.clear();
        compressors.output.shrink_to(KEPT_OUTPUT);
        Local::with(|local| local.compressors.set(Some(compressors)));
        result
    }

    fn get(&mut self, compression: deflate::Compression) -> (&mut Compressor, &mut Vec<u8>) {
        let Self { made, output } = self;
        let index = made.iter().position(|compressor| compressor.compression() == compression).unwrap_or_else(|| {
            if made.len() == KEPT_COMPRESSORS {
                made.remove(0);
            }
            made.push(Compressor::new(compression));
            made.len() - 1
        });
        // The index is that of an element that was found or pushed.
        #[allow(clippy::indexing_slicing, reason = "see above")]
        (&mut made[index], output)
    }
}

impl Codecs for Shared {
    fn threshold(&self) -> usize {
        self.threshold
    }

    fn compress(&self, payload: &[u8], use_it: &mut dyn FnMut(&[u8])) {
        Compressors::lend(|compressors| {
            let (compressor, output) = compressors.get(self.compression);
            compressor.reset();
            work(payload.len());
            compressor.compress(payload, output);
            if output.len() < payload.len() {
                self.meters.count_deflated(payload.len(), output.len());
                use_it(output);
            }
        });
    }

    fn window_bits(&self) -> Option<u8> {
        Some(self.compression.window())
    }

    fn lend(&self) -> Option<Decompressor> {
        let share = self.budget.take(Decompressor::MEMORY)?;
        let kept = Local::with(|local| {
            change(&local.lent, |lent| lent.push(share));
            change(&local.decompressors, Vec::pop)
        });
        let mut decompressor = kept.flatten().unwrap_or_default();
        decompressor.reset();
        Some(decompressor)
    }

    fn give_back(&self, mut decompressor: Decompressor) {
        self.note_work(&mut decompressor);
        Local::with(|local| {
            change(&local.lent, Vec::pop);
            change(&local.decompressors, |kept| {
                if kept.len() < KEPT_DECOMPRESSORS {
                    kept.push(decompressor);
                }
            });
        });
    }
}

impl Shared {
    /// What a decompressor has done.
    fn note_work(&self, decompressor: &mut Decompressor) {
        let (taken, produced) = decompressor.take_work();
        work(produced);
        self.meters.count_inflated(produced, taken);
    }
}

/// The codecs of one connection: its own for each direction that has context takeover, made when first used.
#[derive(Debug)]
struct Dedicated {
    shared: Arc<Shared>,
    compressor: Option<Mutex<Option<Compressor>>>,
    decompressor: Option<Mutex<Option<Decompressor>>>,
    _reserved: Share,
}

impl Codecs for Dedicated {
    fn threshold(&self) -> usize {
        self.shared.threshold
    }

    fn compress(&self, payload: &[u8], use_it: &mut dyn FnMut(&[u8])) {
        let Some(own) = &self.compressor else { return self.shared.compress(payload, use_it) };
        let mut own = lock(own);
        let compressor = own.get_or_insert_with(|| Compressor::new(self.shared.compression));
        Compressors::lend(|Compressors { output, .. }| {
            work(payload.len());
            compressor.compress(payload, output);
            if output.len() < payload.len() {
                self.shared.meters.count_deflated(payload.len(), output.len());
                use_it(output);
            } else {
                // The peer does not get to see it, so that no later message may refer to it.
                compressor.reset();
            }
        });
    }

    fn window_bits(&self) -> Option<u8> {
        if self.compressor.is_some() { None } else { self.shared.window_bits() }
    }

    fn lend(&self) -> Option<Decompressor> {
        match &self.decompressor {
            Some(own) => Some(lock(own).take().unwrap_or_default()),
            None => self.shared.lend(),
        }
    }

    fn give_back(&self, mut decompressor: Decompressor) {
        match &self.decompressor {
            Some(own) => {
                self.shared.note_work(&mut decompressor);
                *lock(own) = Some(decompressor);
            }
            None => self.shared.give_back(decompressor),
        }
    }
}

/// Changes what a cell holds, which nobody else sees meanwhile.
fn change<T: Default, R>(cell: &Cell<T>, change: impl FnOnce(&mut T) -> R) -> R {
    let mut value = cell.take();
    let result = change(&mut value);
    cell.set(value);
    result
}

/// Only the connection's own task ever locks, so nobody waits.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rikki_proto::{Connection, Limits, Output, PreparedMessage};

    use super::*;

    /// The codecs that come of an offer.
    fn agreed(compression: Compression, offer: &'static str) -> Arc<dyn Codecs> {
        let set = CodecSet::new(compression, &Arc::new(Budget::new("of a test", usize::MAX)));
        let request = [(http::header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer))].into_iter().collect();
        set.negotiate(&request).unwrap().unwrap().codecs
    }

    #[test]
    fn the_window_is_told_where_messages_are_compressed_by_themselves() {
        let [shared, dedicated] = [Compression::shared(), Compression::dedicated()];
        let narrow = shared.window_bits(12).unwrap();
        for (compression, offer, expected) in [
            (shared, "permessage-deflate", Some(15)),
            (shared, "permessage-deflate; server_max_window_bits=10", Some(10)),
            (narrow, "permessage-deflate", Some(12)),
            (narrow, "permessage-deflate; server_max_window_bits=10", Some(10)),
            (dedicated, "permessage-deflate", None),
            (dedicated, "permessage-deflate; server_no_context_takeover", Some(15)),
        ] {
            assert_eq!(agreed(compression, offer).window_bits(), expected, "{offer}");
        }
    }

    #[test]
    fn what_is_prepared_is_work_once() {
        let message = PreparedMessage::new("over and over, ".repeat(1000));
        let mut output = Output::default();
        forget_work();
        for (compression, expected) in [
            (Compression::shared(), 15_000),
            (Compression::shared(), 15_000),
            (Compression::dedicated(), 30_000),
            (Compression::dedicated(), 45_000),
        ] {
            let mut server = Connection::server(Limits::default());
            server.set_codecs(agreed(compression, "permessage-deflate"));
            server.send_prepared(&message, &mut output).unwrap();
            assert_eq!(worked(), expected);
        }
        assert!(output.len() < 1000, "{} bytes", output.len());
        forget_work();
    }
}
