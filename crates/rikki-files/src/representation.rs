//! A file as the representation that a request asks for: in which coding, whether it is sent at all, and which part.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::SystemTime;

use axum::body::Body;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE, VARY,
};
use http::{HeaderValue, Response, StatusCode};

use super::absences::Absent;
use super::answer;
use super::attempt::Attempt;
use super::compress::{Collected, Compressed};
use super::conditional::{Validators, Verdict};
use super::encoding::Coding;
use super::multipart::Multipart;
use super::open::{self, Failure, Opened};
use super::range::{Requested, content_range};
use super::siblings::Siblings;
use super::source::Source;
use super::wait::{Unmet, Wait};

/// What a file is sent as.
struct Representation<'a> {
    source: Source,
    /// The name of the plain file, relative to the root.
    relative: &'a Path,
    /// The media type of the plain file.
    media_type: HeaderValue,
    content: Content,
}

#[derive(Clone, Copy, PartialEq)]
enum Content {
    /// The source is sent as it is.
    Plain,
    /// The source is a sibling in this coding.
    Precompressed(Coding),
    /// The source is plain, and compressed while it is sent.
    Compressed(Coding),
}

impl Attempt<'_> {
    /// Answers with a file, `relative` to the root.
    pub(super) fn file(&self, source: Source, relative: &Path) -> Result<Response<Body>, Failure> {
        let representation = self.select(source, relative)?;
        let mut response = self.represent(representation).map_err(|unmet| open::failure(unmet, relative))?;
        // Any file may have siblings, now or later: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.5
        response.headers_mut().append(VARY, ACCEPT_ENCODING.into());
        Ok(response)
    }

    /// Selects by `Accept-Encoding`. What is compressed already goes before what would have to be.
    fn select<'a>(&self, source: Source, relative: &'a Path) -> Result<Representation<'a>, Failure> {
        let types = &self.shared.options.types;
        let media = types.of(relative, &source, self.wait).map_err(|unmet| open::failure(unmet, relative))?;
        if media.is_gzipped {
            // Whoever opens such a file can do that.
            let content = Content::Precompressed(Coding::Gzip);
            return Ok(Representation { source, relative, media_type: media.content_type, content });
        }
        let mut accepted = Coding::accepted(&self.ask.headers);
        if let Some(siblings) = &self.shared.siblings {
            let mut absent = None;
            for coding in accepted.clone() {
                let absent = absent.get_or_insert_with(|| siblings.absences.of(relative));
                if let Some(source) = self.sibling(siblings, absent, &source, relative, coding)? {
                    let content = Content::Precompressed(coding);
                    return Ok(Representation { source, relative, media_type: media.content_type, content });
                }
            }
        }
        // A range counts the bytes of the representation, which are not known before it is compressed.
        let is_range = !self.ask.head_only && self.ask.headers.contains_key(RANGE);
        let is_long = source.facts().length >= self.shared.limits.compress_above;
        let content = if is_long
            && !is_range
            && let Some(coding) = accepted.next()
            && media.is_compressible()
        {
            Content::Compressed(coding)
        } else {
            Content::Plain
        };
        Ok(Representation { source, relative, media_type: media.content_type, content })
    }

    /// The file beside `plain` that is the same in this coding.
    fn sibling(
        &self,
        siblings: &Siblings,
        absent: &Absent,
        plain: &Source,
        relative: &Path,
        coding: Coding,
    ) -> Result<Option<Source>, Failure> {
        if absent.has(coding) {
            return Ok(None);
        }
        let path = coding.sibling(relative);
        let sibling = match self.open(&path) {
            // An older one may be the coding of what the file was before.
            Ok(Opened::File(sibling)) if sibling.facts().modified >= plain.facts().modified => sibling,
            Err(Failure::WouldBlock) => return Err(Failure::WouldBlock),
            Err(Failure::Status(StatusCode::NOT_FOUND)) => {
                siblings.absences.add(absent, coding);
                return Ok(None);
            }
            Ok(_) | Err(Failure::Status(_)) => return Ok(None),
        };
        match siblings.fit(plain, &sibling, coding, self.wait) {
            Ok(fits) => Ok(fits.then_some(sibling)),
            Err(Unmet::WouldWait | Unmet::MayWait) => Err(Failure::WouldBlock),
            // The plain file can be sent all the same.
            Err(Unmet::Failed(_)) => Ok(None),
        }
    }

    fn represent(&self, mut representation: Representation<'_>) -> Result<Response<Body>, Unmet> {
        representation.source.read_small()?;
        let validators = representation.validators();
        let mut response = Response::new(Body::empty());
        // More than six fields would make the map grow in between.
        response.headers_mut().reserve(10);
        match validators.judge(&self.ask.headers) {
            Verdict::Failed => return Ok(answer::plain(StatusCode::PRECONDITION_FAILED)),
            Verdict::NotModified => {
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                validators.insert_into(response.headers_mut());
                return Ok(response);
            }
            Verdict::Proceed => validators.insert_into(response.headers_mut()),
        }
        let headers = response.headers_mut();
        if let Some(coding) = representation.coding() {
            headers.insert(CONTENT_ENCODING, coding.header());
        }
        if let Content::Compressed(coding) = representation.content {
            return self.compressed(response, representation, coding);
        }
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        match self.requested(&representation, &validators) {
            Requested::Whole => self.whole(&mut response, representation)?,
            Requested::Unsatisfiable => return unsatisfiable(representation.source.facts().length),
            Requested::Ranges(ranges) => self.partial(&mut response, representation, &ranges)?,
        }
        Ok(response)
    }

    fn compressed(
        &self,
        mut response: Response<Body>,
        representation: Representation<'_>,
        coding: Coding,
    ) -> Result<Response<Body>, Unmet> {
        let Representation { source, relative, media_type, .. } = representation;
        response.headers_mut().insert(CONTENT_TYPE, media_type.clone());
        if let Some(kept) = self.shared.root.cache().get(relative, coding.name(), source.facts()) {
            response.headers_mut().insert(CONTENT_LENGTH, kept.len().into());
            *response.body_mut() = kept.into();
            return Ok(response);
        }
        if self.ask.head_only {
            return Ok(response);
        }
        let Some(permit) = self.shared.compression() else {
            // Too many at once: the plain file costs less.
            let plain = Representation { source, media_type, content: Content::Plain, ..representation };
            return self.represent(plain);
        };
        let facts = *source.facts();
        let result = Collected::new(self.shared.root.cache(), relative, facts);
        let plain = source.body(0..facts.length)?;
        *response.body_mut() = Body::new(Compressed::new(plain, Some(facts.length), coding, permit, Some(result)));
        Ok(response)
    }

    fn requested(&self, representation: &Representation<'_>, validators: &Validators) -> Requested {
        // Ranges are defined for GET alone: https://www.rfc-editor.org/rfc/rfc9110#section-14.2
        if self.ask.head_only || !self.ask.headers.contains_key(RANGE) || !validators.allow_range(&self.ask.headers) {
            return Requested::Whole;
        }
        match Requested::new(&self.ask.headers, representation.source.facts().length) {
            // A multipart document of coded parts: Content-Encoding would be taken for the coding of the document.
            Requested::Ranges(ranges) if ranges.len() > 1 && representation.coding().is_some() => Requested::Whole,
            requested => requested,
        }
    }

    fn whole(&self, response: &mut Response<Body>, representation: Representation<'_>) -> Result<(), Unmet> {
        let length = representation.source.facts().length;
        response.headers_mut().insert(CONTENT_TYPE, representation.media_type.clone());
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        if !self.ask.head_only {
            representation.source.send(0..length, self.ask.by_system, response)?;
        }
        Ok(())
    }

    /// 206, with one range as it is or several as a multipart document.
    fn partial(
        &self,
        response: &mut Response<Body>,
        representation: Representation<'_>,
        ranges: &[Range<u64>],
    ) -> Result<(), Unmet> {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let source = representation.source;
        let length = source.facts().length;
        let media_type = representation.media_type;
        if let [range] = ranges {
            let headers = response.headers_mut();
            headers.insert(CONTENT_RANGE, value(content_range(range, length))?);
            headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
            headers.insert(CONTENT_TYPE, media_type);
            return source.send(range.clone(), self.ask.by_system, response);
        }
        if self.wait == Wait::No {
            // What comes later would have to be in memory too.
            return Err(Unmet::WouldWait);
        }
        let multipart = Multipart::new(source, self.shared.root.waits(), &media_type, ranges)?;
        response.headers_mut().insert(CONTENT_LENGTH, multipart.length().into());
        response.headers_mut().insert(CONTENT_TYPE, value(multipart.media_type())?);
        *response.body_mut() = Body::new(multipart);
        Ok(())
    }
}

impl Representation<'_> {
    fn coding(&self) -> Option<Coding> {
        match self.content {
            Content::Plain => None,
            Content::Precompressed(coding) | Content::Compressed(coding) => Some(coding),
        }
    }

    fn validators(&self) -> Validators {
        let make = || Validators::new(self.source.facts(), self.source.digest(), self.coding(), SystemTime::now());
        match self.content {
            Content::Compressed(_) => make().weakened(),
            Content::Plain | Content::Precompressed(_) => self.source.validators(self.coding(), make),
        }
    }
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-15.5.17>
fn unsatisfiable(length: u64) -> Result<Response<Body>, Unmet> {
    let mut response = answer::plain(StatusCode::RANGE_NOT_SATISFIABLE);
    response.headers_mut().insert(CONTENT_RANGE, value(format!("bytes */{length}"))?);
    Ok(response)
}

fn value(text: String) -> Result<HeaderValue, Unmet> {
    HeaderValue::try_from(text).map_err(|error| Unmet::Failed(io::Error::other(error)))
}
