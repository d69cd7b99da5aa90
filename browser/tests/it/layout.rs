//! What pages look like on three screens, in light and in dark: what is in view, how well it can be read, and what
//! axe-core says. The pictures stay in `target/screenshots`.

use std::fs;
use std::path::Path;

use fantoccini::Client;
use serde_json::{Value, json};

use crate::browser::{Screen, browse, trace};
use crate::listing::add;
use crate::page::{ENTER, TestPage};
use crate::scratch::Scratch;
use crate::screenshots::save;
use crate::server::Server;

const SIZES: [(u32, u32); 3] = [(1366, 650), (768, 1024), (360, 740)];

/// Contrast of text and placeholders, and of the borders of what can be used, by what the styles come to:
/// <https://www.w3.org/TR/WCAG22/#contrast-minimum> and <https://www.w3.org/TR/WCAG22/#non-text-contrast>.
const CONTRASTS: &str = include_str!("contrast.js");

/// The newest message is in view once connected, above what is typed and below one row that is the connection.
#[tokio::test]
async fn test_page_on_three_screens() {
    let server = Server::start("http", &["--topic=/chat,publish"]).await;
    for (size, dark) in SIZES.into_iter().flat_map(|size| [(size, false), (size, true)]) {
        on(size, dark, async |client, name| {
            let page = TestPage::open(client, &server).await;
            page.options().await;
            judge(client, &format!("{name}, with options")).await;
            page.click("connect").await;
            page.wait_for_state("Connected").await;
            page.fill("times", "40").await;
            page.fill("message", &format!("{{\"type\": \"greeting\", \"text\": \"hello\"}}{ENTER}")).await;
            page.fact("counters", "received 40").await;
            page.wait_for("//*[@id='log'][count(*)=82]").await;
            save(client, &format!("test-page-{name}")).await;
            judge(client, &name).await;

            let boxes = "const box = id => { const box = document.getElementById(id).getBoundingClientRect(); return [box.top, box.bottom] };
                         const newest = [...document.querySelectorAll('#log > *')].at(-1).getBoundingClientRect();
                         return [box('connection'), box('log'), [newest.top, newest.bottom], box('compose'), [0, innerHeight],
                                 document.documentElement.scrollHeight]";
            let shown: Value = page.run(boxes).await;
            let edge = |what: usize, side: usize| shown[what][side].as_f64().expect("a number");
            let height = f64::from(size.1);
            assert_eq!((edge(4, 1), shown[5].as_f64()), (height, Some(height)), "{name}: nothing scrolls but the log");
            assert!(edge(0, 1) - edge(0, 0) <= 68.0, "{name}: the connection is one row: {shown}");
            assert!(edge(2, 0) >= edge(1, 0) && edge(2, 1) <= edge(1, 1) + 1.0, "{name}: the newest is in view: {shown}");
            assert!(edge(1, 1) <= edge(3, 0) && edge(3, 1) <= height, "{name}: so is what is typed: {shown}");
            assert!(edge(1, 1) - edge(1, 0) >= height * 0.3, "{name}: the log has the rest: {shown}");
        })
        .await;
    }
}

