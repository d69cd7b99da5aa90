//! From the raw path of a request to a relative path below the root, and from names back to URLs.
//!
//! Dot segments are resolved once, by [`resolve`], before anything else judges the path. Beyond that a path is taken as
//! it is, or refused, so that what a proxy in front, an access rule and the file system each understand by it is one
//! and the same. Whether a file of that name exists, and where its links lead, is left to [`super::open`].

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write;
use std::path::PathBuf;

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, percent_decode_str, percent_encode};

/// Why a path is no path of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Refused {
    /// It leads out of the root.
    Outside,
    /// No name is written like this.
    Malformed,
    /// No file that is served has such a name.
    Unfindable,
}

impl Refused {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Outside | Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Unfindable => StatusCode::NOT_FOUND,
        }
    }
}

/// Removes dot segments, also where the dots are percent-encoded, and leaves everything else as it is.
///
/// Names that are taken back by `..` are judged too, but for the dot in front: what they mean is not the same
/// everywhere. A proxy that merges slashes or decodes `%2F` would take back another name.
/// <https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4>, <https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2.3>
pub(crate) fn resolve(raw: &str) -> Result<Cow<'_, str>, Refused> {
    // For each request, so by a look at the first byte of each segment alone.
    let may_have_dots = raw.starts_with(['.', '%']) || raw.as_bytes().windows(2).any(|at| matches!(at, b"/." | b"/%"));
    if !may_have_dots || raw.split('/').all(|segment| dots(segment).is_none()) {
        return Ok(raw.into());
    }
    let rest = raw.strip_prefix('/').ok_or(Refused::Malformed)?;
    let mut names = Vec::new();
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        match dots(segment) {
            None => names.push(segment),
            Some(Dots::Here) => {}
            Some(Dots::Up) => check_name(&decode(names.pop().ok_or(Refused::Outside)?)?, true)?,
        }
        // Dots at the end name a folder.
        if dots(segment).is_some() && segments.peek().is_none() {
            names.push("");
        }
    }
    Ok(format!("/{}", names.join("/")).into())
}

enum Dots {
    Here,
    Up,
}

/// Which dot segment this is, if it is one.
fn dots(segment: &str) -> Option<Dots> {
    // Most segments are told by their first byte.
    if !segment.starts_with(['.', '%']) {
        return None;
    }
    let mut rest = segment;
    let mut count = 0;
    while !rest.is_empty() {
        rest = ["%2e", "%2E", "."].iter().find_map(|dot| rest.strip_prefix(dot))?;
        count += 1;
    }
    match count {
        1 => Some(Dots::Here),
        2 => Some(Dots::Up),
        _ => None,
    }
}

/// Which names may begin with a dot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Dotted {
    None,
    /// The one that sites have for others to find, at the root of the server and in no other folder:
    /// <https://www.rfc-editor.org/rfc/rfc8615#section-3>.
    WellKnown,
    All,
}

pub(super) const WELL_KNOWN: &str = ".well-known";

impl Dotted {
    /// Whether this name may, which may be the first one.
    fn allows(self, name: &[u8], is_first: bool) -> bool {
        match self {
            Self::None => false,
            Self::WellKnown => is_first && name == WELL_KNOWN.as_bytes(),
            Self::All => true,
        }
    }
}

/// A path that passed every rule.
#[derive(Debug, PartialEq)]
pub(super) struct RequestPath {
    /// Relative to the root; `.` for the root itself.
    pub(super) relative: PathBuf,
    /// Whether the path ended in a slash, and so asks for a folder.
    pub(super) folder: bool,
}

impl RequestPath {
    /// Takes a path without dot segments, still percent-encoded; an empty one is the root without its slash.
    pub(super) fn parse(raw: &str, dotted: Dotted) -> Result<Self, Refused> {
        if raw.is_empty() {
            return Ok(Self { relative: PathBuf::from("."), folder: false });
        }
        let rest = raw.strip_prefix('/').ok_or(Refused::Malformed)?;
        if rest.is_empty() {
            return Ok(Self { relative: PathBuf::from("."), folder: true });
        }
        let names = rest.strip_suffix('/');
        let folder = names.is_some();
        let mut relative = PathBuf::new();
        for segment in names.unwrap_or(rest).split('/') {
            // An empty segment is a name of its own (RFC 3986, section 3.3), and no file has it.
            // https://www.rfc-editor.org/rfc/rfc3986#section-3.3
            if segment.is_empty() {
                return Err(Refused::Unfindable);
            }
            let name = decode(segment)?;
            check_name(&name, dotted.allows(&name, relative.as_os_str().is_empty()))?;
            relative.push(os_name(&name).ok_or(Refused::Unfindable)?);
        }
        Ok(Self { relative, folder })
    }
}

