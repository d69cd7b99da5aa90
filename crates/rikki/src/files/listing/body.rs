//! A listing on its way to a client: rows are written when they are asked for, so that a page of megabytes is never in
//! memory as a whole.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use super::page::{self, Row};
use super::sort::View;
use super::{Listing, json};

/// How much is written at a time, in bytes, and the row that exceeds it.
const PIECE: usize = 16 * 1024;

/// In which form a listing is sent.
pub(super) struct Form {
    start: String,
    row: fn(&Listing, usize, &mut String),
    end: fn(&Listing) -> String,
}

impl Form {
    pub(super) fn json() -> Self {
        let row = |listing: &Listing, index: usize, to: &mut String| {
            let Some(entry) = listing.entries.get(index) else { return };
            // Writing to a string cannot fail.
            let _ = write!(to, "{}{entry}", if index == 0 { "" } else { json::BETWEEN });
        };
        Self { start: json::START.to_owned(), row, end: |_| json::END.to_owned() }
    }

    pub(super) fn page(listing: &Listing, relative: &Path, url_path: &str, view: &View) -> Self {
        let row = |listing: &Listing, index: usize, to: &mut String| {
            let Some(entry) = listing.entries.get(index) else { return };
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
}

impl ListingBody {
    pub(super) fn new(listing: Arc<Listing>, form: Form) -> Self {
        Self { listing, form, next: 0, ended: false }
    }
}

impl http_body::Body for ListingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { listing, form, next, ended } = self.get_mut();
        if *ended {
            return Poll::Ready(None);
        }
        let mut piece = std::mem::take(&mut form.start);
        while piece.len() < PIECE && *next < listing.entries.len() {
            (form.row)(listing, *next, &mut piece);
            *next += 1;
        }
        if *next == listing.entries.len() {
            piece.push_str(&(form.end)(listing));
            *ended = true;
        }
        Poll::Ready(Some(Ok(Frame::data(piece.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
