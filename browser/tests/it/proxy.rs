//! A way to the server that a test can cut and stop.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::server::Server;

/// What can be cut and stopped, on the way to a server.
pub(crate) struct Proxy {
    /// Its host and port.
    pub(crate) authority: String,
    cuts: watch::Sender<usize>,
    is_held: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
        let authority = listener.local_addr().expect("it has an address").to_string();
        let ((cuts, cut), (is_held, held)) = (watch::channel(0), watch::channel(false));
        let to = server.authority().to_owned();
        let task = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (to, mut cut, held) = (to.clone(), cut.clone(), held.clone());
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(to).await else { return };
                    tokio::select! {
                        _ = relay(&mut client, &mut server, held) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { authority, cuts, is_held, task }
    }

    /// Cuts every connection, wherever it is.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Whether nothing more is taken from the server.
    pub(crate) fn hold(&self, is_held: bool) {
        self.is_held.send_replace(is_held);
    }
}

/// Takes everything from either side to the other, from the server while nobody holds it.
async fn relay(client: &mut TcpStream, server: &mut TcpStream, mut held: watch::Receiver<bool>) -> io::Result<()> {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    let up = async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let down = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let is_over = held.wait_for(|is_held| !is_held).await.is_err();
            let length = from_server.read(&mut buffer).await?;
            if is_over || length == 0 {
                return to_client.shutdown().await;
            }
            to_client.write_all(&buffer[..length]).await?;
        }
    };
    tokio::try_join!(up, down)?;
    Ok(())
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}