/// Says whether and why a name is refused: the rule for one decoded segment and for one listed entry. With `hidden`,
/// names may begin with a dot.
pub(super) fn check_name(name: &[u8], hidden: bool) -> Result<(), Refused> {
    // No dot segment is left when they have been resolved.
    let is_dots = name == b"." || name == b"..";
    if is_dots || name.iter().any(|&byte| byte < b' ' || byte == 0x7f) {
        return Err(Refused::Malformed);
    }
    // `%2F` is data and not a separator (RFC 3986, section 2.2): no file name contains it.
    // https://www.rfc-editor.org/rfc/rfc3986#section-2.2
    if name.is_empty() || name.contains(&b'/') || (!hidden && name.starts_with(b".")) {
        return Err(Refused::Unfindable);
    }
    if cfg!(windows) { check_name_for_windows(name) } else { Ok(()) }
}

/// What Windows takes for something else than a plain name: elsewhere these are names like any other.
fn check_name_for_windows(name: &[u8]) -> Result<(), Refused> {
    // A drive, a stream of a file, or a separator.
    if name.iter().any(|byte| matches!(byte, b'\\' | b':')) {
        return Err(Refused::Malformed);
    }
    // Dots and spaces at the end are dropped, so that the name would lead to another file.
    if name.ends_with(b".") || name.ends_with(b" ") || is_windows_alias(name) {
        return Err(Refused::Unfindable);
    }
    Ok(())
}

/// Whether Windows takes a name for a device (`nul.txt`) or for the short form of another name (`GIT~1`).
fn is_windows_alias(name: &[u8]) -> bool {
    let stem = name.split(|&byte| byte == b'.').next().unwrap_or(name).trim_ascii_end().to_ascii_lowercase();
    let is_device = match stem.as_slice() {
        b"con" | b"prn" | b"aux" | b"nul" | b"conin$" | b"conout$" => true,
        [b'c', b'o', b'm', number @ ..] | [b'l', b'p', b't', number @ ..] => {
            matches!(number, [b'0'..=b'9'] | [0xc2, 0xb9 | 0xb2 | 0xb3])
        }
        _ => false,
    };
    is_device || name.windows(2).any(|pair| matches!(pair, [b'~', digit] if digit.is_ascii_digit()))
}

/// Decodes one segment, once. `%` without two hexadecimal digits is an error (RFC 3986, section 2.1).
fn decode(segment: &str) -> Result<Cow<'_, [u8]>, Refused> {
    let mut escapes = segment.split('%').skip(1);
    // https://www.rfc-editor.org/rfc/rfc3986#section-2.1
    if !escapes.all(|tail| matches!(tail.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())) {
        return Err(Refused::Malformed);
    }
    Ok(percent_decode_str(segment).into())
}

#[cfg(unix)]
fn os_name(name: &[u8]) -> Option<&OsStr> {
    Some(std::os::unix::ffi::OsStrExt::from_bytes(name))
}

#[cfg(not(unix))]
fn os_name(name: &[u8]) -> Option<&OsStr> {
    std::str::from_utf8(name).ok().map(OsStr::new)
}

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name as one URL segment, byte by byte, so that names which are not UTF-8 survive.
pub(super) fn encode(name: &[u8]) -> PercentEncode<'_> {
    percent_encode(name, ENCODED)
}

