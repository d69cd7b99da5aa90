//! The page that lists a folder: one piece of HTML that loads nothing, and works without its script.

use std::fmt::{self, Display, Write};
use std::path::{Component, Path};

use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::sort::{Column, Sort, View};
use super::{Entry, Listing, MAX_ENTRIES, MAX_READ, iso_time};
use crate::path;

const STYLE: &str = include_str!("listing.css");

/// Shows times as the reader's clock does, and filters the names.
const SCRIPT: &str = include_str!("listing.js");

/// Nothing is loaded; the one style sheet and the one script that count are [`STYLE`] and [`SCRIPT`], by their SHA-256.
pub(crate) const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
                                 style-src 'sha256-KpEetnczJ2J6RzKiy8rCUSchkK52izSC7jVqq+S7OL8='; \
                                 script-src 'sha256-jTh0OOWxx21RkveO7i4PPCdUsApsSL+ZoJni2pV9xsI='";

/// All in front of the rows of what `relative` has led to. `url_path` is what the client sees of it.
pub(super) fn start(listing: &Listing, relative: &Path, url_path: &str, view: &View) -> String {
    let depth = relative.components().filter(|component| matches!(component, Component::Normal(_))).count();
    let mut page = head(url_path, depth);
    // Writing to a string cannot fail.
    let _ = write!(page, "{}", Tools(listing, view));
    page.push_str("<table>\n<thead>\n<tr>");
    for column in Column::ALL {
        let _ = write!(page, "{}", Head(column, view.sort));
    }
    page.push_str("</tr>\n</thead>\n<tbody>\n");
    if depth > 0 {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    page
}

/// All behind the rows.
pub(super) fn end(listing: &Listing) -> String {
    let mut page =
        String::from("</tbody>\n</table>\n<p id=\"none\" role=\"status\" hidden>No name contains this.</p>\n");
    if listing.len == 0 {
        page.push_str("<p>There is nothing to show in this folder.</p>\n");
    }
    let _ = write!(page, "</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n");
    page
}

/// A page that says what went wrong, with a link `back` if there is somewhere to go. It has nothing of the request.
pub(crate) fn error(status: StatusCode, back: Option<&str>) -> String {
    let back = back.map_or(String::new(), |back| format!("<p><a href=\"{back}\">Back to the folder</a></p>\n"));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{status}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{status}</h1>\n{back}</main>\n</body>\n</html>\n"
    )
}

/// The filter, by whose form the heads of the columns sort too: links to each order would be followed by whoever
/// fetches all of a folder. And what is missing on the page, and where it is.
struct Tools<'a>(&'a Listing, &'a View);

impl Display for Tools<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(listing, view) = *self;
        // The first button is pressed by the key Enter: the order stays.
        writeln!(
            f,
            "<form id=\"view\"><input id=\"filter\" name=\"filter\" type=\"search\" value=\"{}\" placeholder=\"Filter\" \
             aria-label=\"Filter\" autocomplete=\"off\"> <button name=\"sort\" value=\"{}\">Filter</button>{}</form>",
            Text(&view.filter),
            view.sort.value(),
            Count(listing)
        )?;
        if listing.cut {
            writeln!(f, "<p>This folder is too large: only {MAX_READ} of its entries were read.</p>")?;
        }
        if listing.total > listing.len {
            let first = (view.page - 1) * MAX_ENTRIES + 1;
            let last = first + listing.len - 1;
            write!(f, "<p>Entries {first} to {} of {} in this order.", last.max(first), listing.total)?;
            let link = |page: usize| view.query(page);
            if view.page > 1 {
                write!(f, " <a href=\"{}\" rel=\"prev\">Previous</a>", Text(&link(view.page - 1)))?;
            }
            if listing.has_next(view) {
                write!(f, " <a href=\"{}\" rel=\"next\">Next</a>", Text(&link(view.page + 1)))?;
            }
            f.write_str("</p>\n")?;
        }
        Ok(())
    }
}

/// How many entries there are on all pages, and what the files among them have together.
struct Count<'a>(&'a Listing);

impl Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listing { total, size, .. } = self.0;
        let entries = if *total == 1 { "entry" } else { "entries" };
        let title = "The files of this folder, without those in folders below it";
        write!(f, "<span title=\"{title}\"><span id=\"count\">{total} {entries}</span>, {}</span>", Size(*size))
    }
}

