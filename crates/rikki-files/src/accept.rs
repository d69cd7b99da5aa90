//! What a client would rather have: the header `Accept` ([RFC 9110 section 12.5.1]).
//!
//! [RFC 9110 section 12.5.1]: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1

use http::HeaderMap;
use http::header::ACCEPT;

/// How much a client wants a media type: by the quality value, and of two that are equal the one that it has named.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Preference {
    /// From 0, not acceptable, to 1.
    quality: f32,
    /// How closely the media range fits: 0 for any type, 1 for any subtype, 2 for the type itself.
    precision: u8,
}

impl Preference {
    pub(super) fn of(headers: &HeaderMap, main_type: &str, subtype: &str) -> Self {
        if !headers.contains_key(ACCEPT) {
            return Self { quality: 1.0, precision: 0 };
        }
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges = values.flat_map(|value| value.split(',')).filter_map(|range| fit(range, main_type, subtype));
        // The most precise range counts, also where it refuses.
        let best = ranges.reduce(|a, b| if b.precision > a.precision { b } else { a });
        best.filter(|best| best.quality > 0.0).unwrap_or(Self { quality: 0.0, precision: 0 })
    }

    /// Whether the type is acceptable, and named as such rather than as one of all types.
    pub(super) fn is_named(self) -> bool {
        self.precision == 2
    }
}

/// What one media range says of a type, if it is one that includes the type. Other parameters than `q` are passed over.
fn fit(range: &str, main_type: &str, subtype: &str) -> Option<Preference> {
    let mut parts = range.split(';').map(str::trim);
    let (range_type, range_subtype) = parts.next()?.split_once('/')?;
    let precision = match (range_type, range_subtype) {
        ("*", "*") => 0,
        (own, "*") if own.eq_ignore_ascii_case(main_type) => 1,
        (own, sub) if own.eq_ignore_ascii_case(main_type) && sub.eq_ignore_ascii_case(subtype) => 2,
        _ => return None,
    };
    let weight = parts.find_map(|parameter| parameter.strip_prefix(['q', 'Q'])?.strip_prefix('='));
    // https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2
    let quality =
        weight.map_or(Some(1.0), |weight| weight.parse().ok().filter(|weight| (0.0..=1.0).contains(weight)))?;
    Some(Preference { quality, precision })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, value.parse().unwrap())])
    }

    #[test]
    fn html_or_json() {
        let check = |value: &str, json: bool| {
            let headers = accept(value);
            let html = Preference::of(&headers, "text", "html");
            assert_eq!(Preference::of(&headers, "application", "json") > html, json, "{value}");
        };
        check("*/*", false);
        check("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", false);
        check("text/html, application/json", false);
        check("application/json", true);
        check("Application/JSON; charset=utf-8", true);
        check("application/json, text/plain, */*", true);
        check("application/*", true);
        check("text/*, application/json", true);
        check("text/html;q=0.5, application/json;q=0.9", true);
        check("text/html;q=0.9, application/json;q=0.5", false);
        check("text/html ; q=0.9 , application/json;Q=1.000", true);
        check("*/*, text/html;q=0", true);
        check("*/*, application/json;q=0", false);
        check("application/json;q=0", false);
        check("application/json;q=2", false);
        check("application/json;q=nan", false);
        check("image/png", false);
        check("", false);
        check("json", false);
    }

    #[test]
    fn named() {
        let check = |value: &str, expected: bool| {
            assert_eq!(Preference::of(&accept(value), "text", "html").is_named(), expected, "{value}");
        };
        check("text/html", true);
        check("text/html;q=0.1, */*", true);
        check("text/html;q=0, */*", false);
        check("*/*", false);
        check("text/*", false);
        assert!(!Preference::of(&HeaderMap::new(), "text", "html").is_named());
    }
}
