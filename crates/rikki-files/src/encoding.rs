//! Content codings: which of them a request accepts (RFC 9110, section 12.5.3), and the siblings of a file that hold
//! its content in one of them.

use std::cmp::Reverse;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// A coding that a file can have: <https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1>.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// The best first, among those that a client likes equally.
    pub(super) const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    /// The name of the file beside `path` that holds its content in this coding.
    pub(super) fn sibling(self, path: &Path) -> PathBuf {
        let extension = match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        };
        let mut sibling = OsString::with_capacity(path.as_os_str().len() + extension.len());
        sibling.push(path);
        sibling.push(extension);
        sibling.into()
    }

    /// The codings that a request would rather have than none, the most welcome first.
    ///
    /// Without the field there are none. Whether `identity` is refused makes no difference: it is sent where nothing
    /// else can be, since 406 (Not Acceptable) would help nobody.
    pub(super) fn accepted(headers: &HeaderMap) -> impl Iterator<Item = Self> + Clone + use<> {
        let weights = Weights::new(headers);
        let mut codings = Self::ALL;
        // A stable sort: equals stay as they are.
        codings.sort_by_key(|&coding| Reverse(weights.of(coding)));
        codings.into_iter().filter(move |&coding| weights.of(coding) > 0 && weights.of(coding) >= weights.identity())
    }
}

/// Weights in thousandths; `None` for what is not mentioned.
#[derive(Clone, Copy, Default)]
struct Weights {
    brotli: Option<u16>,
    zstd: Option<u16>,
    gzip: Option<u16>,
    identity: Option<u16>,
    any: Option<u16>,
}

impl Weights {
    fn new(headers: &HeaderMap) -> Self {
        let mut weights = Self::default();
        let fields = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|field| field.to_str().ok());
        for element in fields.flat_map(|field| field.split(',')) {
            let (name, weight) = match element.split_once(';') {
                Some((name, parameter)) => (name, weight(parameter)),
                None => (element, Some(1000)),
            };
            let is = |coding: &str| name.trim_ascii().eq_ignore_ascii_case(coding);
            let slot = if is("br") {
                &mut weights.brotli
            } else if is("zstd") {
                &mut weights.zstd
            } else if is("gzip") || is("x-gzip") {
                // https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.3
                &mut weights.gzip
            } else if is("identity") {
                &mut weights.identity
            } else if is("*") {
                &mut weights.any
            } else {
                continue;
            };
            // What has no proper weight counts as not mentioned.
            *slot = weight.or(*slot);
        }
        weights
    }

    fn of(&self, coding: Coding) -> u16 {
        let named = match coding {
            Coding::Brotli => self.brotli,
            Coding::Zstd => self.zstd,
            Coding::Gzip => self.gzip,
        };
        named.or(self.any).unwrap_or(0)
    }

    /// Where it is not mentioned it is acceptable, but less welcome than what is.
    fn identity(&self) -> u16 {
        self.identity.or(self.any).unwrap_or(0)
    }
}

/// `q=` and a number from 0 to 1 with three decimals at most: <https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2>.
fn weight(parameter: &str) -> Option<u16> {
    let parameter = parameter.trim();
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = decimals.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |number, digit| 10 * number + u16::from(digit - b'0'));
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip, Zstd};
    use super::*;

    #[track_caller]
    fn check(fields: &[&str], expected: &[Coding]) {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(ACCEPT_ENCODING, field.parse().unwrap());
        }
        assert_eq!(Coding::accepted(&headers).collect::<Vec<_>>(), expected, "{fields:?}");
    }

    #[test]
    fn codings_in_their_order() {
        check(&["gzip, deflate, br, zstd"], &[Brotli, Zstd, Gzip]);
        check(&["gzip, deflate"], &[Gzip]);
        check(&["gzip", "br"], &[Brotli, Gzip]);
        check(&["GZIP"], &[Gzip]);
        check(&["x-gzip"], &[Gzip]);
        check(&["br;q=0.5, gzip;q=0.8, zstd;q=0.8"], &[Zstd, Gzip, Brotli]);
        check(&["br ; q=0.001 ,gzip; Q=1.000"], &[Gzip, Brotli]);
        check(&["*"], &[Brotli, Zstd, Gzip]);
        check(&["*;q=0.5, gzip"], &[Gzip, Brotli, Zstd]);
        check(&["*, br;q=0"], &[Zstd, Gzip]);
        check(&["gzip, *;q=0"], &[Gzip]);
    }

    #[test]
    fn identity() {
        check(&[], &[]);
        check(&[""], &[]);
        check(&["identity"], &[]);
        check(&["compress, deflate, br2"], &[]);
        check(&["gzip;q=0"], &[]);
        check(&["gzip;q=0.000"], &[]);
        check(&["*;q=0"], &[]);
        check(&["identity;q=0"], &[]);
        check(&["identity;q=0, gzip"], &[Gzip]);
        check(&["identity;q=0.5, gzip;q=0.4"], &[]);
        check(&["identity;q=0.5, gzip;q=0.5"], &[Gzip]);
        check(&["identity, gzip;q=0.9, br"], &[Brotli]);
        check(&["*;q=0.5, gzip;q=0.1"], &[Brotli, Zstd]);
    }

    #[test]
    fn what_is_malformed_is_not_mentioned() {
        for element in
            ["gzip;q=2", "gzip;q=1.1", "gzip;q=0.1234", "gzip;q=-1", "gzip;q=.5", "gzip;q=", "gzip;q", "gzip;", "g zip"]
        {
            check(&[element], &[]);
            check(&[&format!("{element}, br")], &[Brotli]);
        }
        check(&["gzip;q=0.5;x=1"], &[]);
        check(&["gzip;q=1., br;q=0."], &[Gzip]);
        check(&[&"gzip,".repeat(10_000)], &[Gzip]);
        check(&[&"*;q=0.1,".repeat(10_000)], &[Brotli, Zstd, Gzip]);
    }

    #[test]
    fn siblings() {
        assert_eq!(Brotli.sibling(Path::new("a/app.js")), Path::new("a/app.js.br"));
        assert_eq!(Zstd.sibling(Path::new("app")), Path::new("app.zst"));
        assert_eq!(Gzip.sibling(Path::new("app.gz")), Path::new("app.gz.gz"));
    }
}
