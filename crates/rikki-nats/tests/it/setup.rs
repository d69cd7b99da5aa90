//! Servers that are not as they should be: it is said why, and it goes on when they are.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use rikki_nats::{Nats, NatsConfig, NotStarted};
use rikki_topics::{Epoch, From, Position, PublishError, Topics, TopicsConfig};
use testkit::{Certificate, NatsServer};

use super::{config_of, soon, there};

/// Why it is away.
#[track_caller]
fn why_not(config: NatsConfig, expected: &str) -> Nats {
    let nats = Nats::start(config).unwrap();
    soon(expected, || nats.status().why_not.filter(|why| why.contains(expected)));
    let topics = Topics::with_broker(TopicsConfig::default(), nats.clone());
    assert_eq!(topics.publish("t", "x").wait(), Err(PublishError::Unavailable));
    nats
}

#[test]
fn what_stands_in_the_way_is_told() {
    let mut server = NatsServer::start_with(&["-js", "--auth", "s3cret"]);
    why_not(config_of(&server), "does not let us in");
    why_not(NatsConfig::new(server.url()).token("wrong"), "does not let us in");
    let nats = Nats::start(NatsConfig::new(server.url()).token("s3cret")).unwrap();
    there(&nats);
    let too_much = NatsConfig::new(server.url()).token("s3cret").stream("large").bytes(usize::MAX / 4);
    why_not(too_much, "insufficient");
    // Nobody is there at first.
    server.kill();
    let late = why_not(NatsConfig::new(server.url()).token("s3cret"), "cannot connect");
    server.start_again();
    there(&late);
    let without = NatsServer::start_with(&[]);
    why_not(NatsConfig::new(without.url()), "JetStream");
    let missing = Nats::start(NatsConfig::new("nats://a").credentials("/nowhere"));
    assert!(matches!(missing, Err(NotStarted::Config(_))), "{missing:?}");
}

/// One that is there stays as it is: it is used if it can be, and otherwise what is wrong is told.
#[test]
fn a_stream_that_differs() {
    let server = NatsServer::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let make = |config: &'static str| {
        runtime.block_on(async {
            let client = async_nats::connect(server.url()).await.unwrap();
            let name = config.split('"').nth(3).unwrap();
            let made = client.request(format!("$JS.API.STREAM.CREATE.{name}"), config.into()).await.unwrap();
            assert!(!made.payload.windows(7).any(|part| part == b"\"error\""), "{made:?}");
        });
    };
    make(r#"{"name":"bare","subjects":["bare.t.>"],"storage":"file","retention":"limits","max_msgs_per_subject":-1}"#);
    why_not(config_of(&server).stream("bare"), "republish");
    make(
        r#"{"name":"other","subjects":["other.t.>"],"storage":"memory","retention":"limits","discard":"old",
        "max_msgs_per_subject":-1,"allow_direct":true,"republish":{"src":"other.t.>","dest":"other.r.>"}}"#,
    );
    let nats = Nats::start(config_of(&server).stream("other")).unwrap();
    there(&nats);
}

/// A file that is gone at the end.
struct Kept(PathBuf);

impl Kept {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rikki-nats-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn tls() {
    let [mine, another] = [Certificate::new(["127.0.0.1"]), Certificate::new(["127.0.0.1"])];
    let (cert, key) = (Kept::new("cert", &mine.certificate), Kept::new("key", &mine.key));
    let server = NatsServer::start_with(&["-js", "--tls", "--tlscert", cert.path(), "--tlskey", key.path()]);
    let nats = Nats::start(config_of(&server).ca(cert.path())).unwrap();
    there(&nats);
    // Whom nobody trusts is not talked to.
    let wrong = Kept::new("wrong", &another.certificate);
    why_not(config_of(&server).ca(wrong.path()), "cannot connect");
    // TLS is asked for, and the server has none.
    let plain = NatsServer::start();
    why_not(config_of(&plain).ca(cert.path()), "cannot connect");
}

/// A token of NATS: <https://docs.nats.io/running-a-nats-service/configuration/securing_nats/auth_intro/jwt>
fn token(by: &KeyPair, of: &KeyPair, claims: &str) -> String {
    let (by_key, of_key) = (by.public_key(), of.public_key());
    let claims =
        format!(r#"{{"jti":"{of_key}","iat":1,"iss":"{by_key}","name":"n","sub":"{of_key}","nats":{claims}}}"#);
    let signed = [r#"{"typ":"JWT","alg":"ed25519-nkey"}"#, &claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = URL_SAFE_NO_PAD.encode(by.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

#[test]
fn credentials() {
    let (operator, user) = (KeyPair::new_operator(), KeyPair::new_user());
    let (account, system) = (KeyPair::new_account(), KeyPair::new_account());
    let limits = r#"{"subs":-1,"data":-1,"payload":-1,"imports":-1,"exports":-1,"wildcards":true,"conn":-1,"leaf":-1,
        "mem_storage":-1,"disk_storage":-1,"streams":-1,"consumer":-1}"#;
    let of_operator = token(&operator, &operator, r#"{"type":"operator","version":2}"#);
    let claims = format!(r#"{{"type":"account","version":2,"limits":{limits}}}"#);
    let of_account = token(&operator, &account, &claims);
    let of_user = token(&account, &user, r#"{"type":"user","version":2,"subs":-1,"data":-1,"payload":-1}"#);
    let of_system = token(&operator, &system, r#"{"type":"account","version":2,"limits":{"conn":-1,"subs":-1}}"#);
    let (account_key, system_key) = (account.public_key(), system.public_key());
    let config = format!(
        "operator: {of_operator}\nsystem_account: {system_key}\nresolver: MEMORY\n\
         resolver_preload: {{ {account_key}: {of_account}, {system_key}: {of_system} }}\n"
    );
    let config = Kept::new("config", &config);
    let server = NatsServer::start_with(&["-js", "-c", config.path()]);
    let seed = user.seed().unwrap();
    let file = format!(
        "-----BEGIN NATS USER JWT-----\n{of_user}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n\
         ------END USER NKEY SEED------\n"
    );
    let file = Kept::new("creds", &file);
    why_not(config_of(&server), "does not let us in");
    let nats = Nats::start(config_of(&server).credentials(file.path())).unwrap();
    there(&nats);
    let bad = Kept::new("bad", "no credentials");
    why_not(config_of(&server).credentials(bad.path()), "bad");
}

/// However many come at once: of two who follow it, each would take what the other has added for a loss.
#[test]
fn a_topic_is_followed_once() {
    let nats = Nats::start(NatsConfig::new("nats://127.0.0.1:1")).unwrap();
    let topics = Topics::with_broker(TopicsConfig::default(), nats.clone());
    let from = From::After(Position { epoch: Epoch(1), offset: 1 });
    let together = std::sync::Barrier::new(3);
    let come = || {
        let come = |number: usize| {
            together.wait();
            topics.subscribe(&number.to_string(), from).unwrap()
        };
        (0..2000).map(come).collect::<Vec<_>>()
    };
    let here: Vec<_> = std::thread::scope(|scope| {
        let all = [(); 3].map(|()| scope.spawn(come));
        all.into_iter().flat_map(|one| one.join().unwrap()).collect()
    });
    let _last = topics.subscribe("last", from).unwrap();
    soon("all are followed", || (nats.status().topics > 2000).then_some(()));
    assert_eq!((here.len(), nats.status().topics), (6000, 2001));
}
