//! Getting a connection and keeping an eye on it: whether the broker is there, and whether it is what it was.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerInfo, Subscriber};
use rikki_topics::Epoch;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::generation;
use crate::link::{Connected, Link, random};
use crate::publishing::Publisher;
use crate::requests::{Requests, Trouble, hand_over, next_of};
use crate::stream::{self, BadStream};

/// How often the broker is asked whether it is there.
const PROBE: Duration = Duration::from_secs(1);

/// How often connecting is tried, and making the stream.
const AGAIN: Duration = Duration::from_secs(1);

/// After how long without an answer another connection is made: to another server, where there are several. The client
/// does not take that up while there is much that the server does not read. The connection then goes on until the third of
/// its pings, of which one is sent whenever nothing has come for 5 seconds: with a server that goes on sending, for as long
/// as that does.
const STUCK: Duration = Duration::from_secs(4);

/// How long connecting to one server may take.
const CONNECTING: Duration = Duration::from_secs(3);

/// How many commands may wait for the connection.
const COMMANDS: usize = 4096;

/// How many messages of one subscription may wait, whatever their bytes: the client knows no other bound, and this one for
/// all subscriptions alone. With 1,024 a third of the acknowledgements of 9,000 messages at once was dropped, and those were
/// sent again 2 seconds later; with 4,096 a twentieth. What is dropped of a topic is found to be missing, and got.
const MESSAGES: usize = 4096;

/// Connects, and keeps what is known of the broker true, for as long as the runtime goes on.
pub(crate) async fn supervise(link: Arc<Link>) {
    let mut told = Told::default();
    let (sender, mut events) = mpsc::channel(256);
    let client = loop {
        match connect(&link, &sender).await {
            Ok(client) => break client,
            Err(why) => {
                link.set_away(&why);
                told.tell(&link, &why);
                sleep(AGAIN).await;
            }
        }
    };
    let connected = async {
        let requests = Requests::new(&client).await?;
        let publisher = Publisher::new(&link, &client).await?;
        Some(Connected { client: client.clone(), requests, publisher })
    };
    let Some(connected) = connected.await else { return };
    let requests = connected.requests.clone();
    let _ = link.connected.set(connected);
    // Others say there that the history is another one.
    let Ok(mut raised) = client.subscribe(link.names.generation()).await else { return };
    loop {
        await_connection(&client, &mut events).await;
        match prepare(&link, &requests, &client.server_info(), &mut told).await {
            Ok(epoch) => {
                link.set_there(epoch);
                told.there(&link);
                let why = watch(&link, &client, &requests, &mut told, (&mut events, &mut raised)).await;
                if let Some(why) = why
                    && link.set_away(why)
                {
                    told.tell(&link, why);
                }
            }
            Err(why) => {
                let why = why.to_string();
                link.set_away(&why);
                told.tell(&link, &why);
                // A connection that was made anew is worth another attempt.
                let _ = timeout(AGAIN, events.recv()).await;
            }
        }
    }
}

/// Waits for the connection, and passes over what has happened before.
async fn await_connection(client: &Client, events: &mut mpsc::Receiver<Event>) {
    while client.connection_state() != State::Connected {
        let _ = timeout(AGAIN, events.recv()).await;
    }
    while events.try_recv().is_ok() {}
}

/// What was logged last: the same is not logged again.
#[derive(Default)]
struct Told {
    why: Option<String>,
    differences: Vec<String>,
}

impl Told {
    fn tell(&mut self, link: &Link, why: &str) {
        if self.why.as_deref() != Some(why) {
            let (broker, stream) = (link.config.shown(), &link.names.stream);
            tracing::warn!(target: "rikki::nats", broker, stream, why, "NATS is away: nothing can be published, and it is tried again");
            self.why = Some(why.to_owned());
        }
    }

    fn there(&mut self, link: &Link) {
        let (broker, stream) = (link.config.shown(), &link.names.stream);
        let again = self.why.take().is_some();
        let generation = link.generation.load(Relaxed);
        tracing::info!(target: "rikki::nats", broker, stream, generation, again, "NATS is there");
    }

    fn differs(&mut self, link: &Link, differences: Vec<String>) {
        if self.differences != differences && !differences.is_empty() {
            let (stream, differs) = (&link.names.stream, differences.join("; "));
            tracing::warn!(target: "rikki::nats", stream, differs, "the stream is not as it would be made now, and is left as it is");
        }
        self.differences = differences;
    }
}

async fn connect(link: &Link, events: &mpsc::Sender<Event>) -> Result<Client, String> {
    let config = &link.config;
    let events = events.clone();
    let mut options = ConnectOptions::new()
        .name("rikki")
        .connection_timeout(CONNECTING)
        .ping_interval(Duration::from_secs(5))
        .client_capacity(COMMANDS)
        .subscription_capacity(MESSAGES)
        .reconnect_delay_callback(delay)
        .event_callback(move |event| {
            let events = events.clone();
            async move {
                // Whoever looks at them misses nothing by one: the broker is asked anyway.
                let _ = events.try_send(event);
            }
        });
    // What this process passes on it has already.
    if config.core {
        options = options.no_echo();
    }
    if let Some(token) = &config.token {
        options = options.token(token.0.clone());
    }
    if let Some(ca) = &config.ca {
        options = options.add_root_certificates(ca.clone()).require_tls(true);
    }
    if let Some(file) = &config.credentials {
        let read = options.credentials_file(file).await;
        options = read.map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let addresses = config.addresses().map_err(|error| error.to_string())?;
    options.connect(addresses).await.map_err(|error| match error.kind() {
        ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
            "the server does not let us in: the credentials or the token are wrong, or missing".to_owned()
        }
        ConnectErrorKind::TimedOut => "the server does not answer".to_owned(),
        _ => format!("cannot connect: {error}"),
    })
}

