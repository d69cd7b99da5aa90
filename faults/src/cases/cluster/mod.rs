//! Several nodes on one broker, of which now one and now another is killed, held up or cut off: each acknowledged message
//! comes to each subscriber once and in order.

mod checker;
mod clients;

use std::collections::BTreeMap;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::Result;
use crate::cable::Cable;
use crate::case::{Bench, Case, Trouble};
use crate::network::{Network, Side};
use crate::server::{Server, command};
use checker::{Seen, Sum, Told, check};
use clients::{PORT, Protocol, Subscriber, one, publish};

pub(crate) const CASES: &[Case] = &[
    Case { name: "cluster", run: |bench| cluster(bench, 1) },
    Case { name: "cluster-replicated", run: |bench| cluster(bench, 3) },
];

const NODES: [u8; 3] = [1, 2, 3];

/// Numbers of the hosts with a nats-server.
const BROKERS: [u8; 3] = [11, 12, 13];

/// How long it may take until all is as it was.
const HEALING: Duration = Duration::from_secs(60);

fn cluster(bench: &Bench, replicas: usize) -> Result<String, Trouble> {
    if !Cable::is_possible() {
        return Err(Trouble::NotRun("network namespaces need root and ip".to_owned()));
    }
    if Command::new("nats-server").arg("--version").stdout(Stdio::null()).status().is_err() {
        return Err(Trouble::NotRun("there is no nats-server".to_owned()));
    }
    let (rounds, subscribers, topics) = match replicas {
        1 => bench.pick((100, 300, 20), (6, 24, 6)),
        _ => bench.pick((100, 300, 20), (3, 24, 6)),
    };
    let mut stage = Stage::set(bench, replicas)?;
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().on_thread_start(stage.network.to_clients());
    let runtime = runtime.build().map_err(|error| format!("a runtime: {error}"))?;
    let names: Vec<String> = (0..topics).map(|number| format!("t/{number}")).collect();
    let told: Vec<Arc<Mutex<BTreeMap<u64, Told>>>> = names.iter().map(|_| Arc::default()).collect();
    let (last, lasts) = watch::channel(BTreeMap::new());
    let (stop, stopping) = watch::channel(false);
    let mut publishing = JoinSet::new();
    let mut following = JoinSet::new();
    let protocols = [Protocol::WebSocket, Protocol::Events, Protocol::Centrifugo];
    for number in 0..subscribers {
        let subscriber = Subscriber::new(names[number % topics].clone(), protocols[number % 3], &NODES);
        following.spawn_on(subscriber.follow(lasts.clone()), runtime.handle());
    }
    let every = Duration::from_millis(100);
    for (number, (name, told)) in names.iter().zip(&told).enumerate() {
        let work = publish(name.clone(), NODES.to_vec(), number % 2 == 0, every, stopping.clone(), told.clone());
        publishing.spawn_on(work, runtime.handle());
    }
    thread::sleep(Duration::from_secs(1));
    let mut done = Vec::new();
    for _ in 0..rounds {
        done.push(stage.fault(bench)?);
        thread::sleep(Duration::from_millis(300 + u64::from(rand::random::<u16>()) % 700));
    }
    stop.send_replace(true);
    let logs = finish(&runtime, publishing, following, &names, &told, &last);
    let sum = logs.and_then(|logs| verdict(&names, &told, logs));
    let sum = sum.map_err(|why| format!("{why}; {}; {}", done.join(", "), stage.warnings()))?;
    let count = |is: fn(&Told) -> bool| {
        told.iter().map(|told| lock(told).values().filter(|told| is(told)).count()).sum::<usize>()
    };
    let mut kinds = done.clone();
    kinds.sort_unstable();
    kinds.dedup();
    let faults = kinds.iter().map(|kind| format!("{} x {kind}", done.iter().filter(|one| *one == kind).count()));
    let faults: Vec<_> = faults.collect();
    Ok(format!(
        "{rounds} rounds ({}); {subscribers} subscribers of {topics} topics on 3 nodes, {replicas} of NATS: {} messages \
         acknowledged, {} delivered, none missing, twice or out of order; {} unknown, {} refused; {} resumes, {} gaps told",
        faults.join(", "),
        count(|told| matches!(told, Told::Acknowledged(_))),
        sum.delivered,
        count(|told| *told == Told::Unknown),
        count(|told| *told == Told::Refused),
        sum.resumed,
        sum.gaps,
    ))
}

