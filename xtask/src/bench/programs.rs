//! The programs that are not Rust: nginx and libwebsockets from Debian, ws from npm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{BENCH, Bench};
use crate::Result;
use crate::install::{self, INSTALL_LIMIT, Missing};
use crate::process::{output, run};

/// The release of the package ws.
pub(super) const WS_VERSION: &str = "8.23.0";

/// The file in the scratch folder that nginx is told what to do by.
const NGINX_CONFIG: &str = "nginx.conf";

/// A program that was found or installed, and what it calls itself.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) version: String,
}

/// Finds nginx, or installs it.
pub(super) fn nginx() -> std::result::Result<Program, Missing> {
    let path = install::nginx()?;
    // It tells its version on standard error.
    let text = output(Command::new("sh").args(["-c", &format!("{path} -v 2>&1")]), Duration::from_secs(20));
    let version = text.ok().and_then(|text| Some(text.trim().rsplit_once('/')?.1.to_owned())).unwrap_or_default();
    Ok(Program { path: path.into(), version })
}

/// Finds libwebsockets, or installs it, and compiles the echo on it into `scratch`.
pub(super) fn libwebsockets(scratch: &Path) -> std::result::Result<Program, Missing> {
    let version = install::libwebsockets()?;
    let source = Path::new(BENCH).join("libwebsockets").join("echo.c");
    let path = scratch.join("libwebsockets-echo");
    let mut compiler = Command::new("cc");
    compiler.arg("-O3").arg(source).arg("-o").arg(&path).arg("-lwebsockets");
    run(&mut compiler, INSTALL_LIMIT)
        .map_err(|error| Missing(format!("the echo on libwebsockets cannot be compiled: {error}")))?;
    Ok(Program { path, version })
}

/// Finds Node, and installs the package ws below `scratch` unless it is there.
pub(super) fn node(scratch: &Path) -> std::result::Result<Program, Missing> {
    let version = |program| output(Command::new(program).arg("--version"), Duration::from_secs(60));
    let node = version("node").map_err(|_| Missing("install Node.js as node".to_owned()))?;
    let folder = scratch.join("node");
    install::npm_package(&folder, "ws", WS_VERSION)?;
    Ok(Program { path: "node".into(), version: format!("{WS_VERSION} on Node {}", node.trim()) })
}

/// The server on ws, and where node finds the package.
pub(super) fn ws_server(scratch: &Path) -> (String, PathBuf) {
    let script = Path::new(BENCH).join("node").join("server.cjs");
    (script.display().to_string(), scratch.join("node").join("node_modules"))
}

/// How nginx serves.
pub(super) struct Nginx {
    pub(super) port: u16,
    /// Whether open files are kept for a minute.
    pub(super) keeps_files: bool,
    pub(super) tls: bool,
}

/// Writes nginx's configuration; returns its arguments. One process, as fast as it can be without giving anything up:
/// sendfile, no logs.
pub(super) fn nginx_arguments(bench: &Bench, how: &Nginx) -> Result<Vec<String>> {
    let scratch = bench.scratch.display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {scratch}/nginx-{kind};\n"))
        .collect();
    let tls = if how.tls { certificate(bench)? } else { String::new() };
    let text = format!(
        "daemon off;\n\
         master_process off;\n\
         pid {scratch}/nginx.pid;\n\
         error_log stderr;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         {temporary}\
         access_log off;\n\
         sendfile on;\n\
         tcp_nodelay on;\n\
         keepalive_requests 1000000000;\n\
         {files}\
         default_type text/plain;\n\
         server {{\n\
         listen 127.0.0.1:{port}{ssl};\n\
         {tls}\
         root {root};\n\
         location = /rest {{ default_type application/json; return 200 '{{\"result\": 123}}\\n'; }}\n\
         }}\n\
         }}\n",
        files = if how.keeps_files { "open_file_cache max=1000 inactive=60s;\n" } else { "" },
        port = how.port,
        ssl = if how.tls { " ssl" } else { "" },
        root = bench.root.display(),
    );
    let path = bench.scratch.join(NGINX_CONFIG);
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    let arguments = ["-e", "stderr", "-p", &scratch.to_string(), "-c", &path.display().to_string()];
    Ok(arguments.map(str::to_owned).into())
}

/// Has a certificate made of the kind that all servers have; returns what nginx is told of it.
fn certificate(bench: &Bench) -> Result<String> {
    let scratch = bench.scratch.display();
    run(Command::new(bench.programs.join("certificate")).arg(&bench.scratch), Duration::from_secs(20))?;
    Ok(format!(
        "ssl_certificate {scratch}/certificate.pem;\n\
         ssl_certificate_key {scratch}/key.pem;\n\
         ssl_protocols TLSv1.3;\n"
    ))
}
