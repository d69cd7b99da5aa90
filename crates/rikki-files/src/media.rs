//! Media types: by the extension of a name, or the name itself, and by the content where one extension means two
//! things.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use http::HeaderValue;

use super::source::Source;
use super::wait::{Unmet, Wait};

/// Which media types files have.
#[derive(Clone, Debug)]
pub(super) struct Types {
    /// The operator's, by extension in lower case.
    own: Arc<HashMap<String, HeaderValue>>,
    /// The charset of text; `None` to say nothing.
    charset: Option<HeaderValue>,
}

/// What is known of the content of a file before it is read.
pub(super) struct Media {
    /// The value of `Content-Type`.
    pub(super) content_type: HeaderValue,
    /// Whether the file is its content in the coding gzip.
    pub(super) is_gzipped: bool,
}

impl Media {
    /// Whether it becomes shorter by compressing: text, and the few binary formats that are not compressed themselves.
    pub(super) fn is_compressible(&self) -> bool {
        !self.is_gzipped && self.content_type.to_str().is_ok_and(is_compressible)
    }
}

const UTF_8: HeaderValue = HeaderValue::from_static("utf-8");

impl Default for Types {
    fn default() -> Self {
        Self { own: Arc::default(), charset: Some(UTF_8) }
    }
}

impl Types {
    pub(super) fn set(&mut self, extension: &str, media_type: HeaderValue) {
        let extension = extension.trim_start_matches('.').to_ascii_lowercase();
        Arc::make_mut(&mut self.own).insert(extension, media_type);
    }

    pub(super) fn set_charset(&mut self, charset: Option<HeaderValue>) {
        self.charset = charset;
    }

    /// The media of the file `name`, whose content may be looked into.
    ///
    /// # Errors
    ///
    /// When it cannot be, or not without waiting.
    pub(super) fn of(&self, name: &Path, source: &Source, wait: Wait) -> Result<Media, Unmet> {
        let extension = Extension::of(name);
        let is_gzipped = extension.is("svgz") && begins_as(source, wait, is_gzip)?;
        if let Some(own) = self.own(name) {
            return Ok(Media { content_type: self.with_charset_of(own), is_gzipped });
        }
        let is_stream = (extension.is("ts") || extension.is("mts")) && begins_as(source, wait, is_transport_stream)?;
        let media_type = if is_stream { "video/mp2t" } else { media_type(name, &extension) };
        Ok(Media { content_type: self.with_charset(media_type), is_gzipped })
    }

    fn own(&self, name: &Path) -> Option<&HeaderValue> {
        if self.own.is_empty() {
            return None;
        }
        self.own.get(&name.extension()?.to_str()?.to_ascii_lowercase())
    }

    fn with_charset_of(&self, own: &HeaderValue) -> HeaderValue {
        match (own.to_str(), &self.charset) {
            // What the operator says of it stands.
            (Ok(media_type), Some(charset)) if is_text(media_type) && !media_type.contains(';') => {
                join(media_type, charset).unwrap_or_else(|| own.clone())
            }
            _ => own.clone(),
        }
    }

    fn with_charset(&self, media_type: &'static str) -> HeaderValue {
        let is_json = media_type == "application/json" || media_type.ends_with("+json");
        let charset = match &self.charset {
            // https://www.rfc-editor.org/rfc/rfc8259#section-8.1
            _ if is_json => UTF_8,
            Some(charset) if is_text(media_type) => charset.clone(),
            _ => return HeaderValue::from_static(media_type),
        };
        // What pages are made of, without putting it together for each request.
        HeaderValue::from_static(match media_type {
            "text/html" if charset == UTF_8 => "text/html; charset=utf-8",
            "text/css" if charset == UTF_8 => "text/css; charset=utf-8",
            "text/javascript" if charset == UTF_8 => "text/javascript; charset=utf-8",
            "text/plain" if charset == UTF_8 => "text/plain; charset=utf-8",
            "application/json" => "application/json; charset=utf-8",
            _ => return join(media_type, &charset).unwrap_or_else(|| HeaderValue::from_static(media_type)),
        })
    }
}

fn join(media_type: &str, charset: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{media_type}; charset={}", charset.to_str().ok()?)).ok()
}

/// An extension in lower case; `?` for what is longer than those that are known here.
struct Extension {
    text: [u8; Self::LONGEST],
    length: usize,
}

impl Extension {
    const LONGEST: usize = 10;

