//! The page that lists a folder: plain HTML without scripts or other files.
//!
//! What is listed is what can be fetched: names that [`super::path`] refuses, hidden and denied files, links that lead
//! out of the root and whatever is neither file nor folder are left out.

use std::ffi::OsString;
use std::fmt::{self, Display, Write};
use std::io;
use std::path::Path;

use axum::body::Body;
use cap_std::fs::{Dir, DirEntry, Metadata};
use http::header::{CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response};
use percent_encoding::percent_decode_str;

use super::conditional::http_time;
use super::open::{Denials, Root};
use super::path;

/// How many entries of a folder are read: about 2 MB of page.
const MAX_ENTRIES: usize = 10_000;

const STYLE: &str = include_str!("listing.css");

/// Nothing is loaded or run; the one style sheet that counts is [`STYLE`], by its SHA-256.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; \
                      style-src 'sha256-esUmBylduAPOxX/y+8YbZ8lXqH57afYlp8zYZcvLLOY='";

/// Lists `folder`, which `relative` has led to. `url_path` is what the client sees of it. Blocks.
pub(super) fn listing(root: &Root, folder: &Dir, relative: &Path, url_path: &str) -> io::Result<Response<Body>> {
    let (entries, cut) = read(root, folder, relative)?;
    let has_parent = relative != Path::new(".");
    let page = page(&entries, url_path, has_parent, cut);
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(CONTENT_LENGTH, page.len().into());
    *response.body_mut() = page.into();
    Ok(response)
}

struct Entry {
    name: OsString,
    metadata: Metadata,
}

/// The entries to show, folders first, and whether there were more than are read.
fn read(root: &Root, folder: &Dir, relative: &Path) -> io::Result<(Vec<Entry>, bool)> {
    let denials = root.denials();
    let mut dir = folder.entries()?;
    let mut entries = Vec::new();
    for entry in dir.by_ref().take(MAX_ENTRIES) {
        entries.extend(visible(root, &denials, relative, &entry?));
    }
    entries.sort_by_cached_key(|entry| {
        (!entry.metadata.is_dir(), entry.name.to_string_lossy().to_lowercase(), entry.name.clone())
    });
    Ok((entries, dir.next().is_some()))
}

fn visible(root: &Root, denials: &Denials, relative: &Path, entry: &DirEntry) -> Option<Entry> {
    let name = entry.file_name();
    path::check_name(name.as_encoded_bytes()).ok()?;
    let metadata = entry.metadata().ok()?;
    // A link counts as what it leads to, and it may lead anywhere below the root.
    let metadata = if metadata.is_symlink() { root.metadata(&relative.join(&name)).ok()? } else { metadata };
    let servable = metadata.is_dir() || (metadata.is_file() && !denials.covers(&metadata));
    servable.then_some(Entry { name, metadata })
}

fn page(entries: &[Entry], url_path: &str, has_parent: bool, cut: bool) -> String {
    let path = percent_decode_str(url_path).decode_utf8_lossy();
    let title = Text(&path);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Index of {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Index of <bdi>{title}</bdi></h1>\n<table>\n<thead>\n\
         <tr><th scope=\"col\">Name</th><th scope=\"col\">Size</th><th scope=\"col\">Modified (UTC)</th></tr>\n\
         </thead>\n<tbody>\n"
    );
    if has_parent {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in entries {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{entry}");
    }
    page.push_str("</tbody>\n</table>\n");
    if cut {
        let _ = writeln!(page, "<p>This folder is too large: only {MAX_ENTRIES} of its entries were read.</p>");
    } else if entries.is_empty() {
        page.push_str("<p>There is nothing to show in this folder.</p>\n");
    }
    page.push_str("</body>\n</html>\n");
    page
}

/// The row of an entry.
impl Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let href = path::encode(self.name.as_encoded_bytes());
        let name = self.name.to_string_lossy();
        let name = Text(&name);
        let slash = if self.metadata.is_dir() { "/" } else { "" };
        write!(f, "<tr><td><a href=\"{href}{slash}\"><bdi>{name}</bdi>{slash}</a></td>")?;
        if self.metadata.is_dir() {
            f.write_str("<td></td>")?;
        } else {
            let bytes = self.metadata.len();
            write!(f, "<td title=\"{bytes} bytes\">{}</td>", Size(bytes))?;
        }
        match self.metadata.modified() {
            // "Sun, 06 Nov 1994 08:49:37 GMT", without the day of the week, the seconds and the zone.
            Ok(time) => {
                let date = httpdate::fmt_http_date(http_time(time.into_std()));
                write!(f, "<td title=\"{date}\">{}</td></tr>", date.get(5..22).unwrap_or(&date))
            }
            Err(_) => f.write_str("<td></td></tr>"),
        }
    }
}

/// A number of bytes in the largest unit that keeps it above one.
struct Size(u64);

impl Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut size = self.0 as f64 / 1024.0;
        let mut units = ["KiB", "MiB", "GiB", "TiB", "PiB"].into_iter();
        let mut unit = units.next();
        // From here on one decimal place would be rounded up to 1024.0.
        while size >= 1023.95 {
            size /= 1024.0;
            unit = units.next();
        }
        write!(f, "{size:.1} {}", unit.unwrap_or("EiB"))
    }
}

/// Text for HTML, in elements and in quoted attributes. Control characters are shown as their number.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                control if control.is_control() => write!(f, "{}", control.escape_unicode())?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        let check = |text: &str, expected: &str| assert_eq!(Text(text).to_string(), expected);
        check("a b.txt", "a b.txt");
        check("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;");
        check("\"'&amp;", "&quot;&#39;&amp;amp;");
        check("a\u{85}b\0", "a\\u{85}b\\u{0}");
        check("\u{202e}gpj.exe", "\u{202e}gpj.exe");
    }

    #[test]
    fn sizes() {
        let check = |bytes: u64, expected: &str| assert_eq!(Size(bytes).to_string(), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(1536, "1.5 KiB");
        check(1024 * 1024 - 1, "1.0 MiB");
        check(5 * 1024 * 1024 * 1024, "5.0 GiB");
        check(u64::MAX, "16.0 EiB");
    }

    /// A changed style sheet changes the hash: the failed assertion shows the new one.
    #[cfg(feature = "tls")]
    #[test]
    fn the_policy_names_the_style_sheet() {
        let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let hash = suite.common.hash_provider.hash(STYLE.as_bytes());
        let source = format!("'sha256-{}'", base64(hash.as_ref()));
        assert!(POLICY.ends_with(&source), "the style sheet is {source}");
    }

    #[cfg(feature = "tls")]
    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let bits = (0..3).fold(0, |bits, index| bits << 8 | usize::from(*chunk.get(index).unwrap_or(&0)));
            for index in 0..4 {
                let digit = DIGITS[bits >> (18 - 6 * index) & 63];
                text.push(if index <= chunk.len() { digit.into() } else { '=' });
            }
        }
        text
    }
}
