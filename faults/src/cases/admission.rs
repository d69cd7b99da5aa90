//! More connections than there may be.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::Result;
use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, ECHO, in_time};
use crate::server::Server;

pub(crate) const CASES: &[Case] =
    &[Case { name: "too-many", run: too_many }, Case { name: "too-many-from-one", run: too_many_from_one }];

/// How many have a place.
const PLACES: usize = 100;

/// All places are taken, and a crowd wants in: it is refused, those inside go on, and who comes after one has left has
/// its place.
fn too_many(bench: &Bench) -> Result<String, Trouble> {
    let server = Server::rikki(bench, &["--log", "warn", "--max-connections", &PLACES.to_string()])?;
    let crowd = bench.pick(5000, 500);
    let answers = bench.runtime.block_on(async {
        let mut inside = connect_from(Ipv4Addr::LOCALHOST, server.address, PLACES).await?;
        let refused = crowd_of(crowd, Ipv4Addr::LOCALHOST, server.address);
        let echoes = async {
            for client in &mut inside {
                client.echo("still here").await?;
            }
            Ok::<_, String>(())
        };
        let (answers, echoes) = tokio::join!(refused, echoes);
        echoes?;
        inside.pop().ok_or("nobody inside")?.leave(1000).await?;
        let let_in = in_time("a place that is free again", async {
            loop {
                match Client::connect(server.address, ECHO).await {
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Ok(mut client) => return client.echo("at last").await,
                }
            }
        });
        let_in.await?;
        Ok::<_, String>(answers)
    })?;
    refused_with("503", crowd, answers)
}

/// One address has all that it may, and another one as much.
fn too_many_from_one(bench: &Bench) -> Result<String, Trouble> {
    const GREEDY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    const MODEST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
    let server = Server::rikki(bench, &["--log", "warn", "--max-per-address", &PLACES.to_string()])?;
    let crowd = bench.pick(5000, 500);
    let answers = bench.runtime.block_on(async {
        let mut inside = connect_from(GREEDY, server.address, PLACES).await?;
        let answers = crowd_of(crowd, GREEDY, server.address).await;
        inside.extend(connect_from(MODEST, server.address, PLACES).await?);
        for client in &mut inside {
            client.echo("still here").await?;
        }
        Ok::<_, String>(answers)
    })?;
    refused_with("429", crowd, answers)
}

async fn connect_from(address: Ipv4Addr, server: SocketAddr, count: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for _ in 0..count {
        let socket = bound_to(address)?;
        clients.push(Client::connect_with(socket, server, ECHO).await?);
    }
    Ok(clients)
}

/// What so many connections are answered: a status and `Retry-After`, or nothing if they are cut.
async fn crowd_of(count: usize, address: Ipv4Addr, server: SocketAddr) -> BTreeMap<String, usize> {
    let mut all = JoinSet::new();
    for _ in 0..count {
        all.spawn(async move {
            let answer = in_time("an answer", async {
                let mut stream = bound_to(address)?.connect(server).await.map_err(|error| error.to_string())?;
                // Those beyond a bound are cut, whatever they have said.
                let _ = stream.write_all(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
                Ok(String::from_utf8_lossy(&answer).into_owned())
            });
            match answer.await {
                Ok(answer) if answer.is_empty() => "cut".to_owned(),
                Ok(answer) => {
                    let status = answer.split(' ').nth(1).unwrap_or_default();
                    let retries = answer.contains("\r\nretry-after: ");
                    format!("{status}{}", if retries { "" } else { " without Retry-After" })
                }
                Err(error) => error,
            }
        });
    }
    let mut answers = BTreeMap::new();
    while let Some(Ok(answer)) = all.join_next().await {
        *answers.entry(answer).or_default() += 1;
    }
    answers
}

fn bound_to(address: Ipv4Addr) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4().map_err(|error| format!("a socket: {error}"))?;
    socket.bind((address, 0).into()).map_err(|error| format!("{address}: {error}"))?;
    Ok(socket)
}

/// Everybody was refused: told so, unless there were too many even for that.
fn refused_with(status: &str, crowd: usize, answers: BTreeMap<String, usize>) -> Result<String, Trouble> {
    let count = |answer: &str| answers.get(answer).copied().unwrap_or_default();
    let (told, cut) = (count(status), count("cut"));
    if told == 0 || told + cut != crowd {
        return Err(format!("the crowd of {crowd} saw {answers:?}").into());
    }
    Ok(format!("{PLACES} inside echo; of {crowd} outside {told} told {status}, {cut} cut"))
}
