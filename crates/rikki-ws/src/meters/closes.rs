//! By which codes WebSockets were closed, and by whom.

use rikki_limits::Count;
use rikki_proto::CloseCode;

use super::ClosedBy;

/// The codes that are told apart; peers choose among the others.
const CODES: [u16; 14] = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
/// Of libraries, of applications, and what is none of all.
const GROUPS: [&str; 3] = ["3xxx", "4xxx", "other"];

#[derive(Debug, Default)]
pub(super) struct Closes([[Count; 3]; CODES.len() + GROUPS.len()]);

impl Closes {
    pub(super) fn up(&self, code: CloseCode, by: ClosedBy) {
        let group = match code.0 {
            3000..=3999 => 0,
            4000..=4999 => 1,
            _ => 2,
        };
        let row = CODES.iter().position(|known| *known == code.0).unwrap_or(CODES.len() + group);
        if let Some(count) = self.0.get(row).and_then(|row| row.get(by as usize)) {
            count.up();
        }
    }

    pub(super) fn read(&self) -> Vec<Closings> {
        let codes = CODES.iter().map(u16::to_string).chain(GROUPS.map(str::to_owned));
        let rows = codes.zip(&self.0).flat_map(|(code, row)| {
            let by = [ClosedBy::Peer, ClosedBy::Server, ClosedBy::Network].into_iter().zip(row);
            by.map(move |(by, count)| Closings { code: code.clone(), by, count: count.get() })
        });
        rows.filter(|closings| closings.count > 0).collect()
    }
}

/// How many WebSockets were closed with a code by somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "nothing else can be")]
pub struct Closings {
    /// The code, or `3xxx`, `4xxx` or `other`.
    pub code: String,
    /// Who.
    pub by: ClosedBy,
    /// How many.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_peers_choose_are_not_told_apart() {
        let closes = Closes::default();
        for code in [1000, 1000, 1004, 1015, 2999, 3000, 3999, 4000, 4999, 5000, 0] {
            closes.up(CloseCode(code), ClosedBy::Peer);
        }
        let closed = closes.read();
        let closed: Vec<_> = closed.iter().map(|closed| (&*closed.code, closed.count)).collect();
        assert_eq!(closed, [("1000", 2), ("3xxx", 2), ("4xxx", 2), ("other", 5)]);
    }
}
