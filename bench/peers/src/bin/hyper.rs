//! The limit of what is built on hyper: one answer, whatever is asked, without routes. With `--tls` behind rustls.

use std::net::Ipv4Addr;

use peers::{Result, serve_rest};
use tokio::net::TcpListener;

fn main() -> Result<()> {
    let tls = if std::env::args().any(|word| word == "--tls") { Some(peers::acceptor()?) } else { None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        peers::announce(listener.local_addr()?.port())?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // How a connection ends is the load generator's business: it checks what it gets.
            match tls.clone() {
                None => drop(tokio::spawn(serve_rest(stream))),
                Some(tls) => drop(tokio::spawn(async move { serve_rest(tls.accept(stream).await?).await })),
            }
        }
    })
}
