//! One Chromium per test, driven through its own chromedriver.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use url::{ParseError, Url};

use crate::scratch::Scratch;

const START_DEADLINE: Duration = Duration::from_secs(60);
const TEST_DEADLINE: Duration = Duration::from_secs(120);
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// How long something in a page may take.
const CHANGE_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// How often chromedriver may find its port taken.
const DRIVER_ATTEMPTS: usize = 10;

/// What the page is shown on.
#[derive(Clone, Copy)]
pub(crate) enum Screen {
    Light,
    Dark,
    /// As [`Screen::Light`], for a reader who lets no scripts run.
    WithoutScripts,
    /// A touch screen this many CSS pixels wide.
    Phone(u32),
    /// As [`Screen::Light`], in a browser that notes what it does: see [`trace`].
    Traced,
    /// As [`Screen::Light`], in a browser that trusts no certificate of its own accord.
    Strict,
    /// What a page has of a screen, in CSS pixels; a touch screen below 600 of them.
    Sized {
        width: u32,
        height: u32,
        dark: bool,
    },
}

impl Screen {
    fn is_dark(self) -> bool {
        matches!(self, Self::Dark | Self::Sized { dark: true, .. })
    }
}

/// Runs `test` in a fresh browser, under one deadline. Driver and browser are gone afterwards, also when it panics.
pub(crate) async fn browse(screen: Screen, test: impl AsyncFnOnce(&Client)) {
    browse_with(screen, &[], test).await;
}

/// As [`browse`], with further flags of Chromium.
pub(crate) async fn browse_with(screen: Screen, flags: &[String], test: impl AsyncFnOnce(&Client)) {
    let profile = Scratch::new();
    let (mut driver, client) = timeout(START_DEADLINE, async {
        let (driver, url) = start_driver().await;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(screen, profile.path(), flags))
            .connect(&url)
            .await
            .expect("chromium starts");
        (driver, client)
    })
    .await
    .expect("the browser starts in time");
    timeout(TEST_DEADLINE, test(&client)).await.expect("the test ends in time");
    timeout(STOP_DEADLINE, client.close()).await.expect("the session ends in time").expect("the session ends");
    driver.kill().await.expect("chromedriver is still running");
}

/// Runs a script, and returns what it returns.
pub(crate) async fn run(client: &Client, script: &str) -> Value {
    client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// Waits until a script returns true, and fails with what `told` returns.
pub(crate) async fn until(client: &Client, script: &str, told: &str) {
    let wait = async {
        while run(client, script).await != true {
            sleep(POLL).await;
        }
    };
    if timeout(CHANGE_DEADLINE, wait).await.is_err() {
        panic!("{script}: {}", run(client, told).await);
    }
}

/// What the browser has noted of its work since a page was loaded, to be asked once, as events of its own trace:
/// <https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>
pub(crate) async fn trace(client: &Client) -> Vec<Value> {
    let log = client.issue_cmd(PerformanceLog).await.expect("the browser has a log");
    let entries = log.as_array().expect("a list").iter();
    let messages = entries.filter_map(|entry| serde_json::from_str::<Value>(entry["message"].as_str()?).ok());
    let events = messages.filter(|message| message["message"]["method"] == "Tracing.dataCollected");
    events.map(|message| message["message"]["params"].clone()).collect()
}

/// <https://chromium.googlesource.com/chromium/src/+/main/docs/chromedriver_status.md>: a command of chromedriver's own.
#[derive(Debug)]
struct PerformanceLog;

impl WebDriverCompatibleCommand for PerformanceLog {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/se/log", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "type": "performance" }).to_string()))
    }
}

/// Has the browser do what only its developer tools can: <https://chromedevtools.github.io/devtools-protocol/>.
pub(crate) async fn devtools(client: &Client, method: &'static str, parameters: Value) {
    let command = DevTools { method, parameters };
    client.issue_cmd(command).await.unwrap_or_else(|error| panic!("{method}: {error}"));
}

/// Another command of chromedriver's own.
#[derive(Debug)]
struct DevTools {
    method: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "cmd": self.method, "params": self.parameters }).to_string()))
    }
}

/// Starts chromedriver on a port of its choice; it is killed on drop.
///
/// It takes a port that is free on `::1`, and ends where the same one is not on `127.0.0.1`, which any connection of
/// another test may hold: then it is started again.
async fn start_driver() -> (Child, String) {
    let mut said = Vec::new();
    for _ in 0..DRIVER_ATTEMPTS {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            // The browser's clock, too: one that is never UTC.
            .env("TZ", "Asia/Tokyo")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed (Debian: apt-get install chromium chromium-driver)");
        let mut lines = BufReader::new(driver.stdout.as_mut().expect("stdout is piped")).lines();
        said.clear();
        while let Some(line) = lines.next_line().await.expect("stdout is UTF-8") {
            // "ChromeDriver was started successfully on port 12345."
            if let Some((_, port)) = line.split_once("successfully on port ") {
                let url = format!("http://127.0.0.1:{}", port.trim_end_matches('.'));
                return (driver, url);
            }
            said.push(line);
        }
        if !said.iter().any(|line| line.contains("port not available")) {
            break;
        }
    }
    panic!("chromedriver ended before it listened: {}", said.join(" / "));
}

fn capabilities(screen: Screen, profile: &Path, flags: &[String]) -> Map<String, Value> {
    let mut args = vec![
        format!("--user-data-dir={}", profile.display()),
        "--window-size=900,1100".to_owned(),
        // 0 is dark, 1 is light.
        format!("--blink-settings=preferredColorScheme={}", u8::from(!screen.is_dark())),
    ];
    let fixed = [
        "--headless=new",
        // Chromium's sandbox refuses to run as root, which is what a container gives.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        // A browser whose pipe to its driver closes ends itself: killing the driver is enough, whatever happened.
        "--remote-debugging-pipe",
        // No traffic but ours.
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-quic",
        "--disable-sync",
        "--no-first-run",
    ];
    args.extend(fixed.map(str::to_owned));
    args.extend_from_slice(flags);
    let mut options = json!({ "args": args });
    if let Screen::WithoutScripts = screen {
        // 2 is to block.
        options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
    }
    let size = match screen {
        Screen::Phone(width) => Some((width, 1000)),
        Screen::Sized { width, height, .. } => Some((width, height)),
        _ => None,
    };
    if let Some((width, height)) = size {
        let touch = width < 600;
        let ratio = if touch { 2 } else { 1 };
        let metrics = json!({ "width": width, "height": height, "pixelRatio": ratio, "mobile": touch, "touch": touch });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    let mut capabilities = Map::new();
    if let Screen::Traced = screen {
        options["perfLoggingPrefs"] = json!({ "enableNetwork": false, "enablePage": false, "traceCategories": "devtools.timeline,disabled-by-default-devtools.timeline" });
        capabilities.insert("goog:loggingPrefs".to_owned(), json!({ "performance": "ALL" }));
    }
    capabilities.insert("acceptInsecureCerts".to_owned(), json!(!matches!(screen, Screen::Strict)));
    capabilities.insert("goog:chromeOptions".to_owned(), options);
    capabilities
}