/// Each row of a listing is a link as high as a finger needs, and on a phone there are as many as fit.
#[tokio::test]
async fn listing_on_three_screens() {
    let root = Scratch::new();
    for index in 1..=20 {
        add(root.path(), &format!("f{index}.bin"), 1024 * 1024);
    }
    let server = Server::start_in(root, "http", &[]).await;
    for (size, dark) in SIZES.into_iter().flat_map(|size| [(size, false), (size, true)]) {
        on(size, dark, async |client, name| {
            client.goto(&server.url("/")).await.expect("the listing loads");
            save(client, &format!("listing-{name}")).await;
            judge(client, &format!("listing {name}")).await;
            // In Safari a row has no position of its own, whatever its style says.
            let measured = "for (const row of document.querySelectorAll('tr')) row.style.position = 'static';
                const rows = [...document.querySelectorAll('tbody tr')].map(row => [row.getBoundingClientRect(), row]);
                const title = ([box]) => document.elementFromPoint(box.right - 20, (box.top + box.bottom) / 2).closest('[title]')?.title;
                const leads = ([box, row], x) => document.elementFromPoint(x, (box.top + box.bottom) / 2)?.closest('a')?.closest('tr') === row;
                const inView = rows.filter(([box]) => box.bottom <= innerHeight);
                return [inView.length, Math.min(...rows.map(([box]) => box.height)),
                        inView.every(row => leads(row, row[0].left + 2) && leads(row, row[0].right - 2)),
                        getComputedStyle(document.querySelector('td:nth-child(3)')).display, document.querySelector('form').innerText,
                        document.querySelector('tbody').innerText.match(/f[0-9]+/g).join(), title(rows[0])]";
            let shown = client.execute(measured, vec![]).await.expect("the page can be measured");
            assert!(shown[2] == true, "{name}: all of a row leads to its file: {shown}");
            assert!(shown[4].as_str().is_some_and(|text| text.contains("20 entries, 20.0 MiB")), "{name}: {shown}");
            let sorted: Vec<_> = (1..=20).map(|index| format!("f{index}")).collect();
            assert_eq!(shown[5], sorted.join(","), "{name}");
            let title = shown[6].as_str().expect("a row says more to whoever points at it");
            assert!(title.starts_with("1048576 bytes, 20") && title.ends_with('Z'), "{name}: {title}");
            if size.0 == 360 {
                assert!(shown[0].as_u64() >= Some(13) && shown[1].as_f64() >= Some(44.0), "{name}: {shown}");
                assert_eq!(shown[3], "none", "{name}: a phone shows no dates");
            } else {
                assert_eq!(shown[3], "table-cell", "{name}");
            }
            client.goto(&server.url("/none")).await.expect("the page of an error loads");
            judge(client, &format!("error {name}")).await;
        })
        .await;
    }
}

/// Ten thousand echoes take the page less than 2 ms each, and none of what it does at once more than 200 ms: of its own
/// processor time, since others may be at work on this machine. On one of half the usual speed it was 6 s in all and
/// 66 ms at once, and another time they took more than 15 s by the clock.
#[tokio::test]
async fn thousands_of_echoes_leave_room_for_frames() {
    let server = Server::http().await;
    browse(Screen::Traced, async |client| {
        let page = TestPage::connected(client, &server).await;
        page.fill("times", "10000").await;
        page.fill("message", "an echo").await;
        page.run("document.getElementById('send').click()").await;
        page.fact("counters", "received 10,000").await;
        page.fact("kept", "1,000 kept, 19,002 dropped").await;
        let events = trace(client).await;
        let is_of_page =
            |event: &&Value| event["args"]["data"]["url"].as_str().is_some_and(|url| url.ends_with("/test.html"));
        let main = events.iter().find(is_of_page).expect("the page has run");
        let is_there = |event: &&Value| event["pid"] == main["pid"] && event["tid"] == main["tid"];
        let tasks: Vec<f64> = events
            .iter()
            .filter(is_there)
            .filter(|event| event["name"] == "RunTask")
            .filter_map(|event| event["tdur"].as_f64())
            .map(|microseconds| microseconds / 1000.0)
            .collect();
        let (total, most) = (tasks.iter().sum::<f64>(), tasks.iter().copied().fold(0.0, f64::max));
        assert!(tasks.len() > 20, "the trace has its tasks: {}", tasks.len());
        assert!(total < 20_000.0 && most < 200.0, "{total:.0} ms in all, {most:.1} ms at once");
    })
    .await;
}

/// Runs a test on a screen, and gives it a name of that.
async fn on((width, height): (u32, u32), dark: bool, test: impl AsyncFnOnce(&Client, String)) {
    let name = format!("{width}x{height}-{}", if dark { "dark" } else { "light" });
    browse(Screen::Sized { width, height, dark }, async |client| test(client, name).await).await;
}

/// What axe-core finds, and what can be read badly: nothing. It judges no contrast in headless pages with system
/// colours, and no placeholders and borders at all.
pub(crate) async fn judge(client: &Client, what: &str) {
    let contrasts = client.execute(CONTRASTS, vec![]).await.expect("the page can be measured");
    assert_eq!(contrasts, json!([]), "{what}: contrasts that are too low");
    let axe = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join("node_modules/axe-core/axe.min.js");
    let axe = fs::read_to_string(&axe)
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask browser` installs it", axe.display()));
    client.execute(&axe, vec![]).await.expect("axe-core loads");
    let run = "const done = arguments[0];
               const found = result => result.violations.map(rule => [rule.id, rule.help, rule.nodes.map(node => node.html)]);
               axe.run(document).then(result => done(found(result)), error => done(`${error}`))";
    let found = client.execute_async(run, vec![]).await.expect("axe-core ends");
    assert_eq!(found, json!([]), "{what}");
}
