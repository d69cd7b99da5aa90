//! Media types by the extension of a name.

use std::path::Path;

use http::HeaderValue;

/// The media type by the extension of a name, with a charset where the format is text.
pub(super) fn content_type(name: &Path) -> HeaderValue {
    let media_type = media_type(name);
    // What pages are made of, without putting it together for each request.
    HeaderValue::from_static(match media_type {
        "text/html" => "text/html; charset=utf-8",
        "text/css" => "text/css; charset=utf-8",
        "text/javascript" => "text/javascript; charset=utf-8",
        "text/plain" => "text/plain; charset=utf-8",
        "application/json" => "application/json; charset=utf-8",
        "image/svg+xml" => "image/svg+xml; charset=utf-8",
        _ if is_text(media_type) || media_type == "application/xml" => {
            return HeaderValue::try_from(format!("{media_type}; charset=utf-8"))
                .unwrap_or_else(|_| HeaderValue::from_static(media_type));
        }
        _ => media_type,
    })
}

/// Whether content of this name becomes shorter by compressing: text, and the few binary formats that are not
/// compressed themselves.
pub(super) fn is_compressible(name: &Path) -> bool {
    let media_type = media_type(name);
    is_text(media_type)
        || matches!(
            media_type,
            "application/json"
                | "application/xml"
                | "application/rtf"
                | "application/wasm"
                | "application/x-sh"
                | "application/x-tar"
                | "application/vnd.ms-fontobject"
                | "font/otf"
                | "font/ttf"
                | "image/bmp"
                | "image/x-icon"
        )
}

fn media_type(name: &Path) -> &'static str {
    match mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream") {
        // https://www.rfc-editor.org/rfc/rfc9239#section-6
        "application/javascript" => "text/javascript",
        other => other,
    }
}

fn is_text(media_type: &str) -> bool {
    media_type.starts_with("text/") || media_type.ends_with("+xml") || media_type.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        let check = |name: &str, expected: &str| assert_eq!(content_type(Path::new(name)), expected, "{name}");
        check("a.html", "text/html; charset=utf-8");
        check("a.HTML", "text/html; charset=utf-8");
        check("a.js", "text/javascript; charset=utf-8");
        check("a.mjs", "text/javascript; charset=utf-8");
        check("a.css", "text/css; charset=utf-8");
        check("a.txt", "text/plain; charset=utf-8");
        check("a.csv", "text/csv; charset=utf-8");
        check("a.json", "application/json; charset=utf-8");
        check("a.svg", "image/svg+xml; charset=utf-8");
        check("a.xml", "text/xml; charset=utf-8");
        check("a.webmanifest", "application/manifest+json; charset=utf-8");
        check("a.png", "image/png");
        check("a.wasm", "application/wasm");
        check("a.woff2", "font/woff2");
        check("a.tar.gz", "application/gzip");
        check("README", "application/octet-stream");
        check("a.unheard-of", "application/octet-stream");
    }
    #[test]
    fn what_is_compressible() {
        let check = |names: &str, expected: bool| {
            for name in names.split(' ') {
                assert_eq!(is_compressible(Path::new(name)), expected, "{name}: {}", media_type(Path::new(name)));
            }
        };
        check(
            "a.html a.css a.js a.mjs a.json a.xml a.svg a.txt a.md a.csv a.wasm a.webmanifest a.map a.ttf a.ico",
            true,
        );
        check("a.png a.jpg a.webp a.mp4 a.zip a.gz a.br a.zst a.woff2 a.pdf a.unheard-of README", false);
    }
}
