//! Peers that say nothing, in every state that a connection can be in.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::Result;
use crate::cable::{Cable, End, SERVER};
use crate::case::{Bench, Case, Trouble};
use crate::client::{Client, ECHO, PING, PONG, in_time};
use crate::good::Good;
use crate::http2::Http2;
use crate::server::{Server, command, within};

pub(crate) const CASES: &[Case] =
    &[Case { name: "silent-peers", run: silent_peers }, Case { name: "half-open-peers", run: half_open_peers }];

/// The start of a ClientHello that announces more: <https://www.rfc-editor.org/rfc/rfc8446#section-4.1.2>
const HALF_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];

/// What a peer has said before it falls silent.
#[derive(Clone, Copy, Debug)]
enum After {
    Connecting,
    HalfOfAHead,
    ConnectingToTls,
    HalfOfAHello,
    Http2Preface,
    WebSocketHandshake,
}

impl After {
    const ALL: [Self; 6] = [
        Self::Connecting,
        Self::HalfOfAHead,
        Self::ConnectingToTls,
        Self::HalfOfAHello,
        Self::Http2Preface,
        Self::WebSocketHandshake,
    ];

    /// Falls silent, and gives the time until the server ends the connection.
    async fn silence(self, http: SocketAddr, https: SocketAddr) -> Result<Duration> {
        let said = match self {
            Self::Http2Preface => {
                let connection = Http2::connect(https).await?;
                let started = Instant::now();
                let end = in_time("an end", async { Ok(connection.flood(std::iter::empty()).await) }).await?;
                return if end.closed { Ok(started.elapsed()) } else { Err("HTTP/2 stayed open".to_owned()) };
            }
            Self::Connecting | Self::ConnectingToTls => &[],
            Self::HalfOfAHead => &b"GET / HTTP/1.1\r\nHost: loc"[..],
            Self::HalfOfAHello => HALF_HELLO,
            Self::WebSocketHandshake => &[],
        };
        let mut stream = match self {
            Self::WebSocketHandshake => Client::connect(http, ECHO).await?.stream,
            Self::ConnectingToTls | Self::HalfOfAHello => connect(https).await?,
            _ => connect(http).await?,
        };
        stream.write_all(said).await.map_err(|error| format!("write: {error}"))?;
        let started = Instant::now();
        // How it ends, or with which last words, is tested elsewhere.
        let _ = in_time("an end", async { Ok(stream.read_to_end(&mut Vec::new()).await) }).await?;
        Ok(started.elapsed())
    }
}

/// All of them are gone when their time is over.
fn silent_peers(bench: &Bench) -> Result<String, Trouble> {
    // The same for a head or handshake, and for a ping after a second with a pong after another; more for a machine on
    // which thousands of clients come last.
    const TIME: Duration = Duration::from_secs(2);
    const MOST: Duration = Duration::from_secs(5);
    let times = ["--head-timeout", "2s", "--ping-interval", "1s", "--pong-timeout", "1s"];
    let server = Server::rikki(
        bench,
        &[&["--log", "warn", "--listen", "https://127.0.0.1:0", "--tls-self-signed"], &times[..]].concat(),
    )?;
    let (http, https) = (server.address, server.next_address()?);
    let before = server.descriptors()?;
    let count = bench.pick(500, 50);
    let good = Good::start(http);
    let figures = bench.runtime.block_on(async {
        let mut all = JoinSet::new();
        for after in After::ALL {
            for _ in 0..count {
                all.spawn(async move { (after, after.silence(http, https).await) });
            }
        }
        let (mut least, mut most) = (Duration::MAX, Duration::ZERO);
        while let Some(ended) = all.join_next().await {
            let (after, time) = ended.map_err(|error| error.to_string())?;
            let time = time.map_err(|error| format!("silent after {after:?}: {error}"))?;
            if time > MOST {
                return Err(format!("silent after {after:?}: ended after {time:.1?}"));
            }
            (least, most) = (least.min(time), most.max(time));
        }
        Ok((least, most))
    });
    let good = good.stop()?;
    let (least, most) = figures?;
    good.check()?;
    if within(Duration::from_secs(1), || Ok(server.descriptors()? <= before))?.is_none() {
        return Err(format!("{} descriptors, {before} before", server.descriptors()?).into());
    }
    Ok(format!("{} peers, given {TIME:?}, ended after {least:.1?} to {most:.1?}; {good}", 6 * count))
}

/// Peers that cannot be reached any more, without either end being told: gone when a ping is not answered.
fn half_open_peers(bench: &Bench) -> Result<String, Trouble> {
    // A ping after a second, a second for the pong, and one for ticks and for what is slow here.
    const MOST: Duration = Duration::from_secs(3);
    if !Cable::is_possible() {
        return Err(Trouble::NotRun("making network namespaces needs root and ip (Debian: iproute2)".to_owned()));
    }
    let cable = Cable::lay()?;
    let url = format!("http://{SERVER}:0");
    let flags = ["--log", "warn", "--ping-interval", "1s", "--pong-timeout", "1s"];
    let server = cable.at(End::Server, || Server::spawn(bench, command(bench, &url, &flags)))??;
    let before = server.descriptors()?;
    let count = bench.pick(1000, 100);
    // Whoever is near goes on as before.
    let good = cable.at(End::Server, || Good::start(server.address))?;
    let sockets = cable.at(End::Client, || (0..count).map(|_| TcpSocket::new_v4()).collect::<io::Result<Vec<_>>>())?;
    let sockets = sockets.map_err(|error| format!("sockets: {error}"))?;
    let peers = bench.runtime.block_on(answer_pings(server.address, sockets))?;
    if let Some(lost) = within(MOST, || Ok(server.descriptors()? < before + count))? {
        return Err(format!("peers that answered were lost after {lost:.1?}").into());
    }
    cable.cut()?;
    let gone = within(2 * MOST, || Ok(server.descriptors()? <= before + Good::CONNECTIONS as usize))?;
    let left = server.descriptors()?.saturating_sub(before);
    let good = good.stop()?;
    drop(peers);
    good.check()?;
    match gone {
        Some(time) if time <= MOST => Ok(format!("{count} peers gone after {time:.1?}; near by {good}")),
        Some(time) => Err(format!("gone after {time:.1?} only").into()),
        None => Err(format!("{left} descriptors left after {:?}", 2 * MOST).into()),
    }
}

/// WebSockets that answer pings as long as any come.
async fn answer_pings(server: SocketAddr, sockets: Vec<TcpSocket>) -> Result<JoinSet<Result<()>>> {
    let mut all = JoinSet::new();
    for socket in sockets {
        let mut client = Client::connect_with(socket, server, ECHO).await?;
        all.spawn(async move {
            while let Some(frame) = client.next().await? {
                if frame.opcode == PING {
                    client.send(PONG, &frame.payload).await?;
                }
            }
            Ok(())
        });
    }
    Ok(all)
}

async fn connect(address: SocketAddr) -> Result<TcpStream> {
    TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))
}
