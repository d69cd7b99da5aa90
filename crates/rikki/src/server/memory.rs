//! One number for the memory of a server, and how it is split into the budgets there are.

use std::fs;
use std::path::{Path, PathBuf};

use rikki_limits::Limit;

use super::config::Limits;
use crate::{http, ws};

/// How the memory that a server may take is split: see [`Server::memory`](crate::Server::memory).
///
/// What is left over is for the program itself, and for what each connection may hold uncounted: 64 KiB of an HTTP
/// response, or 16 KiB of a message and as much of what is unsent.
///
/// ```
/// let memory = rikki::Memory::of(256 << 20);
/// assert_eq!((memory.messages, memory.connections), (32 << 20, 1024));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Memory {
    /// An eighth, for unfinished messages, in bytes: [`message_memory`](crate::ws::Live::message_memory).
    pub messages: usize,
    /// An eighth, for what waits to be written to WebSockets: [`queue_memory`](crate::ws::Live::queue_memory).
    pub queues: usize,
    /// A sixteenth, for compressed messages: [`compression_memory`](crate::ws::Live::compression_memory).
    pub compression: usize,
    /// A sixteenth, for streams of HTTP/2: [`http2_memory`](crate::Server::http2_memory).
    pub http2: usize,
    /// A sixteenth, for the messages of topics: [`TopicsConfig::memory`](crate::topics::TopicsConfig::memory), over all
    /// [topics of the server](crate::Server::topics).
    pub topics: usize,
    /// An eighth, for files and listings that are being sent: [`Files::read_memory`](crate::Files::read_memory), over
    /// all folders.
    pub reading: usize,
    /// A 32nd, for small files: [`Files::cache`](crate::Files::cache), over all folders.
    pub cache: usize,
    /// A fifth with 13 MiB each, and at least 1: [`Files::max_compressions`](crate::Files::max_compressions), over all
    /// folders.
    pub compressions: usize,
    /// One for each 256 KiB: [`max_connections`](crate::Server::max_connections).
    pub connections: usize,
}

/// What compressing a file takes at most, in bytes.
const COMPRESSION: usize = 13 << 20;

/// What a connection may take beyond the budgets, in bytes, times four: they have a quarter.
const CONNECTION: usize = 256 << 10;

/// The default of a limit of files, of which a server without them has none.
const fn of_files(name: &str) -> usize {
    #[cfg(feature = "files")]
    return Limit::default_of(rikki_files::internal::Limits::LIMITS, name);
    #[cfg(not(feature = "files"))]
    return {
        let _ = name;
        0
    };
}

/// The default of a limit of topics, of which a server without them has none.
const fn of_topics(name: &str) -> usize {
    #[cfg(feature = "topics")]
    return Limit::default_of(rikki_topics::TopicsConfig::LIMITS, name);
    #[cfg(not(feature = "topics"))]
    return {
        let _ = name;
        0
    };
}

impl Default for Memory {
    /// What a server has that nobody has told: the defaults of all limits, about a gigabyte, of which as
    /// many connections as there may be would use most.
    fn default() -> Self {
        const {
            Self {
                messages: Limit::default_of(ws::internal::Budgets::LIMITS, "message-memory"),
                queues: Limit::default_of(ws::internal::Budgets::LIMITS, "queue-memory"),
                compression: Limit::default_of(ws::internal::Budgets::LIMITS, "deflate-memory"),
                http2: Limit::default_of(http::Limits::LIMITS, "http2-memory"),
                topics: of_topics("topic-memory"),
                reading: of_files("read-memory"),
                cache: of_files("file-cache"),
                compressions: of_files("max-compressions"),
                connections: Limit::default_of(Limits::LIMITS, "max-connections"),
            }
        }
    }
}

