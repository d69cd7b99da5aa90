//! Where the broker is, and what is kept there: plain data.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rikki_topics::Pattern;

use crate::own::{StreamConfig, check_name};

rikki_limits::limits! {
    /// Where NATS is, how to get in, and what its stream keeps.
    ///
    /// It is plain data: nothing is connected by it. What is too small counts as the least that can be.
    ///
    /// ```
    /// use rikki_nats::NatsConfig;
    ///
    /// let config = NatsConfig::new("nats://10.0.0.1,10.0.0.2,10.0.0.3").replicas(3_usize);
    /// ```
    #[derive(Clone, Debug, PartialEq)]
    #[must_use]
    pub struct NatsConfig, setters of NatsConfig by with, beside {
        pub(crate) servers: Servers = Servers(String::new()),
        pub(crate) credentials: Option<PathBuf> = None,
        pub(crate) token: Option<Token> = None,
        pub(crate) ca: Option<PathBuf> = None,
        pub(crate) stream: String = "rikki".to_owned(),
        pub(crate) core: bool = false,
        pub(crate) own: Vec<(Pattern, StreamConfig)> = Vec::new(),
    };

    pub(crate) retention: Duration {
        name: "broker-retention", unit: Time, default: "24h",
        meaning: "How long the broker keeps messages", detail: ": longer than any topic does, so that who comes back finds them",
        setter: retention(Duration),
    }
    pub(crate) bytes: usize {
        name: "broker-bytes", unit: Size, default: "1GiB",
        meaning: "What the broker keeps of all topics together", detail: ", on its disk: the oldest messages give way",
        /// Those with a stream of [their own](Self::own_stream) are not among them.
        setter: bytes(usize),
    }
    pub(crate) replicas: usize {
        name: "broker-replicas", unit: Count, default: "1", most: 5,
        meaning: "On how many servers of the broker each message is", detail: ": 3 survive the loss of one",
        setter: replicas(usize),
    }
    pub(crate) duplicates: Duration {
        name: "broker-duplicates", unit: Time, default: "5m",
        meaning: "How long the broker knows a message that was published", detail: ", by its key, and does not take it again",
        /// Each message costs the broker about 150 bytes of memory for so long.
        setter: duplicates(Duration),
    }
}

/// What a URL of a server may begin with.
const SCHEMES: [&str; 2] = ["nats", "tls"];

/// Where NATS is, of which a log shows no password.
#[derive(Clone, PartialEq)]
pub(crate) struct Servers(String);

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Servers {
    fn shown(&self) -> String {
        let parts = self.0.split_once("://").filter(|(scheme, _)| SCHEMES.contains(scheme));
        let (scheme, hosts) = parts.unwrap_or(("nats", &self.0));
        format!("{scheme}://{}", without_secret(hosts))
    }
}

/// A token, which no log shows.
#[derive(Clone, PartialEq)]
pub(crate) struct Token(pub(crate) String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

rikki_limits::set_by_name!(NatsConfig, "`broker-retention` to `1h`");

impl NatsConfig {
    /// One server or several of one cluster: `nats://HOST[:PORT]`, and more hosts behind commas. `tls://` asks for TLS,
    /// which is used anyway where the server wants it. The port is 4222 where none is named. A user and a password may
    /// stand before the host, as in `nats://user:password@host`; a comma in the password would begin another host.
    pub fn new(servers: impl Into<String>) -> Self {
        Self { servers: Servers(servers.into()), ..Self::default() }
    }

    /// Sets the file with the credentials of a user (`.creds`), which is read when the first connection is made.
    pub fn credentials(self, file: impl Into<PathBuf>) -> Self {
        Self { credentials: Some(file.into()), ..self }
    }

    /// The file with the credentials.
    #[must_use]
    pub fn credentials_path(&self) -> Option<&std::path::Path> {
        self.credentials.as_deref()
    }

    /// Sets the token that the server asks for.
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: Some(Token(token.into())), ..self }
    }

    /// Sets a file with the certificates of the authorities that are trusted, as PEM, in place of the system's.
    pub fn ca(self, file: impl Into<PathBuf>) -> Self {
        Self { ca: Some(file.into()), ..self }
    }

    /// Sets the name of the stream, with which all of its subjects begin; default `rikki`: 1 to 32 ASCII letters, digits,
    /// `-` or `_`. Those who have another one know nothing of each other, unless it is the whole name of a stream that
    /// others have [of their own](Self::own_stream): `rikki_chat` is the one of `rikki` and `chat`.
    pub fn stream(self, name: impl Into<String>) -> Self {
        Self { stream: name.into(), ..self }
    }

    /// Whether messages are passed on and not kept, for which no JetStream is needed; default not.
    ///
    /// Each process has an order, a history and epochs of its own then, and knows its own subscribers alone. A message is
    /// acknowledged when this process has it; it gets to each other process at most once, and where some may be missing
    /// subscribers are told of a gap.
    pub fn core(self, core: bool) -> Self {
        Self { core, ..self }
    }

    /// Whether it can be what it is, without asking anybody.
    ///
    /// # Errors
    ///
    /// [`BadConfig`] says what cannot.
    pub fn check(&self) -> Result<(), BadConfig> {
        self.addresses().map(drop)?;
        check_name(&self.stream)?;
        self.check_own()?;
        if self.credentials.is_some() && self.token.is_some() {
            return Err(BadConfig::TwoWaysIn);
        }
        for file in self.credentials.iter().chain(&self.ca) {
            std::fs::File::open(file)
                .map_err(|error| BadConfig::File { path: file.clone(), error: error.to_string() })?;
        }
        Ok(())
    }

    /// The servers, each with a scheme of its own.
    pub(crate) fn addresses(&self) -> Result<Vec<async_nats::ServerAddr>, BadConfig> {
        let servers = &self.servers.0;
        let (scheme, hosts) = servers.split_once("://").unwrap_or(("nats", servers));
        let bad = || BadConfig::Server(without_secret(servers));
        if !SCHEMES.contains(&scheme) {
            return Err(bad());
        }
        let address = |host: &str| {
            let host = host.trim();
            // Each may have the scheme again.
            let host = host.split_once("://").filter(|(other, _)| *other == scheme).map_or(host, |(_, host)| host);
            let is_bare = host.is_empty() || host.contains(['/', '?', '#', ' ']);
            let parsed = format!("{scheme}://{host}").parse::<async_nats::ServerAddr>();
            parsed.ok().filter(|_| !is_bare).ok_or_else(bad)
        };
        hosts.split(',').map(address).collect()
    }

    /// The servers as they may be shown: without a password.
    #[must_use]
    pub fn shown(&self) -> String {
        self.servers.shown()
    }
}

