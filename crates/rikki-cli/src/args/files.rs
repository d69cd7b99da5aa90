//! Which files are served, and how.

use std::path::PathBuf;

use axum::http::{HeaderName, HeaderValue};

use super::given::{Given, OfFolders};
use super::header::{cache_control, header};

pub(super) const HEADING: &str = "Files";

/// Which files are served, and how; sizes in bytes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct FileArgs {
    /// One more folder to serve, at a path of its own, as in /docs=./target/doc
    #[arg(long = "mount", value_name = "PATH=FOLDER", value_parser = mount)]
    pub(crate) mounts: Vec<MountArg>,
    /// Answer 404 for a folder without an index.html, and do not list what is in it
    #[arg(long)]
    pub(crate) no_listing: bool,
    /// Answer pages that are not found with the index.html of ROOT, for an application of one page
    #[arg(long)]
    pub(crate) spa: bool,
    /// File below ROOT to send with each status 404 [default: 404.html, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) error_page: Option<String>,
    /// How long caches may keep files, as in max-age=3600; without it they ask each time
    #[arg(long, value_name = "VALUE", value_parser = cache_control)]
    pub(crate) cache_control: Option<HeaderValue>,
    /// Media type of files with an extension, as in foo=text/x-foo
    #[arg(long = "type", value_name = "EXT=TYPE", value_parser = media_type)]
    pub(crate) types: Vec<(String, HeaderValue)>,
    /// Charset that files of text are said to be in, or none to say nothing
    #[arg(long, value_name = "NAME", default_value = "utf-8", value_parser = charset)]
    pub(crate) charset: Charset,
    /// Serve and list files whose names begin with a dot
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Let symbolic links lead out of the folder that is served, to whatever the process can read
    #[arg(long)]
    pub(crate) follow_symlinks: bool,
    /// Let pages of every origin read answers to GET and HEAD
    #[arg(long)]
    pub(crate) cors: bool,
    /// Header field to add to each answer that does not have it
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    #[command(flatten)]
    pub(crate) limits: Given<OfFolders>,
    /// Never send a.js.br, a.js.zst or a.js.gz in the place of a.js
    #[arg(long)]
    pub(crate) no_precompressed: bool,
    /// Never compress files while they are sent
    #[arg(long, conflicts_with = "compress-files-above")]
    pub(crate) no_file_compression: bool,
}

/// A folder at a path of its own.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct MountArg {
    pub(crate) path: String,
    pub(crate) folder: PathBuf,
    /// What only a file can set: its own limits, where they are not those of all folders.
    pub(crate) limits: Given<OfFolders>,
}

pub(crate) fn mount(text: &str) -> Result<MountArg, String> {
    match text.split_once('=') {
        Some((path, folder)) if !path.is_empty() && !folder.is_empty() => {
            Ok(MountArg { path: path.to_owned(), folder: folder.into(), limits: Given::none() })
        }
        _ => Err("expected PATH=FOLDER, as in /docs=./target/doc".to_owned()),
    }
}

/// The charset of text, or `None` for `none`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Charset(pub(crate) Option<HeaderValue>);

fn charset(text: &str) -> Result<Charset, String> {
    match text {
        "none" => Ok(Charset(None)),
        _ if is_token(text) => Ok(Charset(text.parse().ok())),
        _ => Err("expected the name of a charset, as in utf-8 or iso-8859-1, or none".to_owned()),
    }
}

fn media_type(text: &str) -> Result<(String, HeaderValue), String> {
    let refused = || "expected EXT=TYPE, as in foo=text/x-foo".to_owned();
    let (extension, media_type) = text.split_once('=').ok_or_else(refused)?;
    let extension = extension.strip_prefix('.').unwrap_or(extension);
    let (main, sub) =
        media_type.split(';').next().and_then(|essence| essence.trim().split_once('/')).ok_or_else(refused)?;
    // A file has what is behind the last dot of its name.
    if extension.is_empty() || extension.contains(['.', '/']) || !is_token(main) || !is_token(sub) {
        return Err(refused());
    }
    Ok((extension.to_owned(), media_type.trim().parse().map_err(|_| refused())?))
}

/// <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>
fn is_token(text: &str) -> bool {
    text.parse::<HeaderName>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(path, folder)| (path.to_owned(), PathBuf::from(folder)));
            let actual = mount(text).ok().map(|mount| (mount.path, mount.folder));
            assert_eq!(actual, expected, "{text:?}");
        };
        check("/docs=./target/doc", Some(("/docs", "./target/doc")));
        check("/a=b=c", Some(("/a", "b=c")));
        for refused in ["", "/docs", "/docs=", "=doc", "./doc"] {
            check(refused, None);
        }
    }

    #[test]
    fn types_and_charsets() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(extension, media_type)| (extension.to_owned(), media_type.parse().unwrap()));
            assert_eq!(media_type(text).ok(), expected, "{text:?}");
        };
        check("foo=text/x-foo", Some(("foo", "text/x-foo")));
        check(".foo=application/x-foo", Some(("foo", "application/x-foo")));
        check("html=text/html; charset=koi8-r", Some(("html", "text/html; charset=koi8-r")));
        for refused in
            ["", "foo", "foo=", "=text/plain", "foo=text", "foo=text/", "foo=/plain", "tar.gz=a/b", "foo=a b/c"]
        {
            check(refused, None);
        }
        assert_eq!(charset("iso-8859-1"), Ok(Charset(Some(HeaderValue::from_static("iso-8859-1")))));
        assert_eq!(charset("none"), Ok(Charset(None)));
        assert!(charset("").is_err() && charset("utf-8; x").is_err());
    }
}