/// How long to wait until the next attempt: at random, so that not all come at once.
fn delay(attempts: usize) -> Duration {
    let most = Duration::from_millis(100 << attempts.min(5)).min(Duration::from_secs(2));
    most.mul_f64((random() % 1024) as f64 / 1024.0)
}

/// Sees to it that there is a stream to work with; which history it has.
async fn prepare(
    link: &Arc<Link>,
    requests: &Requests,
    server: &ServerInfo,
    told: &mut Told,
) -> Result<Epoch, BadStream> {
    if link.config.core {
        // There is none: each process has a history of its own. Whether anybody is there is to be seen.
        return requests.echo(&link.names).await.map(|()| Epoch(random())).map_err(BadStream::from);
    }
    if is_too_old(&server.version) {
        return Err(BadStream::TooOld(server.version.clone()));
    }
    // What comes while it is asked is not in the answer.
    let seen = link.highest();
    let (info, differences) = stream::prepare(requests, &link.config, &link.bounds, &link.names).await?;
    told.differs(link, differences);
    link.set_info(&info);
    Ok(generation::agree(link, requests, &info, seen).await?)
}

/// Before streams could be read without a consumer.
fn is_too_old(version: &str) -> bool {
    let mut parts = version.split(['.', '-']).map(|part| part.parse::<u64>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (2, 9)
}

/// Watches until the broker is away, and says why, or until something has changed that is to be looked at.
async fn watch(
    link: &Arc<Link>,
    client: &Client,
    requests: &Requests,
    told: &mut Told,
    (events, raised): (&mut mpsc::Receiver<Event>, &mut Subscriber),
) -> Option<&'static str> {
    let mut probes = interval(PROBE);
    probes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let probe = async {
            probes.tick().await;
            let asked = Instant::now();
            (probe(link, requests).await, asked.elapsed())
        };
        let mut probe = std::pin::pin!(probe);
        // What happens meanwhile does not begin it anew: somebody may be slow all the time.
        let (answer, took) = loop {
            tokio::select! {
                answer = &mut probe => break answer,
                event = events.recv() => match event {
                    Some(Event::Disconnected | Event::Closed) => return Some("the connection is lost"),
                    Some(Event::Connected | Event::SlowConsumer(_)) => link.look_again(),
                    Some(_) => {}
                    None => return Some("the connection is closed"),
                },
                _ = next_of(raised) => return None,
            }
        };
        link.lag.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        match answer {
            Ok(true) => {}
            Ok(false) => return Some("the stream has lost messages, or was made anew"),
            Err(trouble) => {
                tracing::debug!(target: "rikki::nats", %trouble, "no answer to a probe");
                let why = "the server does not answer";
                if link.set_away(why) {
                    told.tell(link, why);
                }
                stuck(link, client, requests).await;
                return None;
            }
        }
    }
}

/// Whether all is as it was.
async fn probe(link: &Arc<Link>, requests: &Requests) -> Result<bool, Trouble> {
    if link.config.core {
        return requests.echo(&link.names).await.map(|()| true);
    }
    // What had been seen before it was asked is there, or was lost.
    let seen = link.highest();
    let info = stream::info(requests, &link.names).await?;
    link.set_info(&info);
    Ok(info.state.last_seq >= seen && generation::is_of(link, &info))
}

/// The broker is away, though there is a connection: until it answers again, or another connection is made.
async fn stuck(link: &Arc<Link>, client: &Client, requests: &Requests) {
    let since = Instant::now();
    while since.elapsed() < STUCK {
        if probe(link, requests).await.is_ok() {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let _ = hand_over(client.force_reconnect()).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::Fake;

    #[test]
    fn versions() {
        let check = |version: &str, expected| assert_eq!(is_too_old(version), expected, "{version}");
        check("2.9.0", false);
        check("2.9.10", false);
        check("2.12.1-RC.2", false);
        check("3.0.0", false);
        check("2.8.4", true);
        check("2.8.4-beta", true);
        check("1.9.0", true);
        check("", true);
    }

    /// No other connection can be asked for then, which is not waited for.
    #[tokio::test]
    async fn a_server_that_stops_reading() {
        let fake = Fake::start().await;
        let link = fake.link().await;
        let Connected { client, requests, .. } = link.connected.get().unwrap();
        fake.stop_reading(client).await;
        tokio::time::pause();
        assert_eq!(timeout(Duration::from_secs(60), stuck(&link, client, requests)).await, Ok(()));
    }

    #[test]
    fn delays() {
        for attempts in [0, 1, 5, 100, usize::MAX] {
            assert!(delay(attempts) <= Duration::from_secs(2));
        }
    }
}
