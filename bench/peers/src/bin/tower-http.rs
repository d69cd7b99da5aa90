//! Files from tower-http's ServeDir and `/rest` from axum, behind hyper. The first argument is the folder.

use std::net::Ipv4Addr;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use peers::Result;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;

async fn rest() -> ([(axum::http::HeaderName, &'static str); 1], &'static str) {
    ([(CONTENT_TYPE, "application/json")], "{\"result\": 123}\n")
}

fn main() -> Result<()> {
    let root = std::env::args().nth(1).ok_or("the folder is missing")?;
    let router = Router::new().route("/rest", get(rest)).fallback_service(ServeDir::new(root));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        peers::announce(listener.local_addr()?.port())?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let service = TowerToHyperService::new(router.clone());
            // How a connection ends is the load generator's business: it checks what it gets.
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    })
}
