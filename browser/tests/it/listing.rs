//! The directory listing and the JSON endpoint.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use fantoccini::elements::Element;
use fantoccini::{Client, Locator};
use serde_json::{Value, json};

use crate::browser::{Screen, browse};
use crate::page::BACKSPACE;
use crate::scratch::Scratch;
use crate::server::Server;

/// Names that would do harm if they became markup, a URL or an order to the terminal; and as what they are shown, where
/// that is something else. A file holds its own name.
const HOSTILE: [(&str, Option<&str>); 10] = [
    ("<img src=x onerror=alert(1)>.txt", None),
    ("\"><svg onload=alert(2)>.txt", None),
    ("' onmouseover='alert(3).txt", None),
    ("'quoted' & \"double\".txt", None),
    ("&lt;b&gt;&#39;.txt", None),
    ("%41%2e%2f.txt", None),
    ("a?b#c;d.txt", None),
    (" leading  spaces.txt", None),
    ("\u{202e}txt.exe.txt", None),
    ("next\u{85}line.txt", Some("next\\u{85}line.txt")),
];

#[tokio::test]
async fn hostile_names_are_shown_as_themselves_and_link_to_their_files() {
    let root = Scratch::new();
    let folder = root.path().join("<b>folder");
    fs::create_dir(&folder).expect("the scratch directory is writable");
    for (name, _) in HOSTILE {
        fs::write(folder.join(name), name).expect("the scratch directory is writable");
    }
    let server = Server::start_in(root, "http", &[]).await;
    browse(Screen::Light, async |client| {
        client.goto(&server.url("/%3Cb%3Efolder/")).await.expect("the listing loads");
        // A name that became markup would have raised its alert by the end of the load, and an open dialog fails every
        // later command.
        assert_eq!(client.title().await.expect("no dialog is open"), "Index of /<b>folder/");
        let links = run(
            client,
            "return Array.from(document.querySelectorAll('tbody bdi'), e => [e.textContent, e.closest('a').href])",
        )
        .await;
        let mut links: Vec<(String, String)> = serde_json::from_value(links).expect("pairs");
        assert_eq!(links.len(), HOSTILE.len());
        assert!(client.get_alert_text().await.is_err_and(|error| error.is_no_such_alert()));
        // A page without the policy of the listing, under which nothing can be fetched.
        client.goto(&server.url("/rest")).await.expect("the endpoint answers");
        for (name, shown) in HOSTILE {
            let shown = shown.unwrap_or(name);
            let position = links.iter().position(|(text, _)| text == shown);
            let (_, href) = links.swap_remove(position.unwrap_or_else(|| panic!("{shown:?} is not in {links:?}")));
            let script = "const [url, done] = arguments; fetch(url).then(r => r.text()).then(done, e => done(`${e}`))";
            let content = client.execute_async(script, vec![json!(href)]).await.expect("the file is fetched");
            assert_eq!(content, name, "{href}");
        }
    })
    .await;
}

#[tokio::test]
async fn heads_of_columns_sort_with_and_without_scripts() {
    for screen in [Screen::Light, Screen::WithoutScripts] {
        let server = Server::start_in(site(), "http", &[]).await;
        browse(screen, async |client| {
            client.goto(&server.url("/")).await.expect("the listing loads");
            check_rows(client, &["assets/", "docs/", "app.wasm", "index.txt", "README.md"]).await;
            click(client, "Size").await;
            check_rows(client, &["assets/", "docs/", "app.wasm", "README.md", "index.txt"]).await;
            click(client, "Size").await;
            check_rows(client, &["assets/", "docs/", "index.txt", "README.md", "app.wasm"]).await;
            let sorted = client.find(Locator::Css("th[aria-sort=ascending]")).await.expect("one column is sorted");
            assert_eq!(sorted.text().await.expect("it has a head"), "Size");
            click(client, "Name").await;
            click(client, "Name").await;
            check_rows(client, &["docs/", "assets/", "README.md", "index.txt", "app.wasm"]).await;
        })
        .await;
    }
}

#[tokio::test]
async fn times_are_the_readers_and_names_are_filtered() {
    let server = Server::start_in(site(), "http", &[]).await;
    browse(Screen::Light, async |client| {
        client.goto(&server.url("/")).await.expect("the listing loads");
        // 08:49 in UTC; the browser's clock is Tokyo's.
        let time = client.find(Locator::Css("time[datetime='1994-11-06T08:49:37Z']")).await.expect("a time");
        let shown = time.text().await.expect("it has a text");
        assert!(shown.contains("1994") && shown.contains(":49") && !shown.contains("08:49"), "{shown}");
        let zone = client.find(Locator::XPath("//th[contains(., 'UTC')]")).await;
        assert!(zone.is_err_and(|error| error.is_no_such_element()));
        let filter = client.find(Locator::Css("input[type=search]")).await.expect("the filter is shown");
        filter.send_keys("DE").await.expect("it takes a text");
        check_rows(client, &["index.txt"]).await;
        filter.send_keys("xyz").await.expect("it takes a text");
        check_rows(client, &[]).await;
        let none = client.find(Locator::Id("none")).await.expect("the page says so");
        assert_eq!(none.text().await.expect("it is shown"), "No name contains this.");
        filter.send_keys(&BACKSPACE.to_string().repeat(5)).await.expect("it takes keys");
        check_rows(client, &["assets/", "docs/", "app.wasm", "index.txt", "README.md"]).await;
        assert!(!none.is_displayed().await.expect("it is still there"));
    })
    .await;
}

