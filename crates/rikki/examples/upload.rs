//! Uploads: a body goes to disk as it comes, within bounds, and is there as a whole or not at all.
//!
//! ```text
//! cargo run --package rikki --example upload
//! ```
//!
//! Try: `curl -T report.pdf http://localhost:8000/upload/`, and see it at <http://localhost:8000>. How far each upload is
//! comes to whoever is connected to `ws://localhost:8000/topics/progress`. Everybody who reaches this server may upload:
//! the examples `auth` and `chat` ask who it is.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write as _, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{self, State};
use axum::http::StatusCode;
use axum::routing::put;
use futures_util::StreamExt as _;
use rikki::Server;
use rikki::topics::{BadName, TopicConfig, TopicUrl, Topics, TopicsConfig};
use tokio::task::spawn_blocking;

/// The longest file, in bytes. The time that a body may take is bounded by the server: `Server::min_body_rate`.
pub(crate) const MOST: u64 = 16 << 20;

/// The topic that says how far uploads are. Like every route it has a slash within, so that it hides no file.
const PROGRESS: &str = "topics/progress";

/// Why there is no new file.
type Refusal = (StatusCode, String);

#[derive(Clone)]
struct App {
    folder: Arc<Path>,
    topics: Topics,
}

/// A file that is not whole: it is gone when this is dropped, as it is when the client goes away. Its name begins with a
/// dot, so that it is neither served nor listed.
struct Partial {
    path: PathBuf,
    file: File,
}

impl Partial {
    fn create(folder: &Path) -> io::Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Relaxed);
            let path = folder.join(format!(".{}-{number}.part", std::process::id()));
            match File::create_new(&path) {
                // A process that was killed has left it.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return Ok(Self { file: created?, path }),
            }
        }
    }

    /// Gives it its name, in place of what has that; who reads the old one goes on with it.
    fn keep(mut self, name: &str) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, self.path.with_file_name(name))?;
        // From here on a file with that name is somebody else's.
        self.path.clear();
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // There is none if it was kept.
        let _ = fs::remove_file(&self.path);
    }
}

async fn upload(
    State(App { folder, topics }): State<App>,
    extract::Path(name): extract::Path<String>,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.starts_with('.') || name.len() > 100 || !name.chars().all(is_plain) {
        return Err((StatusCode::BAD_REQUEST, "a name has letters, digits, `-`, `_` and `.`\n".to_owned()));
    }
    let too_long = || (StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MOST} bytes\n"));
    // What says how long it is has not been sent yet.
    if body.size_hint().lower() > MOST {
        return Err(too_long());
    }
    let mut partial = on_disk(move || Partial::create(&folder)).await?;
    let (mut chunks, mut length) = (body.into_data_stream(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| (StatusCode::BAD_REQUEST, format!("{error}\n")))?;
        length += chunk.len() as u64;
        if length > MOST {
            return Err(too_long());
        }
        partial = on_disk(move || partial.file.write_all(&chunk).map(|()| partial)).await?;
        // Nobody needs it who is not there.
        let _ = topics.publish(PROGRESS, format!(r#"{{"name":"{name}","bytes":{length}}}"#)).key(&name).detach();
    }
    on_disk(move || partial.keep(&name)).await?;
    Ok(StatusCode::CREATED)
}

/// Does what may wait for the disk elsewhere. If nobody waits for it any more, what it returns is dropped there.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Refusal> {
    let done = spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    done.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("not written: {error}\n")))
}

/// The server, without a listener, for the files of a folder.
pub(crate) fn server(folder: &Path) -> Result<Server, BadName> {
    // Of each name the latest is kept: who reads slowly is not told of each piece.
    let progress = TopicConfig::default().history(0).latest_by_key(true);
    let topics = Topics::new(TopicsConfig::default().others(None).topic(PROGRESS, progress)?);
    let server = Server::new().topics(&topics).route("/topics/progress", TopicUrl::new(&topics).route());
    let app = App { folder: folder.into(), topics };
    // A page that somebody has uploaded runs no scripts here.
    let server = server.header("content-security-policy", "sandbox").files(folder);
    Ok(server.merge(Router::new().route("/upload/{name}", put(upload)).with_state(app)))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join("rikki-upload");
    fs::create_dir_all(&folder)?;
    writeln!(stdout(), "Starting on http://localhost:8000, with the files of {}", folder.display())?;
    Ok(server(&folder)?.listen("http://localhost:8000").run()?)
}
