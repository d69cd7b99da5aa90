//! What a page of rustdoc says, without its prose: declarations, methods, implementations.

use std::collections::BTreeMap;

/// An entry on the page of a module.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item<'a> {
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    pub(super) href: &'a str,
}

/// What is in a module.
pub(super) fn items(page: &str) -> Vec<Item<'_>> {
    let entries = page.split("<dt>").skip(1).filter_map(|entry| {
        let (_, link) = entry.split_once("<a class=\"")?;
        let (kind, link) = link.split_once("\" href=\"")?;
        let (href, link) = link.split_once('"')?;
        let (_, name) = link.split_once('>')?;
        // Long names may be broken by it, and are told by the address all the same.
        let name = if kind == "mod" { href.split('/').next()? } else { name_in(href).unwrap_or(name) };
        Some(Item { kind, name, href })
    });
    entries.collect()
}

/// The name in `struct.Name.html`.
fn name_in(href: &str) -> Option<&str> {
    href.split('.').nth(1)
}

/// What a module shows of others without pages of its own.
pub(super) fn reexports(page: &str) -> Vec<String> {
    page.split("<dt id=\"reexport.").skip(1).filter_map(|entry| between(entry, "<code>", "</code>")).map(text).collect()
}

/// The declaration of an item, and what is implemented for it.
pub(super) fn item(page: &str) -> Vec<String> {
    let declaration = between(page, "<pre class=\"rust item-decl\"><code>", "</code></pre>").unwrap_or_default();
    let declaration = lines(&without(declaration, "<summary", "</summary>"));
    let mut found = BTreeMap::new();
    for section in page.split("<h2 id=\"").skip(1) {
        let id = section.split('"').next().unwrap_or_default();
        let keep: fn(&str) -> bool = match id {
            // Whoever derives PartialEq has the structural one too.
            "implementations" | "trait-implementations" | "implementors" | "foreign-impls" => {
                |header| !header.starts_with("impl StructuralPartialEq for")
            }
            // Of the traits that the compiler implements, what matters between threads.
            "synthetic-implementations" => |header| ["Send for", "Sync for"].iter().any(|name| header.contains(name)),
            _ => |_| false,
        };
        implementations(section, keep, id == "implementations", &mut found);
    }
    let found = found.into_iter().flat_map(|(header, members): (String, Vec<String>)| {
        std::iter::once(header).chain(members.into_iter().map(|member| format!("    {member}")))
    });
    declaration.into_iter().chain(found).collect()
}

/// Adds the implementations of a section that are wanted, with their members or without, sorted: where they stand in
/// the sources is nobody's business.
fn implementations(
    section: &str,
    keep: fn(&str) -> bool,
    with_members: bool,
    found: &mut BTreeMap<String, Vec<String>>,
) {
    for block in section.split("<h3 class=\"code-header\">").skip(1) {
        let Some((header, rest)) = block.split_once("</h3>") else { continue };
        let header = text(header);
        if !keep(&header) {
            continue;
        }
        let members = found.entry(header).or_default();
        if with_members {
            let headers = rest.split("<h4 class=\"code-header\">").skip(1);
            members.extend(headers.filter_map(|member| member.split_once("</h4>")).map(|(member, _)| text(member)));
            members.sort();
        }
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner)
}

/// Leaves out what begins and ends so.
fn without(text: &str, start: &str, end: &str) -> String {
    let mut parts = text.split(start);
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        kept += part.split_once(end).map_or("", |(_, rest)| rest);
    }
    kept
}

/// In one line.
fn text(html: &str) -> String {
    plain(html).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// In as many lines as it has.
fn lines(html: &str) -> Vec<String> {
    plain(html).lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// Without tags, and with characters for their names.
fn plain(html: &str) -> String {
    // A constraint and an attribute have lines of their own.
    let html = html.replace("<br>", "\n").replace("<div", "\n<div").replace("</div>", "</div>\n").replace("<wbr>", "");
    let text = without(&html, "<", ">");
    let names = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&nbsp;", " "), ("&amp;", "&")];
    names.iter().fold(text, |text, (name, character)| text.replace(name, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_in_a_module() {
        let page = "<dt id=\"reexport.axum\"><code>pub use <a href=\"x\">axum</a>;</code></dt><dl><dt><a class=\"mod\" \
                    href=\"ws/index.html\" title=\"mod a::ws\">ws</a></dt><dt><a class=\"struct\" \
                    href=\"struct.LongName.html\" title=\"\">Long<wbr>Name</a></dt>";
        let expected = [
            Item { kind: "mod", name: "ws", href: "ws/index.html" },
            Item { kind: "struct", name: "LongName", href: "struct.LongName.html" },
        ];
        assert_eq!(items(page), expected);
        assert_eq!(reexports(page), ["pub use axum;"]);
    }

    #[test]
    fn finds_what_an_item_is() {
        let page = "<pre class=\"rust item-decl\"><code><div class=\"code-attribute\">#[b]</div>pub struct \
                    A&lt;'a&gt; {\n    pub b: &amp;'a u8,\n}</code></pre><h2 id=\"implementations\"><h3 \
                    class=\"code-header\">impl A&lt;'_&gt;</h3><h4 class=\"code-header\">pub fn d()</h4><h4 \
                    class=\"code-header\">pub fn <a>c</a>()<div class=\"where\">where Self: Sized</div></h4><h2 \
                    id=\"trait-implementations\"><h3 class=\"code-header\">impl Clone for A</h3><h4 \
                    class=\"code-header\">fn clone()</h4><h2 id=\"synthetic-implementations\"><h3 \
                    class=\"code-header\">impl Send for A</h3><h3 class=\"code-header\">impl Unpin for A</h3><h2 \
                    id=\"blanket-implementations\"><h3 class=\"code-header\">impl Any for T</h3>";
        let expected = [
            "#[b]",
            "pub struct A<'a> {",
            "    pub b: &'a u8,",
            "}",
            "impl A<'_>",
            "    pub fn c() where Self: Sized",
            "    pub fn d()",
            "impl Clone for A",
            "impl Send for A",
        ];
        assert_eq!(item(page), expected);
    }
}
