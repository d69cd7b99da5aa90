//! One Chromium per test, driven through its own chromedriver.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::scratch::Scratch;

const START_DEADLINE: Duration = Duration::from_secs(60);
const TEST_DEADLINE: Duration = Duration::from_secs(120);
const STOP_DEADLINE: Duration = Duration::from_secs(20);

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
        format!("--blink-settings=preferredColorScheme={}", u8::from(!matches!(screen, Screen::Dark))),
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
    if let Screen::Phone(width) = screen {
        let metrics = json!({ "width": width, "height": 1000, "pixelRatio": 2, "mobile": true, "touch": true });
        options["mobileEmulation"] = json!({ "deviceMetrics": metrics });
    }
    Map::from_iter([("acceptInsecureCerts".to_owned(), json!(true)), ("goog:chromeOptions".to_owned(), options)])
}
