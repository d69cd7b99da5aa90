//! The folders that are served, as the flags have them.

use std::io;
use std::path::Path;

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use rikki::{Files, Server};

use crate::args::MountArg;
use crate::settings::Settings;
use crate::{Failure, advice};

/// The folder that is served where nothing else is.
pub(crate) fn root(settings: &Settings) -> Result<Files, Failure> {
    // Whoever has typed it may have meant something else.
    let judged = std::fs::metadata(&settings.root);
    if let (Err(error), Some(root)) = (&judged, settings.root.to_str())
        && let Some(told) = advice::no_folder(root, error)
    {
        return Err(Failure::Runtime(told));
    }
    let root = open(&settings.root, settings)?.spa(settings.files.spa);
    Ok(match &settings.files.error_page {
        Some(page) => root.error_page(page)?,
        None => root,
    })
}

/// Adds the other folders, whose pages that are not found are their own.
pub(crate) fn mount(mut server: Server, settings: &Settings) -> Result<Server, Failure> {
    for mount in &settings.files.mounts {
        server = server.mount(&mount.path, mounted(mount, settings)?);
    }
    Ok(server)
}

/// Such a folder, with what is its own.
pub(crate) fn mounted(mount: &MountArg, settings: &Settings) -> Result<Files, Failure> {
    Ok(mount.limits.apply_to(open(&mount.folder, settings)?)?)
}

/// A folder with what holds for all of them.
fn open(folder: &Path, settings: &Settings) -> Result<Files, Failure> {
    let (args, memory) = (&settings.files, settings.memory());
    let mut files = Files::new(folder)?
        .listing(!args.no_listing)
        .html_errors(true)
        .hidden(args.hidden)
        .follow_symlinks(args.follow_symlinks)
        .cache(memory.cache)
        .read_memory(memory.reading)
        .max_compressions(memory.compressions)
        .precompressed(!args.no_precompressed)
        .charset(args.charset.0.clone());
    files = args.limits.apply_to(files)?;
    for secret in settings.topics.secrets() {
        files = files.deny(secret.file())?;
    }
    #[cfg(feature = "nats")]
    for secret in settings.broker.secrets() {
        files = files.deny(secret)?;
    }
    if args.no_file_compression {
        files = files.compress_above(None);
    }
    for (extension, media_type) in &args.types {
        files = files.media_type(extension, media_type.clone());
    }
    Ok(match &args.cache_control {
        // A page under construction is asked for anew each time.
        _ if settings.dev => files.cache_control(HeaderValue::from_static("no-cache")),
        Some(value) => files.cache_control(value.clone()),
        // What is added to every answer is for those that have none of their own.
        None if args.headers.iter().any(|(name, _)| name == CACHE_CONTROL) => files.cache_control(None),
        None => files,
    })
}

impl From<io::Error> for Failure {
    /// The error of a folder or a file names it.
    fn from(error: io::Error) -> Self {
        Self::Runtime(error.to_string())
    }
}