/// Publishes a last message to each topic, and waits until all have it.
fn finish(
    runtime: &Runtime,
    mut publishing: JoinSet<()>,
    mut following: JoinSet<Subscriber>,
    names: &[String],
    told: &[Arc<Mutex<BTreeMap<u64, Told>>>],
    last: &watch::Sender<BTreeMap<String, u64>>,
) -> Result<Vec<Subscriber>> {
    runtime.block_on(async {
        let stopped = async { while publishing.join_next().await.is_some() {} };
        timeout(HEALING, stopped).await.map_err(|_| "publishers do not come to their end")?;
        let mut lasts = BTreeMap::new();
        for (name, told) in names.iter().zip(told) {
            let number = lock(told).len() as u64 + 1;
            // In a task, which is where clients are.
            let (topic, nodes) = (name.clone(), NODES.to_vec());
            let work = tokio::spawn(async move { one(&topic, &nodes, number, true).await });
            let became = timeout(HEALING, work).await.map_err(|_| format!("{name} cannot be published to"))?;
            lock(told).insert(number, became.map_err(|error| error.to_string())?);
            lasts.insert(name.clone(), number);
        }
        last.send_replace(lasts);
        let mut logs = Vec::new();
        let all = async {
            while let Some(done) = following.join_next().await {
                logs.push(done.map_err(|error| error.to_string())?);
            }
            Ok::<_, String>(())
        };
        match timeout(HEALING, all).await {
            Ok(done) => done?,
            Err(_) => return Err(format!("{} subscribers did not get the last message", following.len())),
        }
        Ok(logs)
    })
}

