//! What others notice of each flood: the floods, each a case, and how strong each has to be.

use crate::case::Case;
use crate::fair::Strength::{ASecond, InAll};
use crate::fair::{Flood, Need, files, is_fair, messages, secure};

/// Makes a case of each flood, and a list of all.
macro_rules! cases {
    ($($flood:ident),* $(,)?) => {
        pub(crate) const CASES: &[Case] =
            &[$(Case { name: $flood.name, run: |bench| is_fair(bench, &$flood) }),*];

        pub(crate) const FLOODS: &[&Flood] = &[$(&$flood),*];
    };
}

cases![
    ABANDONED_LISTINGS,
    STREAMS_TAKEN_BACK,
    UNREAD_STREAMS,
    UNREAD_MESSAGES,
    FILES_HELD,
    INFLATED,
    LOG_UNREAD,
    REFUSALS,
    STAYING,
    UNFINISHED_COMPRESSED,
    UNFINISHED_LARGE,
    HUNG_MOUNT,
    HOSTILE_NAMES,
    WINDOW_UPDATES,
    LARGE_READERS,
    HANDSHAKES,
];

/// Listings of a folder of 60,000 files (10,000 in the short form) whose clients reset.
const ABANDONED_LISTINGS: Flood = Flood {
    name: "fair-abandoned-listings",
    needs: &[Need::Many],
    clients: (100, 100),
    client: |to, done| Box::pin(files::abandon(to.http, done)),
    least: (InAll(2000), InAll(2000)),
    unit: "listings reset",
};

/// The same by streams of HTTP/2.
const STREAMS_TAKEN_BACK: Flood = Flood {
    name: "fair-streams-taken-back",
    needs: &[Need::Many],
    clients: (4, 4),
    client: |to, done| Box::pin(secure::take_back(to.https, done, usize::MAX)),
    least: (InAll(20_000), InAll(20_000)),
    unit: "streams taken back",
};

/// Files on all streams of HTTP/2 with windows of 2 GiB, of which nothing is read.
const UNREAD_STREAMS: Flood = Flood {
    name: "fair-unread-streams",
    needs: &[],
    clients: (200, 60),
    client: |to, done| Box::pin(secure::hold(secure::read_nothing(to.https), done)),
    least: (InAll(20_000), InAll(6000)),
    unit: "streams unread",
};

/// Messages of 4 MiB whose echoes are not read.
const UNREAD_MESSAGES: Flood = Flood {
    name: "fair-unread-messages",
    needs: &[],
    clients: (350, 350),
    client: |to, done| Box::pin(messages::read_nothing(to, done)),
    least: (InAll(350), InAll(350)),
    unit: "messages of 4 MiB begun",
};

/// A file on each stream of HTTP/2, with a window of nothing.
const FILES_HELD: Flood = Flood {
    name: "fair-files-held",
    needs: &[],
    clients: (40, 12),
    client: |to, done| Box::pin(secure::hold(secure::hold_files(to.https), done)),
    least: (InAll(4000), InAll(1200)),
    unit: "streams with a file",
};

/// Messages of 4 MiB of zeros, in 4 KiB each.
const INFLATED: Flood = Flood {
    name: "fair-inflated",
    needs: &[],
    clients: (100, 10),
    client: |to, done| Box::pin(messages::inflate(to, done)),
    least: (InAll(100), InAll(10)),
    unit: "messages of 4 MiB in 4 KiB echoed",
};

/// Requests that are logged to nobody.
const LOG_UNREAD: Flood = Flood {
    name: "fair-log-unread",
    needs: &[Need::UnreadLog],
    clients: (4, 4),
    client: |to, done| Box::pin(files::ask_on(to, done)),
    least: (InAll(2000), InAll(2000)),
    unit: "requests logged",
};

/// Requests for a foreign host.
const REFUSALS: Flood = Flood {
    name: "fair-refusals",
    needs: &[],
    clients: (4, 4),
    client: |to, done| Box::pin(secure::be_refused(to, done)),
    least: (InAll(500), InAll(500)),
    unit: "requests refused",
};

