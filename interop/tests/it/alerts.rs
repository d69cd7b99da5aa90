//! What docs/prometheus.md says: Prometheus scrapes the command, and evaluates each rule on what it finds there.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::file_clients::Folder;
use crate::front::free;
use crate::python::within;
use crate::server::{Server, binary};

const PAGE: &str = include_str!("../../../docs/prometheus.md");

fn snippet(name: &str) -> &'static str {
    let snippets = testkit::snippets(PAGE);
    snippets.iter().find(|snippet| snippet.name == name).unwrap_or_else(|| panic!("{name}")).text
}

/// What ends well, and says this.
async fn said(program: &str, arguments: &[&str], folder: &Folder) -> String {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder.path("")).stdin(Stdio::null()).kill_on_drop(true);
    let output = within(20, program, command.output()).await.unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

async fn asked(url: &str) -> String {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "-m", "10", url]).stdin(Stdio::null()).kill_on_drop(true);
    String::from_utf8_lossy(&within(20, url, command.output()).await.unwrap().stdout).into_owned()
}

/// The command with all that the rules name.
async fn server(folder: &Folder, admin: u16) -> Server {
    let line = snippet("rikki").replace("9100", &admin.to_string());
    let mut command = Command::new(binary().await);
    // One that is encrypted too has all that they name.
    let listen = ["--listen", "http://127.0.0.1:0", "--listen", "https://127.0.0.1:0", "--tls-self-signed"];
    command.args(line.split_whitespace().skip(1)).args(listen).args(["--log", "warn"]);
    // And one with a broker, which is away: nothing listens there.
    command.args(["--topic=/chat", &format!("--broker=nats://127.0.0.1:{}", free())]);
    command.current_dir(folder.path(""));
    Server::run(command).await
}

#[tokio::test]
async fn prometheus_finds_what_the_rules_name() {
    let folder = Folder::new();
    folder.write("public/index.html", "the page");
    let (admin, port) = (free(), free());
    let _server = server(&folder, admin).await;
    folder.write("rikki.rules.yml", snippet("rikki.rules.yml"));
    let every = "global: {scrape_interval: 1s, evaluation_interval: 1s}\n";
    folder.write("prometheus.yml", every.to_owned() + &snippet("prometheus.yml").replace("9100", &admin.to_string()));
    let checked = said("promtool", &["check", "config", "prometheus.yml"], &folder).await;
    assert!(checked.contains("rules found"), "{checked}");

    let rules = snippet("rikki.rules.yml");
    let expressions: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).collect();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = expressions.iter().flat_map(|expression| expression.split(|c| !is_name(c)));
    let names: Vec<_> = names.filter(|word| word.starts_with("rikki_")).collect();
    assert!(names.len() >= expressions.len() - 1, "{names:?}");
    // A counter has its series when it is first counted, and a worker when it was first heard of.
    within(20, "all that the rules name", async {
        loop {
            let metrics = asked(&format!("http://127.0.0.1:{admin}/metrics")).await;
            let is_known = |name: &str| {
                let families = [name, name.trim_end_matches("_bucket")];
                families.iter().any(|family| metrics.contains(&format!("# TYPE {family} ")))
            };
            if names.iter().all(|name| is_known(name)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;

    let mut command = Command::new("prometheus");
    command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"]);
    command.arg(format!("--web.listen-address=127.0.0.1:{port}")).current_dir(folder.path(""));
    let _prometheus = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    within(30, "the rules", async {
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let rules = asked(&format!("http://127.0.0.1:{port}/api/v1/rules")).await;
            let Ok(rules) = serde_json::from_str::<Value>(&rules) else { continue };
            let Some(rules) = rules["data"]["groups"][0]["rules"].as_array() else { continue };
            if let Some(wrong) = rules.iter().find(|rule| rule["health"] == "err") {
                panic!("{wrong}");
            }
            let up = asked(&format!(
                "http://127.0.0.1:{port}/api/v1/query?query=up%7Bjob%3D%22rikki%22%7D%20*%20on()%20rikki_ready"
            ))
            .await;
            // That the broker is away is seen; for less than a minute it is no alert yet.
            let is_seen = |rule: &Value| rule["name"] == "RikkiBrokerAway" && rule["state"] == "pending";
            if rules.len() == expressions.len()
                && rules.iter().any(is_seen)
                && rules.iter().all(|rule| rule["health"] == "ok")
                && up.contains("\"1\"]")
            {
                break;
            }
        }
    })
    .await;
}