    fn of(name: &Path) -> Self {
        let bytes = name.extension().map(std::ffi::OsStr::as_encoded_bytes).unwrap_or_default();
        let mut extension = Self { text: [0; Self::LONGEST], length: bytes.len() };
        match extension.text.get_mut(..bytes.len()) {
            Some(text) => text.copy_from_slice(bytes),
            None => (extension.text, extension.length) = ([b'?'; Self::LONGEST], 1),
        }
        extension.text.make_ascii_lowercase();
        extension
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    fn is(&self, text: &str) -> bool {
        self.text() == text.as_bytes()
    }
}

fn media_type(name: &Path, extension: &Extension) -> &'static str {
    match extension.text() {
        b"cjs" | b"mjs" | b"js" => "text/javascript",
        // What mime_guess does not know, or takes for something that hardly anybody has any more.
        b"adoc" | b"awk" | b"bash" | b"bat" | b"clj" | b"cmake" | b"cts" | b"diff" | b"ex" | b"exs" | b"fish"
        | b"go" | b"gradle" | b"graphql" | b"hcl" | b"hs" | b"java" | b"jl" | b"jsonl" | b"jsx" | b"kt" | b"kts"
        | b"lock" | b"mts" | b"ndjson" | b"nix" | b"patch" | b"properties" | b"proto" | b"ps1" | b"rb" | b"rst"
        | b"scala" | b"sql" | b"svelte" | b"swift" | b"tf" | b"ts" | b"tsx" | b"vue" | b"zig" | b"zsh" => "text/plain",
        b"deb" => "application/vnd.debian.binary-package",
        b"rpm" => "application/x-rpm",
        b"mtl" => "model/mtl",
        b"obj" => "model/obj",
        b"stl" => "model/stl",
        b"" => match name.file_name() {
            Some(name) if PLAIN_NAMES.iter().any(|plain| name.eq_ignore_ascii_case(plain)) => "text/plain",
            _ => UNKNOWN,
        },
        _ => match mime_guess::from_path(name).first_raw().unwrap_or(UNKNOWN) {
            // https://www.rfc-editor.org/rfc/rfc9239#section-6
            "application/javascript" => "text/javascript",
            other => other,
        },
    }
}

const UNKNOWN: &str = "application/octet-stream";

/// Names without an extension that text has, as a rule.
const PLAIN_NAMES: [&str; 34] = [
    "authors",
    "b2sums",
    "changelog",
    "changes",
    "codeowners",
    "containerfile",
    "contributing",
    "contributors",
    "copying",
    "copyright",
    "dockerfile",
    "gemfile",
    "gnumakefile",
    "history",
    "inrelease",
    "install",
    "jenkinsfile",
    "justfile",
    "licence",
    "license",
    "maintainers",
    "makefile",
    "md5sums",
    "news",
    "notice",
    "packages",
    "procfile",
    "rakefile",
    "readme",
    "release",
    "sha256sums",
    "sha512sums",
    "todo",
    "version",
];

/// Text of which HTTP has to say the charset. XML says it itself, and a parameter would go before that:
/// <https://www.rfc-editor.org/rfc/rfc7303#section-3>.
fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") && !is_xml(media_type)
}

fn is_xml(media_type: &str) -> bool {
    matches!(media_type, "text/xml" | "application/xml") || media_type.ends_with("+xml")
}

fn is_compressible(media_type: &str) -> bool {
    let media_type = media_type.split(';').next().unwrap_or_default().trim_end();
    is_text(media_type)
        || is_xml(media_type)
        || media_type.ends_with("+json")
        || matches!(
            media_type,
            "application/json"
                | "application/rtf"
                | "application/wasm"
                | "application/x-sh"
                | "application/x-tar"
                | "application/vnd.ms-fontobject"
                | "font/otf"
                | "font/ttf"
                | "image/bmp"
                | "image/x-icon"
                | "model/obj"
        )
}

/// How much of a content is looked into, in bytes.
const LOOKED_INTO: usize = 197;

fn begins_as(source: &Source, wait: Wait, is: fn(&[u8]) -> bool) -> Result<bool, Unmet> {
    let mut start = [0; LOOKED_INTO];
    let read = source.read_at(&mut start, 0, wait)?;
    let expected = usize::try_from(source.facts().length).map_or(LOOKED_INTO, |length| length.min(LOOKED_INTO));
    if read < expected && wait == Wait::No {
        return Err(Unmet::WouldWait);
    }
    Ok(start.get(..read).is_some_and(is))
}

/// Packets of 188 bytes that begin with 0x47 each, or of 192 with a time of four bytes in front, as cameras have them.
fn is_transport_stream(start: &[u8]) -> bool {
    let is_sync = |offset: usize| start.get(offset) == Some(&0x47);
    (is_sync(0) && is_sync(188)) || (is_sync(4) && is_sync(196))
}

fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(&[0x1f, 0x8b, 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_name(name: &str) -> &'static str {
        media_type(Path::new(name), &Extension::of(Path::new(name)))
    }

    #[test]
    fn content_types() {
        let check = |names: &str, expected: &str| {
            for name in names.split(' ') {
                assert_eq!(Types::default().with_charset(by_name(name)), expected, "{name}");
            }
        };
        check("a.html a.HTML", "text/html; charset=utf-8");
        check("a.js a.mjs a.cjs a.CJS", "text/javascript; charset=utf-8");
        check("a.css", "text/css; charset=utf-8");
        check("a.csv", "text/csv; charset=utf-8");
        check("a.md", "text/markdown; charset=utf-8");
        check("a.txt a.ts a.mts a.cts a.tsx a.jsx a.vue a.go a.diff a.jsonl a.ndjson", "text/plain; charset=utf-8");
        check("Makefile README readme LICENSE Dockerfile a/Packages InRelease", "text/plain; charset=utf-8");
        check("a.json", "application/json; charset=utf-8");
        check("a.webmanifest", "application/manifest+json; charset=utf-8");
        check("a.svg a.svgz", "image/svg+xml");
        check("a.xml a.xsl a.dtd", "text/xml");
        check("a.xhtml", "application/xhtml+xml");
        check("a.atom", "application/atom+xml");
        check("a.png", "image/png");
        check("a.wasm", "application/wasm");
        check("a.woff2", "font/woff2");
        check("a.tar.gz", "application/gzip");
        check("a.rpm", "application/x-rpm");
        check("a.deb", "application/vnd.debian.binary-package");
        check("a.stl", "model/stl");
        check("a.obj", "model/obj");
        check("readme2 a.unheard-of README.unheard-of a.averylongextension ts", "application/octet-stream");
    }

    #[test]
    fn charsets() {
        let check = |charset: Option<&'static str>, name: &str, expected: &str| {
            let mut types = Types::default();
            types.set_charset(charset.map(HeaderValue::from_static));
            assert_eq!(types.with_charset(by_name(name)), expected, "{charset:?} {name}");
        };
        check(Some("iso-8859-1"), "a.html", "text/html; charset=iso-8859-1");
        check(Some("iso-8859-1"), "README", "text/plain; charset=iso-8859-1");
        check(Some("iso-8859-1"), "a.csv", "text/csv; charset=iso-8859-1");
        check(Some("iso-8859-1"), "a.xml", "text/xml");
        check(Some("iso-8859-1"), "a.json", "application/json; charset=utf-8");
        check(None, "a.html", "text/html");
        check(None, "a.json", "application/json; charset=utf-8");
        check(None, "a.png", "image/png");
    }

    #[test]
    fn types_of_the_operator() {
        let mut types = Types::default();
        let mut set = |extension, media_type| types.set(extension, HeaderValue::from_static(media_type));
        set("foo", "text/x-foo");
        set(".BAR", "application/x-bar");
        set("html", "text/html; charset=koi8-r");
        set("feed", "application/rss+xml");
        let check = |name: &str, expected: Option<&str>| {
            let own = types.own(Path::new(name)).map(|own| types.with_charset_of(own));
            assert_eq!(own.as_ref().map(|own| own.to_str().unwrap()), expected, "{name}");
        };
        check("a.foo", Some("text/x-foo; charset=utf-8"));
        check("a.FOO", Some("text/x-foo; charset=utf-8"));
        check("a.bar", Some("application/x-bar"));
        check("a.html", Some("text/html; charset=koi8-r"));
        check("a.feed", Some("application/rss+xml"));
        check("foo", None);
        check("a.txt", None);
    }

    #[test]
    fn transport_streams() {
        let check = |sync: &[usize], length: usize, expected: bool| {
            let mut start = vec![0; length];
            for offset in sync {
                start[*offset] = 0x47;
            }
            assert_eq!(is_transport_stream(&start), expected, "{sync:?}");
        };
        check(&[0, 188], 197, true);
        check(&[0, 188], 189, true);
        check(&[4, 196], 197, true);
        check(&[0], 188, false);
        check(&[188], 197, false);
        check(&[], 0, false);
        // `GET` begins like a packet.
        assert!(!is_transport_stream(&b"GET some text".repeat(20)));
    }

    #[test]
    fn what_is_compressible() {
        let check = |names: &str, expected: bool| {
            for name in names.split(' ') {
                assert_eq!(is_compressible(by_name(name)), expected, "{name}: {}", by_name(name));
            }
        };
        check(
            "a.html a.css a.js a.mjs a.json a.xml a.svg a.txt a.md a.csv a.wasm a.webmanifest a.map a.ttf a.ico a.ts README",
            true,
        );
        check("a.png a.jpg a.webp a.mp4 a.zip a.gz a.br a.zst a.woff2 a.pdf a.rpm a.unheard-of", false);
        assert!(is_compressible("text/x-foo; charset=koi8-r") && is_compressible("application/rss+xml"));
    }
}