/// The `Location` of the folder that a raw path without dot segments names without its slash.
///
/// It is relative to that path, so that it holds behind a proxy that serves the folder at another one, and begins with
/// a dot: `10:30/` would be of another scheme, and two slashes would name another host (RFC 3986, section 4.2).
pub(super) fn location(raw: &str, query: Option<&str>) -> String {
    let name = Cow::from(percent_decode_str(raw.rsplit('/').next().unwrap_or_default()));
    let mut location = format!("./{}/", encode(&name));
    if let Some(query) = query {
        // The query is not ours to decode; this only keeps the header value in ASCII.
        let _ = write!(location, "?{}", percent_encoding::utf8_percent_encode(query, percent_encoding::CONTROLS));
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(raw: &str, expected: Result<(&str, bool), u16>) {
        let parsed = RequestPath::parse(raw, Dotted::None);
        let parsed = parsed.as_ref().map(|path| (path.relative.to_str().unwrap(), path.folder));
        assert_eq!(parsed.map_err(|refused| refused.status().as_u16()), expected, "{raw:?}");
    }

    #[test]
    fn plain_paths() {
        check("/", Ok((".", true)));
        check("/ok.txt", Ok(("ok.txt", false)));
        check("/sub/", Ok(("sub", true)));
        check("/sub/a%20b.txt", Ok(("sub/a b.txt", false)));
        check("/%c3%a4", Ok(("ä", false)));
        check("/ä", Ok(("ä", false)));
        check("/a..b", Ok(("a..b", false)));
        check("/%2541", Ok(("%41", false)));
        check("/%252e%252e/secret", Ok(("%2e%2e/secret", false)));
    }

    #[test]
    fn dot_segments_are_resolved_once() {
        let check = |raw: &str, expected: Result<&str, Refused>| {
            assert_eq!(resolve(raw).as_deref().map_err(|refused| *refused), expected, "{raw:?}");
        };
        for same in
            ["/", "/a/b", "/a//b/", "//", "*", "", "/...", "/.a/a./a..b", "/%2ea", "/%252e/x", "/..%2f", "/a/..;/"]
        {
            check(same, Ok(same));
        }
        check("/apt/./Packages", Ok("/apt/Packages"));
        check("/./a", Ok("/a"));
        check("/a/%2e/b", Ok("/a/b"));
        check("/a/../b", Ok("/b"));
        check("/a/b/../../c/", Ok("/c/"));
        check("/a/%2E%2e/b", Ok("/b"));
        check("/a/.%2e/%2e/b/", Ok("/b/"));
        check("/a/.", Ok("/a/"));
        check("/a/..", Ok("/"));
        check("/a/b/%2e%2e", Ok("/a/"));
        check("/.", Ok("/"));
        check("/.git/../a", Ok("/a"));
        check("/a/%2e%2e/%252e%252e/b", Ok("/%252e%252e/b"));
        check("/a/../b//", Ok("/b//"));
        for outside in ["/..", "/../a", "/a/../../b", "/./../a", "/%2e%2e/a", "/a/../..", "/a/%2e%2e/..//b"] {
            check(outside, Err(Refused::Outside));
        }
        check(&format!("{}/a", "/..".repeat(200)), Err(Refused::Outside));
        for elsewhere in ["/a//../b", "/a%2fb/../c", "/..%2f/../c"] {
            check(elsewhere, Err(Refused::Unfindable));
        }
        check("/a%00/../b", Err(Refused::Malformed));
        check("/%zz/../b", Err(Refused::Malformed));
    }

    #[test]
    fn paths_are_not_normalised_otherwise() {
        check("", Ok((".", false)));
        check("*", Err(400));
        check("ok.txt", Err(400));
        check("//", Err(404));
        check("//secret", Err(404));
        check("/sub//ok.txt", Err(404));
        check("/sub//", Err(404));
        // What was not resolved leads nowhere.
        check("/../secret", Err(400));
        check("/%2e%2e/secret", Err(400));
        check("/./", Err(400));
    }

    #[test]
    fn encoded_separators_separate_nothing() {
        check("/sub%2fok.txt", Err(404));
        check("/sub%2Fok.txt", Err(404));
        check("/%2fetc/passwd", Err(404));
        check("/..%2fsecret", Err(404));
        check("/..%5csecret", Err(404));
        check("/..\\secret", Err(404));
    }

    #[test]
    fn hidden_names() {
        check("/.git/config", Err(404));
        check("/sub/.env", Err(404));
        check("/%2egit/config", Err(404));
        check("/.well-known/x", Err(404));
        check("/....//secret", Err(404));
        check("/..;/", Err(404));
        check("/..%c0%afsecret", Err(404));
    }

    #[cfg(unix)]
    #[test]
    fn names_that_only_windows_refuses() {
        check("/time/10:30", Ok(("time/10:30", false)));
        check("/10%3a30/", Ok(("10:30", true)));
        check("/C:/x", Ok(("C:/x", false)));
        check("/ok.txt::$DATA", Ok(("ok.txt::$DATA", false)));
        check("/a%5cb", Ok(("a\\b", false)));
        check("/%5c%5chost/share", Ok(("\\\\host/share", false)));
        check("/a.", Ok(("a.", false)));
        check("/a...", Ok(("a...", false)));
        check("/a%20", Ok(("a ", false)));
        check("/%20", Ok((" ", false)));
        check("/CON", Ok(("CON", false)));
    }

    #[test]
    fn names_for_windows() {
        let check = |name: &str, expected: Result<(), Refused>| {
            assert_eq!(check_name_for_windows(name.as_bytes()), expected, "{name:?}");
        };
        for name in ["ok.txt", "a b", " a", ".a", "console.log", "a~b", "\u{e4}"] {
            check(name, Ok(()));
        }
        for name in ["C:", "ok.txt::$DATA", "ok.txt:stream", "a\\b", "\\\\host", "..\\secret"] {
            check(name, Err(Refused::Malformed));
        }
        for name in ["ok.txt.", "ok.txt ", "a. .", "...", "nul.txt", "CON", "GIT~1"] {
            check(name, Err(Refused::Unfindable));
        }
    }

    #[test]
    fn hidden_names_may_be_served() {
        let check = |raw: &str, expected: Result<&str, u16>| {
            let parsed = RequestPath::parse(raw, Dotted::All);
            let parsed = parsed.as_ref().map(|path| path.relative.to_str().unwrap());
            assert_eq!(parsed.map_err(|refused| refused.status().as_u16()), expected, "{raw:?}");
        };
        check("/.git/config", Ok(".git/config"));
        check("/.well-known/x", Ok(".well-known/x"));
        check("/...a", Ok("...a"));
        check("/.", Err(400));
        check("/..", Err(400));
        check("/.git/%2e%2e/%2E%2e/secret", Err(400));
    }

    #[test]
    fn the_well_known_name_may_be_the_first() {
        let check = |raw: &str, expected: Result<&str, u16>| {
            let parsed = RequestPath::parse(raw, Dotted::WellKnown);
            let parsed = parsed.as_ref().map(|path| path.relative.to_str().unwrap());
            assert_eq!(parsed.map_err(|refused| refused.status().as_u16()), expected, "{raw:?}");
        };
        check("/.well-known/security.txt", Ok(".well-known/security.txt"));
        check("/%2ewell-known/a/b", Ok(".well-known/a/b"));
        check("/.well-known", Ok(".well-known"));
        check("/.well-known/.git/config", Err(404));
        check("/.well-known/.well-known/x", Err(404));
        check("/sub/.well-known/x", Err(404));
        check("/.Well-Known/x", Err(404));
        check("/.well-known-not/x", Err(404));
        check("/.git/config", Err(404));
    }

    #[test]
    fn control_characters_and_broken_escapes() {
        check("/ok.txt%00.png", Err(400));
        check("/.%00./", Err(400));
        check("/%0d%0aSet-Cookie:x", Err(400));
        check("/a%7fb", Err(400));
        check("/a\u{7f}b", Err(400));
        check("/%", Err(400));
        check("/%4", Err(400));
        check("/%zz", Err(400));
        check("/%+1", Err(400));
        check("/%%41", Err(400));
    }

    #[test]
    fn windows_aliases() {
        for name in ["CON", "nul.txt", "COM1", "lpt9.tar.gz", "aux .x", "COM\u{b9}", "GIT~1", "direct~1.txt"] {
            assert!(is_windows_alias(name.as_bytes()), "{name}");
        }
        for name in ["console", "COM", "COM10", "nully.txt", "a~b", "~", "com\u{b4}"] {
            assert!(!is_windows_alias(name.as_bytes()), "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_need_not_be_utf8() {
        let path = RequestPath::parse("/%ff%fe.txt", Dotted::None).unwrap();
        assert_eq!(path.relative.as_os_str().as_encoded_bytes(), b"\xff\xfe.txt");
        assert_eq!(encode(b"\xff\xfe.txt").to_string(), "%FF%FE.txt");
    }

    #[track_caller]
    fn check_location(raw: &str, query: Option<&str>, expected: &str) {
        assert_eq!(location(raw, query), expected);
    }

    #[test]
    fn locations_stay_on_this_host() {
        check_location("/sub", None, "./sub/");
        check_location("/a b/%c3%a4/ü", None, "./%C3%BC/");
        check_location("/sub", Some("a=1&b=%20"), "./sub/?a=1&b=%20");
        check_location("/sub", Some("ä"), "./sub/?%C3%A4");
        check_location("/time/10:30", None, "./10%3A30/");
        check_location("//evil.test", None, "./evil.test/");
        check_location("/\\evil.test", None, "./%5Cevil.test/");
        check_location("/%5cevil.test", None, "./%5Cevil.test/");
        check_location("/%2fevil.test", None, "./%2Fevil.test/");
    }
}
