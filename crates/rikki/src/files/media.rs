//! Media types by the extension of a name.

use std::path::Path;

use http::HeaderValue;

/// The media type by the extension of a name, with a charset where the format is text.
pub(super) fn content_type(name: &Path) -> HeaderValue {
    let media_type = match mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream") {
        // https://www.rfc-editor.org/rfc/rfc9239#section-6
        "application/javascript" => "text/javascript",
        other => other,
    };
    let is_text = media_type.starts_with("text/")
        || media_type.ends_with("+xml")
        || media_type.ends_with("+json")
        || matches!(media_type, "application/json" | "application/xml");
    if !is_text {
        return HeaderValue::from_static(media_type);
    }
    HeaderValue::try_from(format!("{media_type}; charset=utf-8"))
        .unwrap_or_else(|_| HeaderValue::from_static(media_type))
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
}
