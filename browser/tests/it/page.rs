//! The test page as its user handles it: fields by their label's id, rows of the log by what they show.

use std::time::Duration;

use fantoccini::elements::Element;
use fantoccini::{Client, Locator};
use serde_json::Value;

use crate::server::Server;

/// How long a change of the page may take, with a browser that is traced on a slow machine too.
const DEADLINE: Duration = Duration::from_secs(40);
const POLL: Duration = Duration::from_millis(20);

// The WebDriver codes of keys: https://www.w3.org/TR/webdriver2/#keyboard-actions
pub(crate) const ENTER: char = '\u{E007}';
pub(crate) const BACKSPACE: char = '\u{E003}';
pub(crate) const TAB: char = '\u{E004}';
pub(crate) const SPACE: char = '\u{E00D}';
pub(crate) const ESCAPE: char = '\u{E00C}';
pub(crate) const LEFT: char = '\u{E012}';
pub(crate) const UP: char = '\u{E013}';
pub(crate) const DOWN: char = '\u{E015}';
/// Held down until `RELEASE`.
pub(crate) const CONTROL: char = '\u{E009}';
/// Held down until `RELEASE`.
pub(crate) const SHIFT: char = '\u{E008}';
pub(crate) const RELEASE: char = '\u{E000}';

pub(crate) struct TestPage<'a>(&'a Client);

impl<'a> TestPage<'a> {
    pub(crate) async fn open(client: &'a Client, server: &Server) -> Self {
        client.goto(&server.url("/test.html")).await.expect("the page loads");
        Self(client)
    }

    /// The page as a link has it.
    pub(crate) async fn at(client: &'a Client, url: &str) -> Self {
        client.goto(url).await.expect("the page loads");
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
        self.choose("transport", transport).await;
        self.fill("url", &format!("{url}{ENTER}")).await;
        self.wait_for_state("Connected").await;
    }

    /// Opens the options, if they are not.
    pub(crate) async fn options(&self) {
        if self.field("more").await.attr("aria-expanded").await.expect("it has attributes").as_deref() == Some("false")
        {
            self.click("more").await;
        }
    }

    /// Picks one of a list.
    pub(crate) async fn choose(&self, id: &str, value: &str) {
        if id == "transport" {
            self.options().await;
        }
        self.field(id).await.select_by_value(value).await.unwrap_or_else(|error| panic!("{value} in #{id}: {error}"));
    }

    /// Presses keys on whatever has the focus.
    pub(crate) async fn press(&self, keys: &str) {
        let focused = self.0.active_element().await.expect("something has the focus");
        focused.send_keys(keys).await.unwrap_or_else(|error| panic!("{keys:?}: {error}"));
    }

    /// Moves the focus to a field by Tab alone.
    pub(crate) async fn tab_to(&self, id: &str) {
        for _ in 0..40 {
            if self.run("return document.activeElement.id").await == id {
                return;
            }
            self.press(&TAB.to_string()).await;
        }
        panic!("Tab does not lead to #{id}");
    }

    /// Runs a script in the page and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.0.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    pub(crate) async fn wait_for_state(&self, state: &str) {
        self.wait_for(&format!("//body[@data-state='{state}']")).await;
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

    /// Waits until one of the facts below the log has `part`.
    pub(crate) async fn fact(&self, id: &str, part: &str) -> String {
        self.wait_for(&format!("//*[@id='{id}'][contains(., '{part}')]")).await.text().await.expect("it has a text")
    }

    pub(crate) async fn rows(&self) -> usize {
        self.0.find_all(Locator::Css("#log > *")).await.expect("the log is there").len()
    }

    pub(crate) async fn wait_for(&self, xpath: &str) -> Element {
        match self.0.wait().at_most(DEADLINE).every(POLL).for_element(Locator::XPath(xpath)).await {
            Ok(element) => element,
            Err(error) => {
                let state = self.field("state").await.text().await;
                let log = self.field("log").await.text().await;
                let facts = self.0.find(Locator::Css(".facts")).await.expect("they are there").text().await;
                panic!("{xpath}: {error}; the page says {state:?}, {facts:?} and logged {log:?}")
            }
        }
    }
}