/// Requests of clients that were told to go away.
const STAYING: Flood = Flood {
    name: "fair-staying",
    needs: &[Need::FewRequests],
    clients: (4, 4),
    client: |to, done| Box::pin(secure::stay(to, done)),
    least: (InAll(2000), InAll(2000)),
    unit: "requests answered",
};

/// Compressed messages that do not end.
const UNFINISHED_COMPRESSED: Flood = Flood {
    name: "fair-unfinished-compressed",
    needs: &[],
    clients: (1365, 1365),
    client: |to, done| Box::pin(messages::begin_compressed(to, done)),
    least: (InAll(1365), InAll(1365)),
    unit: "compressed messages begun",
};

/// Messages that end before their last byte.
const UNFINISHED_LARGE: Flood = Flood {
    name: "fair-unfinished-large",
    needs: &[],
    clients: (64, 64),
    client: |to, done| Box::pin(messages::begin_large(to, done)),
    least: (InAll(64), InAll(64)),
    unit: "messages of 4 MiB less a byte",
};

/// Files on a disk that hangs.
const HUNG_MOUNT: Flood = Flood {
    name: "fair-hung-mount",
    needs: &[Need::Hung],
    clients: (40, 40),
    client: |to, done| Box::pin(files::ask_hung(to, done)),
    least: (InAll(40), InAll(40)),
    unit: "files of a disk that hangs",
};

/// Listings of names that are longer when they are escaped.
const HOSTILE_NAMES: Flood = Flood {
    name: "fair-hostile-names",
    needs: &[Need::Hostile],
    clients: (64, 64),
    client: |to, done| Box::pin(files::read_listing(to, done)),
    least: (InAll(64), InAll(64)),
    unit: "listings begun",
};

/// Room for one byte, again and again, for a file that is being sent.
const WINDOW_UPDATES: Flood = Flood {
    name: "fair-window-updates",
    needs: &[],
    clients: (50, 50),
    client: |to, done| Box::pin(secure::give_bytes(to, done)),
    least: (ASecond(50_000), ASecond(50_000)),
    unit: "WINDOW_UPDATE frames",
};

/// Large files, read as fast as they come.
const LARGE_READERS: Flood = Flood {
    name: "fair-large-readers",
    needs: &[],
    clients: (100, 100),
    client: |to, done| Box::pin(files::read_large(to, done)),
    least: (ASecond(100), ASecond(100)),
    unit: "MiB read",
};

/// The first message of a client, to a server whose key takes long to sign with.
const HANDSHAKES: Flood = Flood {
    name: "fair-handshakes",
    needs: &[Need::SlowKey],
    clients: (1000, 1000),
    client: |to, done| Box::pin(secure::shake_hands(to, done)),
    least: (ASecond(20), ASecond(20)),
    unit: "handshakes",
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A number as people write it, such as `50,000`.
    fn grouped(number: usize) -> String {
        if number < 1000 { number.to_string() } else { format!("{},{:03}", number / 1000, number % 1000) }
    }

    #[test]
    fn security_md_tells_each_flood_and_its_strength() {
        let text = include_str!("../../../SECURITY.md");
        let told: Vec<_> = text.lines().filter(|line| line.ends_with("` |") && line.contains("| `fair-")).collect();
        let told = told.iter().map(|row| row.splitn(3, " | ").skip(1).collect::<Vec<_>>().join(" | "));
        let floods = FLOODS.iter().map(|flood| {
            let (least, how) = match flood.least.0 {
                InAll(least) => (least, ""),
                ASecond(least) => (least, " a second"),
            };
            let (clients, least) = (grouped(flood.clients.0), grouped(least));
            format!("{clients}: {least} {}{how} | `{}` |", flood.unit, flood.name)
        });
        assert_eq!(told.collect::<Vec<_>>(), floods.collect::<Vec<_>>());
        assert!(text.contains(&format!("`{}`", super::super::memory::CASES[0].name)));
    }
}
