//! The test page as its user handles it: fields by their label's id, rows of the log by what they show.

use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, Locator};
use serde_json::Value;

use crate::server::Server;

/// How long a change of the page may take.
const DEADLINE: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

// The WebDriver codes of keys: https://www.w3.org/TR/webdriver2/#keyboard-actions
pub(crate) const ENTER: char = '\u{E007}';
pub(crate) const BACKSPACE: char = '\u{E003}';
pub(crate) const TAB: char = '\u{E004}';
/// Held down until `RELEASE`.
pub(crate) const SHIFT: char = '\u{E008}';
pub(crate) const RELEASE: char = '\u{E000}';

pub(crate) struct TestPage<'a>(&'a Client);

impl<'a> TestPage<'a> {
    pub(crate) async fn open(client: &'a Client, server: &Server) -> Self {
        client.goto(&server.url("/test.html")).await.expect("the page loads");
        Self(client)
    }

    /// One that is open in a frame of a page, and is handled from now on.
    pub(crate) async fn framed(client: &'a Client, frame: u16) -> Self {
        client.enter_parent_frame().await.expect("there is always one");
        client.enter_frame(frame).await.expect("the frame is there");
        Self(client)
    }

    /// Opens the page and its connection to the server.
    pub(crate) async fn connected(client: &'a Client, server: &Server) -> Self {
        let page = Self::open(client, server).await;
        page.click("connect").await;
        page.wait_for_state("Connected").await;
        page
    }

    pub(crate) async fn field(&self, id: &str) -> Element {
        self.0.find(Locator::Id(id)).await.unwrap_or_else(|error| panic!("#{id}: {error}"))
    }

    pub(crate) async fn click(&self, id: &str) {
        self.field(id).await.click().await.unwrap_or_else(|error| panic!("click on #{id}: {error}"));
    }

    /// Replaces what is in a field by `keys`.
    pub(crate) async fn fill(&self, id: &str, keys: &str) {
        let field = self.field(id).await;
        field.clear().await.unwrap_or_else(|error| panic!("clear #{id}: {error}"));
        field.send_keys(keys).await.unwrap_or_else(|error| panic!("type into #{id}: {error}"));
    }

    /// Connects to a topic, by WebSocket or by `events`.
    pub(crate) async fn join(&self, url: &str, transport: &str) {
        self.field("transport").await.select_by_value(transport).await.expect("there is a choice");
        self.fill("url", &format!("{url}{ENTER}")).await;
        self.wait_for_state("Connected").await;
    }

    /// Runs a script in the page and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.0.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    pub(crate) async fn wait_for_state(&self, state: &str) {
        self.wait_for(&format!("//*[@id='state'][.='{state}']")).await;
    }

    /// Waits for a log row of this direction and type whose payload contains `part`, and returns its text.
    pub(crate) async fn row(&self, direction: &str, kind: &str, part: &str) -> String {
        let row = format!("//*[@id='log']/*[@data-direction='{direction}'][@data-type='{kind}']");
        let row = self.wait_for(&format!("{row}[*[@class='payload'][contains(., '{part}')]]")).await;
        row.text().await.expect("the row has a text")
    }

    /// Waits for the row of a closed connection; `outcome` is its code and what the page says about it.
    pub(crate) async fn closed(&self, outcome: &str) {
        self.row("info", "", &format!("Closed with code {outcome}")).await;
        self.wait_for_state("Closed").await;
    }

    pub(crate) async fn rows(&self) -> usize {
        self.0.find_all(Locator::Css("#log > *")).await.expect("the log is there").len()
    }

    async fn wait_for(&self, xpath: &str) -> Element {
        match self.0.wait().at_most(DEADLINE).every(POLL).for_element(Locator::XPath(xpath)).await {
            Ok(element) => element,
            Err(error) => {
                let state = self.field("state").await.text().await;
                let log = self.field("log").await.text().await;
                panic!("{xpath}: {error}; the page says {state:?} and logged {log:?}")
            }
        }
    }
}
