//! A listing on its way to a client: rows are written when they are asked for, so that a page of megabytes is never in
//! memory as a whole.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use rikki_limits::{Count, Seldom};

use super::page::{self, Row};
use super::sort::View;
use super::{Entry, Listing, json};

/// How much is written at a time, in bytes, and the row that exceeds it.
const PIECE: usize = 16 * 1024;

/// In which form a listing is sent.
pub(super) struct Form {
    start: String,
    row: fn(&Entry, usize, &mut String),
    end: fn(&Listing) -> String,
}

impl Form {
    pub(super) fn json() -> Self {
        let row = |entry: &Entry, index: usize, to: &mut String| {
            // Writing to a string cannot fail.
            let _ = write!(to, "{}{entry}", if index == 0 { "" } else { json::BETWEEN });
        };
        Self { start: json::START.to_owned(), row, end: |_| json::END.to_owned() }
    }

    pub(super) fn page(listing: &Listing, relative: &Path, url_path: &str, view: &View) -> Self {
        let row = |entry: &Entry, _: usize, to: &mut String| {
            let _ = writeln!(to, "{}", Row(entry));
        };
        Self { start: page::start(listing, relative, url_path, view), row, end: page::end }
    }
}

/// One listing for one client.
pub(super) struct ListingBody {
    listing: Arc<Listing>,
    form: Form,
    /// The row that comes next.
    next: usize,
    ended: bool,
    gave_up: Arc<Count>,
}

impl ListingBody {
    pub(super) fn new(listing: Arc<Listing>, form: Form, gave_up: Arc<Count>) -> Self {
        Self { listing, form, next: 0, ended: false, gave_up }
    }
}

impl http_body::Body for ListingBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { listing, form, next, ended, gave_up } = self.get_mut();
        if *ended {
            return Poll::Ready(None);
        }
        let Some(entries) = listing.entries.take() else {
            *ended = true;
            gave_up.up();
            static LINES: Seldom = Seldom::new();
            let error =
                io::Error::new(io::ErrorKind::TimedOut, "others needed the memory of a listing taken too slowly");
            if let Some(left_out) = LINES.turn(()) {
                tracing::warn!(%error, left_out, "a listing could not be sent to its end");
            }
            return Poll::Ready(Some(Err(error)));
        };
        let mut piece = std::mem::take(&mut form.start);
        for entry in entries.iter().skip(*next) {
            if piece.len() >= PIECE {
                break;
            }
            (form.row)(entry, *next, &mut piece);
            *next += 1;
        }
        if *next == entries.len() {
            piece.push_str(&(form.end)(listing));
            *ended = true;
        }
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
