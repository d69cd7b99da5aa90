//! Ways of bringing connections to two workers, which do the same with them: `dealt` by one thread that accepts by tokio,
//! so that each is registered there and again with its worker; `bare` by one that waits in accept and registers nothing; each
//! worker from a socket of its own (`reuseport`, SO_REUSEPORT), among which the kernel chooses; or all of them from one
//! socket (`shared`), whoever comes first.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use clap::{Parser, ValueEnum};
use peers::{Result, serve_rest};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

const WORKERS: usize = 2;

/// Connections that may wait for a worker, in its queue or in the kernel's.
const BACKLOG: u16 = 1024;

/// A server with two workers, on a free port of loopback, which it prints.
#[derive(Parser)]
struct Options {
    #[arg(value_enum)]
    way: Way,
}

#[derive(Clone, Copy, ValueEnum)]
enum Way {
    Dealt,
    Bare,
    Reuseport,
    Shared,
}

fn main() -> Result<()> {
    match Options::parse().way {
        Way::Dealt => deal(false),
        Way::Bare => deal(true),
        Way::Reuseport => share(true),
        Way::Shared => share(false),
    }
}

fn deal(is_bare: bool) -> Result<()> {
    let listener = listen((Ipv4Addr::LOCALHOST, 0).into(), false)?;
    peers::announce(port(&listener)?)?;
    let mut queues = Vec::new();
    for _ in 0..WORKERS {
        let (queue, mut dealt) = mpsc::channel::<std::net::TcpStream>(BACKLOG.into());
        queues.push(queue);
        thread::spawn(move || -> Result<()> {
            runtime()?.block_on(async {
                while let Some(stream) = dealt.recv().await {
                    tokio::spawn(serve_rest(TcpStream::from_std(stream)?));
                }
                Ok(())
            })
        });
    }
    let mut queues = queues.iter().cycle();
    if is_bare {
        listener.set_nonblocking(false)?;
        while let Some(queue) = queues.next() {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            queue.blocking_send(stream)?;
        }
        return Ok(());
    }
    runtime()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        while let Some(queue) = queues.next() {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            queue.send(stream.into_std()?).await?;
        }
        Ok(())
    })
}

fn share(is_of_its_own: bool) -> Result<()> {
    let first = listen((Ipv4Addr::LOCALHOST, 0).into(), is_of_its_own)?;
    let address = first.local_addr()?;
    let other = |_| if is_of_its_own { listen(address, true) } else { Ok(first.try_clone()?) };
    let others = (1..WORKERS).map(other).collect::<Result<Vec<_>>>()?;
    peers::announce(address.port())?;
    let workers: Vec<_> =
        std::iter::once(first).chain(others).map(|listener| thread::spawn(|| accept(listener))).collect();
    for worker in workers {
        worker.join().map_err(|_| "a worker has panicked")??;
    }
    Ok(())
}

fn accept(listener: std::net::TcpListener) -> Result<()> {
    runtime()?.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve_rest(stream));
        }
    })
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn port(listener: &std::net::TcpListener) -> Result<u16> {
    Ok(listener.local_addr()?.port())
}

fn listen(address: SocketAddr, is_shared: bool) -> Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG.into())?;
    Ok(socket.into())
}