fn verdict(names: &[String], told: &[Arc<Mutex<BTreeMap<u64, Told>>>], logs: Vec<Subscriber>) -> Result<Sum> {
    let mut sum = Sum::default();
    for subscriber in logs {
        let index = names.iter().position(|name| *name == subscriber.topic).ok_or("a topic")?;
        let told = lock(&told[index]);
        check(&told, &subscriber.seen, &mut sum).map_err(|why| {
            let tail: Vec<_> = subscriber.seen.iter().filter(|seen| !matches!(seen, Seen::Message { .. })).collect();
            format!("{:?} of {}: {why}; beside messages it saw {tail:?}", subscriber.protocol, subscriber.topic)
        })?;
    }
    Ok(sum)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The nodes and their broker.
struct Stage {
    network: Network,
    brokers: Vec<Broker>,
    nodes: Vec<(u8, Server)>,
}

struct Broker {
    host: u8,
    child: Child,
    all: Vec<u8>,
    scratch: std::path::PathBuf,
}

impl Stage {
    fn set(bench: &Bench, replicas: usize) -> Result<Self> {
        let brokers = &BROKERS[..replicas];
        let mut hosts: Vec<(u8, &[Side])> = NODES.iter().map(|node| (*node, &[Side::Inner, Side::Outer][..])).collect();
        hosts.extend(brokers.iter().map(|host| (*host, &[Side::Inner][..])));
        let network = Network::lay(&hosts)?;
        let start = |host: &u8| Broker::start(&network, *host, brokers, bench);
        let brokers = brokers.iter().map(start).collect::<Result<Vec<_>>>()?;
        let mut stage = Self { network, brokers, nodes: Vec::new() };
        for node in NODES {
            let server = stage.node(bench, node)?;
            stage.nodes.push((node, server));
        }
        for (_, server) in &stage.nodes {
            let there = || Ok(server.log_text().contains("NATS is there"));
            let is_there = crate::server::within(HEALING, there)?;
            is_there.ok_or_else(|| format!("a node has no broker: {}", server.log_text()))?;
        }
        Ok(stage)
    }

    fn node(&self, bench: &Bench, node: u8) -> Result<Server> {
        let urls: Vec<_> = self.brokers.iter().map(|broker| Side::Inner.address(broker.host).to_string()).collect();
        let (broker, replicas) = (format!("nats://{}", urls.join(",")), self.brokers.len().to_string());
        let url = format!("http://{}:{PORT}", Side::Outer.address(node));
        let flags = ["--topic", "/t/*,publish", "--quiet", "--broker", &broker, "--broker-replicas", &replicas];
        let started = Instant::now();
        loop {
            let server = self.network.at(node, || Server::spawn(bench, command(bench, &url, &flags)))?;
            // The port of one that was killed may still be taken.
            match server {
                Err(_) if started.elapsed() < HEALING => thread::sleep(Duration::from_millis(100)),
                server => return server,
            }
        }
    }

    /// What nodes have warned of.
    fn warnings(&self) -> String {
        let texts: Vec<_> = self.nodes.iter().map(|(_, server)| server.log_text()).collect();
        let lines = texts.iter().flat_map(|text| text.lines()).filter(|line| line.contains(" WARN "));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// One fault, and its end; what it was.
    fn fault(&mut self, bench: &Bench) -> Result<&'static str> {
        let any = |count: usize| usize::from(rand::random::<u16>()) % count.max(1);
        let node = any(self.nodes.len());
        let broker = any(self.brokers.len());
        let while_it_lasts = || thread::sleep(Duration::from_millis(300 + u64::from(rand::random::<u16>()) % 3200));
        let host = self.nodes[node].0;
        Ok(match any(7) {
            0 => {
                self.nodes.remove(node);
                while_it_lasts();
                let server = self.node(bench, host)?;
                self.nodes.push((host, server));
                "a node killed"
            }
            1 => {
                self.nodes[node].1.signal(Signal::STOP)?;
                while_it_lasts();
                self.nodes[node].1.signal(Signal::CONT)?;
                "a node held up"
            }
            2 => {
                let killed = self.brokers.swap_remove(broker);
                let (host, all) = (killed.host, killed.all.clone());
                drop(killed);
                while_it_lasts();
                self.brokers.push(Broker::start(&self.network, host, &all, bench)?);
                "NATS killed"
            }
            3 => {
                self.brokers[broker].signal(Signal::STOP)?;
                while_it_lasts();
                self.brokers[broker].signal(Signal::CONT)?;
                "NATS held up"
            }
            4 => self.cut(Side::Inner, host, while_it_lasts, "a node cut off from NATS")?,
            5 => self.cut(Side::Outer, host, while_it_lasts, "a node cut off from clients")?,
            _ => self.cut(Side::Inner, self.brokers[broker].host, while_it_lasts, "NATS cut off")?,
        })
    }

    fn cut(&self, side: Side, host: u8, lasts: impl Fn(), name: &'static str) -> Result<&'static str> {
        self.network.set(side, host, false)?;
        lasts();
        self.network.set(side, host, true)?;
        Ok(name)
    }
}

impl Broker {
    fn start(network: &Network, host: u8, all: &[u8], bench: &Bench) -> Result<Self> {
        let scratch = bench.scratch.join(format!("nats-{}-{host}", all.len()));
        std::fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
        let log = File::options().create(true).append(true).open(scratch.join("log"));
        let log = log.map_err(|error| format!("the log of nats-server: {error}"))?;
        let address = Side::Inner.address(host).to_string();
        let mut command = Command::new("nats-server");
        command.args(["-js", "-a", &address, "-p", "4222", "--name", &format!("n{host}")]);
        command.arg("-sd").arg(scratch.join("store"));
        if all.len() > 1 {
            let others = all.iter().filter(|other| **other != host);
            let routes: Vec<_> = others.map(|other| format!("nats://{}:6222", Side::Inner.address(*other))).collect();
            command.args(["--cluster_name", "c", "--cluster", &format!("nats://{address}:6222")]);
            command.args(["--routes", &routes.join(",")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = network.at(host, || command.spawn())?.map_err(|error| format!("nats-server: {error}"))?;
        Ok(Self { host, child, all: all.to_vec(), scratch })
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("a process id")?;
        kill_process(pid, signal).map_err(|error| format!("{signal:?}: {error} ({})", self.scratch.display()))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
