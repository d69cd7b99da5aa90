//! TLS: an echo on wss and the files of the current folder on https, with a certificate made in memory.
//!
//! ```text
//! cargo run --package rikki --example tls > development.pem
//! ```
//!
//! The certificate is written to stdout, for clients that are to trust it; it is a new one at every start. Try:
//!
//! ```text
//! curl --cacert development.pem https://localhost:8443/
//! ```
//!
//! A browser warns once on <https://localhost:8443/>, and opens `wss://localhost:8443/websocket` after that.

use std::error::Error;
use std::io::{Write as _, stderr, stdout};

use rikki::ws::{Message, Socket};
use rikki::{Server, ServerTls};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // For a real certificate: `ServerTls::pem_files("server.crt", "server.key")?`. Files never serves these two.
    let tls = ServerTls::self_signed(["localhost", "127.0.0.1", "::1"])?;
    stdout().write_all(tls.certificate_pem().unwrap_or_default().as_bytes())?;

    // `start` opens the listeners and returns; the server has threads of its own.
    let server = Server::new()
        .websocket("/websocket", |socket: &mut Socket<'_>, message: Message<'_>| socket.send(message))
        .files(".")
        .tls(tls)
        .listen("https://localhost:8443")
        .start()
        .await?;
    for bound in server.bound() {
        writeln!(stderr(), "Serving on https://{bound}/ and wss://{bound}/websocket")?;
    }
    // Until Ctrl-C or SIGTERM; then every WebSocket is closed with 1001 and requests are finished.
    server.run().await?;
    Ok(())
}
