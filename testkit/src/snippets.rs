//! What a page of the documentation shows in frames, for tests to run.

/// A block of code between fences of three backticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snippet<'m> {
    /// The language, and the name behind it: both words of the line of the fence.
    pub language: &'m str,
    /// What a test knows it by.
    pub name: &'m str,
    /// The code.
    pub text: &'m str,
}

/// All of a page in Markdown, in order.
///
/// # Panics
///
/// If one has no end, or no name.
#[must_use]
#[track_caller]
pub fn snippets(markdown: &str) -> Vec<Snippet<'_>> {
    let mut rest = markdown;
    let mut snippets = Vec::new();
    while let Some((_, fenced)) = rest.split_once("\n```") {
        let (words, behind) = fenced.split_once('\n').expect("a line behind the fence");
        let (text, behind) = behind.split_once("```\n").unwrap_or_else(|| panic!("`{words}` has no end"));
        let (language, name) = words.split_once(' ').unwrap_or_else(|| panic!("`{words}` has no name"));
        snippets.push(Snippet { language, name, text });
        rest = behind;
    }
    snippets
}