/// Hosts without the users and the passwords in front of them. Between a host and the next `@` may be other hosts, or a
/// password with a comma in it (<https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1> lets it be there): all of that
/// is left out.
fn without_secret(hosts: &str) -> String {
    let Some((front, last)) = hosts.rsplit_once('@') else { return hosts.to_owned() };
    let between = front.split('@').skip(1).filter_map(|part| part.split_once(',').map(|(host, _)| host));
    between.chain([last]).collect::<Vec<_>>().join(",")
}

/// Why this cannot be where a broker is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadConfig {
    /// This is no server.
    Server(String),
    /// No stream can have this name.
    Stream(String),
    /// Two patterns have this stream of their own, with bounds that differ.
    TwoStreams(String),
    /// More patterns have a stream of their own than may.
    TooManyStreams {
        /// How many.
        count: usize,
        /// How many may.
        most: usize,
    },
    /// Patterns have a stream of their own, and nothing is kept.
    CoreKeepsNone,
    /// There are credentials and a token.
    TwoWaysIn,
    /// A file cannot be read.
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: String,
    },
}

impl fmt::Display for BadConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(text) => {
                write!(
                    f,
                    "{text:?} is no server of NATS: expected nats://HOST[:PORT], more of them behind commas, or tls://; a \
                     password can have no comma"
                )
            }
            Self::Stream(name) => {
                write!(f, "{name:?} is no name of a stream: expected 1 to 32 ASCII letters, digits, - or _")
            }
            Self::TwoStreams(name) => {
                write!(f, "two patterns have the stream {name:?} with bounds that differ: it can have only one of them")
            }
            Self::TooManyStreams { count, most } => {
                write!(f, "{count} patterns have a stream of their own, at most {most} can: let some have one together")
            }
            Self::CoreKeepsNone => {
                f.write_str("no pattern can have a stream of its own where messages are passed on and not kept")
            }
            Self::TwoWaysIn => f.write_str("either credentials or a token let into NATS, not both"),
            Self::File { path, error } => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for BadConfig {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let check = |text: &str, expected: Option<&[(&str, u16)]>| {
            let addresses = NatsConfig::new(text).addresses();
            let got =
                addresses.map(|all| all.iter().map(|one| (one.host().to_owned(), one.port())).collect::<Vec<_>>());
            let expected =
                expected.map(|all| all.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect::<Vec<_>>());
            assert_eq!(got.ok(), expected, "{text}");
        };
        check("nats://a", Some(&[("a", 4222)]));
        check("a", Some(&[("a", 4222)]));
        check("nats://a,b:1,c", Some(&[("a", 4222), ("b", 1), ("c", 4222)]));
        check("nats://a,nats://b", Some(&[("a", 4222), ("b", 4222)]));
        check("tls://a:5", Some(&[("a", 5)]));
        check("nats://u:p@a", Some(&[("a", 4222)]));
        for bad in [
            "",
            "nats://",
            "nats://a,,b",
            "http://a",
            "ws://a",
            "nats://a/b",
            "nats://a:x",
            "nats://a b",
            "nats://a,tls://b",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        let config = NatsConfig::new("nats://u:s3cret@a,v:s3cret@b").token("s3cret");
        assert_eq!(config.shown(), "nats://a,b");
        assert!(!format!("{config:?}").contains("s3cret"), "{config:?}");
        for servers in [
            "http://u:s3cret@a",
            "nats://u:s3cret,more@a",
            "nats://u:no,s3cret,more@a",
            "nats://u:s3cret@x@a:b",
            "nats://a,u:1,s3cret@b:c",
            "u:s3cret://x@a",
        ] {
            let config = NatsConfig::new(servers);
            let error = config.check().unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
            assert!(!config.shown().contains("s3cret") && !format!("{config:?}").contains("s3cret"), "{config:?}");
        }
        // A host that may be the beginning of a password is not shown either.
        assert_eq!(NatsConfig::new("a,b:1,u:s3cret@c,d:2,v:s3cret@e,f:3").shown(), "nats://c,e,f:3");
        assert_eq!(NatsConfig::new("tls://a:1,b").shown(), "tls://a:1,b");
        assert_eq!(NatsConfig::new("a").token("a").credentials("b").check(), Err(BadConfig::TwoWaysIn));
        assert_eq!(NatsConfig::new("a").stream("a.b").check(), Err(BadConfig::Stream("a.b".to_owned())));
    }
}