impl Memory {
    /// Splits so many bytes.
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        Self {
            messages: bytes / 8,
            queues: bytes / 8,
            compression: bytes / 16,
            http2: bytes / 16,
            topics: bytes / 16,
            reading: bytes / 8,
            cache: bytes / 32,
            compressions: (bytes / 5 / COMPRESSION).min(Self::default().compressions).max(1),
            connections: (bytes / CONNECTION).clamp(1, Self::default().connections),
        }
    }

    /// The defaults, or less where the control group of this process has a limit (Linux): of half of it, but for the
    /// connections: their number is not lowered, though a small group has no room for as many.
    #[must_use]
    pub fn of_this_process() -> Self {
        let defaults = Self::default();
        let Some(limit) = limit(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")) else { return defaults };
        let half = Self::of(usize::try_from(limit / 2).unwrap_or(usize::MAX));
        Self {
            messages: half.messages.min(defaults.messages),
            queues: half.queues.min(defaults.queues),
            compression: half.compression.min(defaults.compression),
            http2: half.http2.min(defaults.http2),
            topics: half.topics.min(defaults.topics),
            reading: half.reading.min(defaults.reading),
            cache: half.cache.min(defaults.cache),
            compressions: half.compressions.min(defaults.compressions),
            connections: defaults.connections,
        }
    }
}

/// The least limit of the control group and those above it, in bytes: `memory.max` of the second version
/// (<https://docs.kernel.org/admin-guide/cgroup-v2.html>), or `memory.limit_in_bytes` of the first.
fn limit(of_process: &Path, mounted: &Path) -> Option<u64> {
    let text = fs::read_to_string(of_process).ok()?;
    let groups = text.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        let (folder, file) = match controllers {
            "" => (mounted.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (mounted.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        Some((folder, PathBuf::from(path.trim_start_matches('/')), file))
    });
    // Inside of a container the path may be that outside, of which nothing is mounted.
    let read = |(folder, path, file): (PathBuf, PathBuf, &str)| {
        let limits: Vec<u64> = path
            .ancestors()
            .filter_map(|path| fs::read_to_string(folder.join(path).join(file)).ok()?.trim().parse().ok())
            .collect();
        limits.into_iter().min()
    };
    groups.filter_map(read).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_less_than_the_whole() {
        for bytes in [1 << 20, 64 << 20, 256 << 20, 1 << 30, 8 << 30] {
            let Memory { messages, queues, compression, http2, topics, reading, cache, compressions, connections } =
                Memory::of(bytes);
            let budgets = messages + queues + compression + http2 + topics + reading + cache;
            let counted = compressions * COMPRESSION + connections * (64 << 10);
            assert!(budgets <= bytes * 3 / 5, "{budgets} of {bytes}");
            // The least there can be, one file that is compressed, may be more than there is.
            assert!(bytes < 64 << 20 || budgets + counted <= bytes + bytes / 20, "{budgets} + {counted} of {bytes}");
        }
    }

    #[test]
    fn the_least_limit_of_the_groups_above_counts() {
        let folder = std::env::temp_dir().join(format!("rikki-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let check = |groups: &str, expected| {
            write("process", groups);
            assert_eq!(limit(&folder.join("process"), &folder.join("mounted")), expected, "{groups}");
        };
        check("0::/a/b\n", None);
        write("mounted/a/b/memory.max", "max\n");
        check("0::/a/b\n", None);
        write("mounted/a/memory.max", "1073741824\n");
        check("0::/a/b\n", Some(1 << 30));
        write("mounted/a/b/memory.max", "268435456\n");
        check("0::/a/b\n", Some(256 << 20));
        check("0::/a\n", Some(1 << 30));
        check("0::/elsewhere\n", None);
        // In a container that sees its own group alone.
        write("mounted/memory.max", "4096");
        check("0::/../outside\n", Some(4096));
        write("mounted/memory/c/memory.limit_in_bytes", "1000\n");
        check("5:cpu:/c\n4:memory:/c\n", Some(1000));
        check("", None);
        fs::remove_dir_all(folder).unwrap();
    }
}
