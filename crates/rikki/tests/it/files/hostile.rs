//! Names made to be taken for something else by a browser, in each place where a page or an answer has them.

use super::*;

/// What would get out of an element, of an attribute in any quotes or none, of a script, a style, a comment, a string
/// of JSON or a line of a header, and what browsers take for one of these.
const NAMES: [&str; 18] = [
    "<script>alert(1)<",
    "<svg onload=alert(1)>",
    "\"><img src=x onerror=alert(1)>",
    "' autofocus onfocus='alert(1)",
    "\" onmouseover=\"alert(1)",
    "` onmouseover=alert(1) `",
    " onclick=alert(1) x=",
    "<!--",
    "-->",
    "]]>",
    "&lt;script&gt;",
    "&#x22; onclick=&#x22;",
    "</title",
    "{{constructor.constructor('alert(1)')()}}",
    "\u{2028}alert(1)\u{2029}",
    "\u{feff}+ADw-script+AD4-",
    "javascript&colon;alert(1)",
    "\",\"type\": \"directory\"}]",
];

/// A name as a file system can have it.
fn name(name: &str) -> String {
    name.replace('/', "\u{2215}")
}

/// The elements of a page, each with its attributes as they stand there; what is between the tags of a script or a
/// style sheet is left out. Nothing but this is markup: an entity is text, and so is what is in quotes.
fn elements(page: &str) -> Vec<(String, Vec<String>)> {
    let mut elements = Vec::new();
    let mut rest = page;
    while let Some((_, tag)) = rest.split_once('<') {
        let mut end = None;
        let mut quote = None;
        for (at, character) in tag.char_indices() {
            match (character, quote) {
                ('>', None) => {
                    end = Some(at);
                    break;
                }
                ('"' | '\'', None) => quote = Some(character),
                (other, Some(open)) if other == open => quote = None,
                _ => {}
            }
        }
        let (tag, after) = tag.split_at(end.expect("each tag ends"));
        rest = &after[1..];
        let (element, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        if let "script" | "style" = element {
            rest = rest.split_once(&format!("</{element}>")).expect("it ends").1;
        }
        let names = attributes.split('"').step_by(2).flat_map(str::split_whitespace);
        elements.push((element.to_owned(), names.map(str::to_owned).collect()));
    }
    elements
}

const ELEMENTS: [&str; 28] = [
    "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "h1", "a", "bdi", "input", "table", "thead", "tr",
    "th", "span", "tbody", "td", "time", "p", "script", "form", "button", "nav", "link", "main", "small", "svg",
];

const ATTRIBUTES: [&str; 28] = [
    "html",
    "lang=",
    "charset=",
    "name=",
    "content=",
    "id=",
    "type=",
    "placeholder=",
    "aria-label=",
    "autocomplete=",
    "hidden",
    "href=",
    "scope=",
    "aria-sort=",
    "rel=",
    "title=",
    "datetime=",
    "role=",
    "value=",
    "method=",
    "class=",
    "colspan=",
    "form=",
    "action=",
    "src=",
    "data-size=",
    "aria-current=",
    "start=",
];

fn check_page(page: &str, what: &str) {
    for (element, attributes) in elements(page) {
        assert!(ELEMENTS.contains(&element.trim_start_matches('/')), "{what}: <{element}> in {page}");
        for attribute in attributes {
            assert!(ATTRIBUTES.contains(&&*attribute), "{what}: {attribute} of <{element}> in {page}");
        }
    }
    assert_eq!(page.matches("<script").count(), 1, "{what}: {page}");
    // A link leads to a name, never to a scheme.
    for href in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let first = href.split(['/', '?', '#']).next().unwrap();
        assert!(!first.contains(':') && !href.starts_with("//"), "{what}: {href}");
    }
}

#[tokio::test]
async fn names_stay_names_in_pages() {
    let fixture = Fixture::empty();
    for hostile in NAMES {
        // In rows as files and folders, and in the title, the headline and its links.
        fixture.write(name(hostile), "");
        fixture.write(format!("folder/{0}/{0}/x", name(hostile)), "");
    }
    let files = fixture.files();
    check_page(get(&files, "/").await.text(), "the root");
    for hostile in NAMES {
        let encoded: String = name(hostile).bytes().map(|byte| format!("%{byte:02x}")).collect();
        for order in ["", "?sort=\"><script>alert(1)</script>", "?order=%22onload=alert(1)&sort=size"] {
            let Ok(request) = http::Request::builder()
                .uri(format!("/folder/{encoded}/{encoded}/{order}"))
                .body(axum::body::Body::empty())
            else {
                // No client can send it.
                continue;
            };
            let answer = send(&files, request).await;
            assert_eq!(answer.status, 200, "{hostile}");
            check_page(answer.text(), hostile);
        }
        // As it stands, where that may stand in a request.
        let raw = http::Request::builder().uri(format!("/folder/{}/", name(hostile))).body(axum::body::Body::empty());
        if let Ok(request) = raw {
            let answer = send(&files, request).await;
            if answer.status == 200 {
                check_page(answer.text(), hostile);
            }
        }
    }
}

#[tokio::test]
async fn names_stay_names_in_json() {
    let fixture = Fixture::empty();
    for hostile in NAMES {
        fixture.write(name(hostile), "");
    }
    let mut request = request("GET", "/");
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    let answer = send(&fixture.files(), request).await;
    assert_eq!(
        (&answer.headers["content-type"], &answer.headers["x-content-type-options"]),
        (&"application/json".parse().unwrap(), &"nosniff".parse().unwrap())
    );
    // One line for each, in which every quotation mark of the name is escaped: 14 are left of the members and values.
    let lines: Vec<_> = answer.text().lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(lines.len(), NAMES.len());
    for line in lines {
        assert_eq!(line.replace("\\\\", "").replace("\\\"", "").matches('"').count(), 14, "{line}");
    }
}

/// What is not found, refused or elsewhere says nothing of what was asked for, or is no page.
#[tokio::test]
async fn errors_are_no_pages_of_the_client_s() {
    let fixture = Fixture::empty();
    let files = fixture.files();
    for hostile in NAMES {
        let encoded: String = name(hostile).bytes().map(|byte| format!("%{byte:02x}")).collect();
        for target in [format!("/{encoded}"), format!("/{encoded}/../../{encoded}"), format!("/?{encoded}")] {
            let answer = get(&files, &target).await;
            assert_eq!(answer.headers["x-content-type-options"], "nosniff");
            let text = answer.text();
            assert!(!text.contains("alert(1)") && !text.contains(&encoded), "{hostile}: {text}");
        }
        fixture.write(format!("to/{}/x", name(hostile)), "");
        let redirect = get(&files, &format!("/to/{encoded}?{encoded}")).await;
        assert_eq!(redirect.status, 301);
        assert!(!redirect.text().contains("alert(1)"), "{hostile}");
    }
}
