//! A file as the representation that a request asks for: whether it is sent at all, and which part of it.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use axum::body::Body;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use super::answer::{self, Ask};
use super::conditional::{Validators, Verdict};
use super::media;
use super::multipart::Multipart;
use super::open::{self, Failure, Wait};
use super::range::{Requested, content_range};
use super::source::Source;

impl Ask {
    /// Answers with a file, `relative` to the root.
    pub(super) fn file(&self, source: Source, relative: &Path, wait: Wait) -> Result<Response<Body>, Failure> {
        let validators = Validators::new(source.facts(), SystemTime::now());
        let mut response = Response::new(Body::empty());
        match validators.judge(&self.headers) {
            Verdict::Failed => return Ok(answer::plain(StatusCode::PRECONDITION_FAILED)),
            Verdict::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                validators.insert_into(response.headers_mut());
                return Ok(response);
            }
            Verdict::Proceed => validators.insert_into(response.headers_mut()),
        }
        response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        let media_type = media::content_type(relative);
        match self.requested(&source, &validators) {
            Requested::Whole => self.whole(&mut response, source, media_type),
            Requested::Unsatisfiable => unsatisfiable(source.facts().length).map(|refusal| response = refusal),
            Requested::Ranges(ranges) => partial(&mut response, source, media_type, &ranges, wait),
        }
        .map_err(|error| open::failure(&error, relative))?;
        Ok(response)
    }

    /// Ranges are defined for GET alone: <https://www.rfc-editor.org/rfc/rfc9110#section-14.2>
    fn requested(&self, source: &Source, validators: &Validators) -> Requested {
        if self.head_only || !validators.allow_range(&self.headers) {
            return Requested::Whole;
        }
        Requested::new(&self.headers, source.facts().length)
    }

    fn whole(&self, response: &mut Response<Body>, source: Source, media_type: HeaderValue) -> io::Result<()> {
        let length = source.facts().length;
        response.headers_mut().insert(CONTENT_TYPE, media_type);
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        if !self.head_only {
            *response.body_mut() = source.body(0..length)?;
        }
        Ok(())
    }
}

/// 206, with one range as it is or several as a multipart document.
fn partial(
    response: &mut Response<Body>,
    source: Source,
    media_type: HeaderValue,
    ranges: &[Range<u64>],
    wait: Wait,
) -> io::Result<()> {
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    let length = source.facts().length;
    let headers = response.headers_mut();
    let (media_type, body) = if let [range] = ranges {
        headers.insert(CONTENT_RANGE, value(content_range(range, length))?);
        headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
        (media_type, source.body(range.clone())?)
    } else if wait == Wait::No {
        // What comes later would have to be in memory too.
        return Err(io::ErrorKind::WouldBlock.into());
    } else {
        let multipart = Multipart::new(source, &media_type, ranges);
        headers.insert(CONTENT_LENGTH, multipart.length().into());
        (value(multipart.media_type())?, Body::new(multipart))
    };
    headers.insert(CONTENT_TYPE, media_type);
    *response.body_mut() = body;
    Ok(())
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-15.5.17>
fn unsatisfiable(length: u64) -> io::Result<Response<Body>> {
    let mut response = answer::plain(StatusCode::RANGE_NOT_SATISFIABLE);
    response.headers_mut().insert(CONTENT_RANGE, value(format!("bytes */{length}"))?);
    Ok(response)
}

fn value(text: String) -> io::Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(io::Error::other)
}
