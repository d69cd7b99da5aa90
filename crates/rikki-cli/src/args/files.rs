//! Which files are served, and how.

use std::path::PathBuf;

use axum::http::{HeaderName, HeaderValue};

use super::header::{cache_control, header};
use crate::units;

pub(super) const HEADING: &str = "Files";

/// Which files are served, and how; sizes in bytes.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct FileArgs {
    /// One more folder, as in /docs=./doc
    #[arg(long = "mount", value_name = "PATH=FOLDER", value_parser = mount)]
    pub(crate) mounts: Vec<(String, PathBuf)>,
    /// Do not list folders without an index.html
    #[arg(long)]
    pub(crate) no_listing: bool,
    /// Answer pages not found with index.html
    #[arg(long)]
    pub(crate) spa: bool,
    /// File below ROOT to send with 404
    #[arg(long, value_name = "FILE")]
    pub(crate) error_page: Option<String>,
    /// How long to keep files, as in max-age=60
    #[arg(long, value_name = "VALUE", value_parser = cache_control)]
    pub(crate) cache_control: Option<HeaderValue>,
    /// Serve names that begin with a dot
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Let symbolic links lead anywhere
    #[arg(long)]
    pub(crate) follow_symlinks: bool,
    /// Let pages of other origins read answers
    #[arg(long)]
    pub(crate) cors: bool,
    /// Header field to add to each answer
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Memory for small files
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = units::size_or_zero)]
    pub(crate) file_cache: usize,
    /// Memory for sending files
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = units::size_or_zero)]
    pub(crate) read_memory: usize,
    /// Smallest file to compress
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = units::size_or_zero)]
    pub(crate) compress_files_above: usize,
    /// Most of them at a time
    #[arg(long, value_name = "N", default_value = "16", value_parser = units::count)]
    pub(crate) max_compressions: usize,
    /// Do not send a.js.br and the like for a.js
    #[arg(long)]
    pub(crate) no_precompressed: bool,
    /// Do not compress files
    #[arg(long, conflicts_with = "compress_files_above")]
    pub(crate) no_file_compression: bool,
}

fn mount(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((path, folder)) if !path.is_empty() && !folder.is_empty() => Ok((path.to_owned(), folder.into())),
        _ => Err("expected PATH=FOLDER, as in /docs=./target/doc".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts() {
        let check = |text: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(path, folder)| (path.to_owned(), PathBuf::from(folder)));
            assert_eq!(mount(text).ok(), expected, "{text:?}");
        };
        check("/docs=./target/doc", Some(("/docs", "./target/doc")));
        check("/a=b=c", Some(("/a", "b=c")));
        for refused in ["", "/docs", "/docs=", "=doc", "./doc"] {
            check(refused, None);
        }
    }
}
