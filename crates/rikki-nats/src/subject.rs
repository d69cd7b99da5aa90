//! Names as subjects: of topics, in one token each, and of what else there is in NATS.

/// What the subjects and buckets of one stream are called.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) stream: String,
    /// The stream of the topics that no pattern fits: who is there is said in one place for all.
    common: String,
}

impl Names {
    pub(crate) fn new(stream: &str) -> Self {
        Self { stream: stream.to_owned(), common: stream.to_owned() }
    }

    /// Those of a stream that a pattern has of its own.
    pub(crate) fn own(common: &str, name: &str) -> Self {
        Self { stream: format!("{common}_{name}"), common: common.to_owned() }
    }

    /// Where a topic's messages are stored.
    pub(crate) fn stored(&self, topic: &str) -> String {
        format!("{}.t.{}", self.stream, encoded(topic))
    }

    /// Where they come from when they are stored.
    pub(crate) fn republished(&self, topic: &str) -> String {
        format!("{}.r.{}", self.stream, encoded(topic))
    }

    /// Where they go that are not kept.
    pub(crate) fn passed_on(&self, topic: &str) -> String {
        format!("{}.c.{}", self.stream, encoded(topic))
    }

    /// Where nobody listens.
    pub(crate) fn nobody(&self) -> String {
        format!("{}.nobody", self.stream)
    }

    pub(crate) fn all_stored(&self) -> String {
        format!("{}.t.>", self.stream)
    }

    pub(crate) fn all_republished(&self) -> String {
        format!("{}.r.>", self.stream)
    }

    /// The bucket of what all processes agree on.
    pub(crate) fn state_stream(&self) -> String {
        format!("KV_{}_state", self.stream)
    }

    pub(crate) fn state_subjects(&self) -> String {
        format!("$KV.{}_state.>", self.stream)
    }

    pub(crate) fn generation(&self) -> String {
        format!("$KV.{}_state.generation", self.stream)
    }

    /// The bucket of who is there.
    pub(crate) fn presence_stream(&self) -> String {
        format!("KV_{}_presence", self.common)
    }

    pub(crate) fn presence_subjects(&self) -> String {
        format!("$KV.{}_presence.>", self.common)
    }

    /// What one process says of one topic.
    pub(crate) fn presence(&self, topic: &str, process: u64) -> String {
        format!("$KV.{}_presence.{}.{process:016x}", self.common, encoded(topic))
    }

    pub(crate) fn presence_of_all(&self, topic: &str) -> String {
        format!("$KV.{}_presence.{}.*", self.common, encoded(topic))
    }
}

/// A name of which a subject has nothing that means anything to it: bytes other than letters, digits, `-` and `_` are
/// `=XX`.
pub(crate) fn encoded(name: &str) -> String {
    use std::fmt::Write as _;
    let mut token = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            token.push(char::from(byte));
        } else {
            let _ = write!(token, "={byte:02X}");
        }
    }
    token
}

/// What was encoded; `None` for what never was.
pub(crate) fn decoded(token: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::with_capacity(token.len()), token);
    while let Some((plain, encoded)) = rest.split_once('=') {
        bytes.extend_from_slice(plain.as_bytes());
        bytes.push(u8::from_str_radix(encoded.get(..2)?, 16).ok()?);
        rest = encoded.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn tokens() {
        let check = |name: &str, token: &str| assert_eq!(encoded(name), token);
        check("chat", "chat");
        check("rooms/1", "rooms=2F1");
        check("a.b*c>d e=", "a=2Eb=2Ac=3Ed=20e=3D");
        check("\u{fc}", "=C3=BC");
        let longest = "\u{fc}".repeat(127);
        let names = Names::own(&"s".repeat(32), &"n".repeat(32));
        assert!(names.presence(&longest, u64::MAX).len().max(names.republished(&longest).len()) < 1024);
        // In each file system a name has 255 bytes.
        assert!(names.state_stream().len() < 100);
    }

    proptest! {
        #[test]
        fn each_name_has_a_token_of_its_own(name in ".{1,40}") {
            let token = encoded(&name);
            prop_assert!(!token.contains(['.', '*', '>', ' ', '$']));
            prop_assert_eq!(decoded(&token), Some(name));
        }

        #[test]
        fn nothing_panics(text in ".{0,20}") {
            let _ = decoded(&text);
        }
    }
}