/// All above the table. Each folder on the way links to its own listing, `depth` of them: what is above them may be
/// another application's.
fn head(url_path: &str, depth: usize) -> String {
    let path = percent_decode_str(url_path).decode_utf8_lossy();
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>Index of {}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Index of ",
        Text(&path)
    );
    // Split before it is decoded: a slash in a name would be none.
    let mut names: Vec<_> = url_path.split('/').collect();
    // What is behind the last slash is nothing.
    names.pop();
    for (index, name) in names.iter().enumerate() {
        let name = percent_decode_str(name).decode_utf8_lossy();
        let up = names.len() - 1 - index;
        let _ = match up {
            1.. if up <= depth => write!(page, "<a href=\"{}\"><bdi>{}</bdi>/</a>", "../".repeat(up), Text(&name)),
            _ => write!(page, "<bdi>{}</bdi>/", Text(&name)),
        };
    }
    page.push_str("</h1>\n");
    page
}

/// The head of a column, which sorts by it.
struct Head(Column, Sort);

impl Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(column, sort) = *self;
        let order = match (sort.column == column, sort.descending) {
            (false, _) => "",
            (true, false) => " aria-sort=\"ascending\"",
            (true, true) => " aria-sort=\"descending\"",
        };
        let label = match column {
            Column::Name => "Name",
            Column::Size => "Size",
            Column::Modified => "Modified<span id=\"zone\"> (UTC)</span>",
        };
        let next = sort.next(column).value();
        write!(f, "<th scope=\"col\"{order}><button form=\"view\" name=\"sort\" value=\"{next}\">{label}</button></th>")
    }
}

/// The row of an entry.
pub(super) struct Row<'a>(pub(super) &'a Entry);

impl Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Entry { name, is_folder, size, modified }) = self;
        let href = path::encode(name.as_encoded_bytes());
        let name = name.to_string_lossy();
        let slash = if *is_folder { "/" } else { "" };
        // The exact size is told by the link, which is above all of the row.
        let (title, size) = match is_folder {
            true => (String::new(), String::new()),
            false => (format!(" title=\"{size} bytes\""), Size(*size).to_string()),
        };
        let name = Text(&name);
        write!(f, "<tr><td><a href=\"./{href}{slash}\"{title}><bdi>{name}</bdi>{slash}</a></td><td>{size}</td>")?;
        let Some(time) = modified else { return f.write_str("<td></td></tr>") };
        let time = iso_time(*time);
        // "1994-11-06T08:49:37Z" without the seconds and the zone.
        let shown = time.get(..16).unwrap_or(&time).replace('T', " ");
        write!(f, "<td><time datetime=\"{time}\">{shown}</time></td></tr>")
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

    #[test]
    fn breadcrumbs() {
        let check = |url_path: &str, depth: usize, expected: &str| {
            let page = head(url_path, depth);
            let crumbs = page.split("<h1>Index of ").nth(1).and_then(|rest| rest.strip_suffix("</h1>\n"));
            assert_eq!(crumbs.unwrap().replace("<bdi>", "").replace("</bdi>", ""), expected, "{url_path}");
        };
        check("/", 0, "/");
        check("/a/", 1, "<a href=\"../\">/</a>a/");
        check("/a/b%2F%3C/c/", 3, "<a href=\"../../../\">/</a><a href=\"../../\">a/</a><a href=\"../\">b/&lt;/</a>c/");
        // Below a nested router.
        check("/outside/", 0, "/outside/");
        check("/outside/sub/", 1, "/<a href=\"../\">outside/</a>sub/");
    }

    /// What is changed changes its hash: the failed assertion shows the new one.
    #[test]
    fn the_policy_names_the_style_sheet_and_the_script() {
        let suite = rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        for (directive, content) in [("style-src", STYLE), ("script-src", SCRIPT)] {
            let hash = suite.common.hash_provider.hash(content.as_bytes());
            let source = format!("{directive} 'sha256-{}'", base64(hash.as_ref()));
            assert!(POLICY.split("; ").any(|part| part == source), "{source}");
            // It would end the element.
            assert!(!content.contains("</"), "{directive}");
        }
    }

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