#[tokio::test]
async fn without_scripts_times_are_in_utc_and_nothing_is_offered_that_does_not_work() {
    let server = Server::start_in(site(), "http", &[]).await;
    browse(Screen::WithoutScripts, async |client| {
        client.goto(&server.url("/")).await.expect("the listing loads");
        let time = client.find(Locator::Css("time[datetime='1994-11-06T08:49:37Z']")).await.expect("a time");
        assert_eq!(time.text().await.expect("it has a text"), "1994-11-06 08:49");
        let head = client.find(Locator::XPath("//th/button[. = 'Modified (UTC)']")).await;
        assert!(head.is_ok(), "{head:?}");
        // The server filters, and sorting keeps that.
        click(client, "Size").await;
        let filter = client.find(Locator::Id("filter")).await.expect("the filter is there");
        filter.send_keys("D\u{e007}").await.expect("it takes a text and Enter");
        left(&filter).await;
        check_rows(client, &["docs/", "README.md", "index.txt"]).await;
        click(client, "Size").await;
        check_rows(client, &["docs/", "index.txt", "README.md"]).await;
    })
    .await;
}

#[tokio::test]
async fn each_folder_on_the_way_is_a_link() {
    let root = Scratch::new();
    fs::create_dir_all(root.path().join("one/<two>/three")).expect("the scratch directory is writable");
    let server = Server::start_in(root, "http", &[]).await;
    browse(Screen::Light, async |client| {
        client.goto(&server.url("/one/%3Ctwo%3E/three/")).await.expect("the listing loads");
        for (link, title) in [("<two>/", "Index of /one/<two>/"), ("one/", "Index of /one/"), ("/", "Index of /")] {
            let heading = client.find(Locator::Css("h1")).await.expect("there is a heading");
            assert!(heading.text().await.expect("it has a text").contains(link));
            heading.find(Locator::LinkText(link)).await.expect(link).click().await.expect("a link");
            assert_eq!(client.title().await.expect("it has a title"), title);
        }
    })
    .await;
}

#[tokio::test]
async fn rest_endpoint_shows_its_json() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        client.goto(&server.url("/rest")).await.expect("the endpoint answers");
        let body = client.find(Locator::Css("pre")).await.expect("the browser shows JSON preformatted");
        assert_eq!(body.text().await.expect("it has a text"), r#"{"result": 123}"#);
    })
    .await;
}

fn site() -> Scratch {
    let root = Scratch::new();
    fill(root.path());
    root
}

/// Makes a folder as people have them.
pub(crate) fn fill(folder: &Path) {
    for name in ["assets", "docs"] {
        fs::create_dir_all(folder.join(name)).expect("the scratch directory is writable");
    }
    add(folder, "app.wasm", 3_400_000);
    add(folder, "index.txt", 512);
    add(folder, "README.md", 18_200);
    for name in ["app.wasm", "assets", "index.txt", "docs", "README.md"] {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        File::open(folder.join(name)).and_then(|file| file.set_modified(time)).expect("the time can be set");
    }
}

/// A file of this many bytes.
pub(crate) fn add(folder: &Path, name: &str, size: u64) {
    let file = File::create(folder.join(name)).and_then(|file| file.set_len(size));
    file.expect("the scratch directory is writable");
}

async fn run(client: &Client, script: &str) -> Value {
    client.execute(script, vec![]).await.unwrap_or_else(|error| panic!("{script}: {error}"))
}

/// Presses a button by the beginning of its text: the column that is sorted has an arrow behind it.
async fn click(client: &Client, text: &str) {
    let button = client.find(Locator::XPath(&format!("//th/button[starts-with(., '{text}')]"))).await;
    let button = button.unwrap_or_else(|error| panic!("{text}: {error}"));
    button.click().await.expect("it can be clicked");
    left(&button).await;
}

/// Waits until the page with an element has given way to the next one, which a form does not wait for as a link does.
async fn left(element: &Element) {
    let gone = async {
        while element.is_displayed().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("another page comes");
}

/// The entries that are shown.
async fn check_rows(client: &Client, expected: &[&str]) {
    let mut shown = Vec::new();
    for link in client.find_all(Locator::Css("tbody a")).await.expect("there is a table") {
        if link.is_displayed().await.expect("it is still there") {
            shown.push(link.text().await.expect("it has a text"));
        }
    }
    assert_eq!(shown, expected);
}
