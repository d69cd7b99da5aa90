//! The live page of `--admin`: whether its figures are those of the server, what it makes of a server that goes and comes
//! back, and of what strangers have chosen. The pictures stay in `target/screenshots`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use fantoccini::Client;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use testkit::frame;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::browser::{self, Screen, browse, devtools};
use crate::layout::judge;
use crate::page::{ENTER, ESCAPE, LEFT, TAB};
use crate::screenshots::save;
use crate::server::Server;

/// The `text` of an element, and the `cells` of the row of a table that begins with some text.
const HELPERS: &str = "const text = selector => [document.querySelector(selector)].map(it => it?.checkVisibility() ? it.innerText : '')[0];
    const cells = (table, first) => [...document.querySelectorAll(`#${table} tbody tr`)]
      .map(row => [...row.children].map(cell => cell.innerText.trim())).find(([name]) => name.startsWith(first));";

/// The page, as it is looked at.
struct Page<'a>(&'a Client);

impl<'a> Page<'a> {
    async fn open(client: &'a Client, place: &str) -> Self {
        client.goto(place).await.expect("the page loads");
        let page = Self(client);
        page.until("text('#state') === 'Serving'").await;
        page
    }

    /// What a script returns, which may use what there is in [`HELPERS`].
    async fn run(&self, script: &str) -> Value {
        browser::run(self.0, &format!("{HELPERS} {script}")).await
    }

    /// Waits until something is true in the page.
    async fn until(&self, condition: &str) {
        let script = format!("{HELPERS} return Boolean({condition})");
        browser::until(self.0, &script, "return document.body.innerText").await;
    }

    async fn press(&self, keys: &str) {
        let focused = self.0.active_element().await.expect("something has the focus");
        focused.send_keys(keys).await.unwrap_or_else(|error| panic!("{keys:?}: {error}"));
    }

    async fn on(&self, (width, height): (u32, u32), is_dark: bool) {
        let is_phone = width < 600;
        let scale = if is_phone { 2 } else { 1 };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone });
        devtools(self.0, "Emulation.setDeviceMetricsOverride", size).await;
        let scheme = json!({ "name": "prefers-color-scheme", "value": if is_dark { "dark" } else { "light" } });
        devtools(self.0, "Emulation.setEmulatedMedia", json!({ "features": [scheme] })).await;
    }

    /// Nothing is wider than what it is in.
    async fn fits(&self, what: &str) {
        let wide = "const wider = element => element.scrollWidth > element.clientWidth + 1;
            const out = [...document.querySelectorAll('td, dd, p, h2, code')].filter(element => {
              if (!element.checkVisibility()) return false;
              const [inner, outer] = [element, element.closest('.card, header, main')].map(box => box.getBoundingClientRect());
              return inner.left < outer.left - 1 || inner.right > outer.right + 1;
            });
            return [document.documentElement, ...document.querySelectorAll('.card, .scroller')].filter(wider).concat(out)
              .map(element => element.outerHTML.slice(0, 200))";
        assert_eq!(self.run(wide).await, json!([]), "{what}");
    }
}

/// A WebSocket that has been asked for, and what was answered.
async fn ask(authority: &str, path: &str, fields: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(authority).await.expect("the server listens");
    let request = format!(
        "GET {path} HTTP/1.1\r\n{fields}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("the server answers"));
    }
    (stream, String::from_utf8(answer).expect("an answer is text"))
}

async fn open(authority: &str, path: &str) -> TcpStream {
    let (stream, answer) = ask(authority, path, "Host: localhost\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    stream
}

/// One that sends and does not read what comes back, until it is aborted.
async fn clog(authority: &str) -> (String, tokio::task::JoinHandle<()>) {
    let mut stream = open(authority, "/websocket").await;
    let address = stream.local_addr().expect("it has an address").to_string();
    let message = frame(0x82, vec![7; 64 * 1024]);
    let task = tokio::spawn(async move { while stream.write_all(&message).await.is_ok() {} });
    (address, task)
}

/// Whoever is refused, and whoever breaks the protocol, as often as they can be until they are told to stop.
struct Attack {
    is_over: Arc<AtomicBool>,
    counts: Arc<[AtomicU64; 3]>,
    tasks: JoinSet<()>,
}

impl Attack {
    fn start(authority: &str) -> Self {
        let (is_over, counts) = (Arc::new(AtomicBool::new(false)), Arc::<[AtomicU64; 3]>::default());
        let mut tasks = JoinSet::new();
        for kind in 0..3 {
            let (authority, is_over, counts) = (authority.to_owned(), is_over.clone(), counts.clone());
            tasks.spawn(async move {
                while !is_over.load(Relaxed) {
                    let fields = [
                        "Host: localhost\r\nOrigin: https://evil.test\r\n",
                        "Host: evil.test\r\n",
                        "Host: localhost\r\n",
                    ];
                    let (mut stream, answer) = ask(&authority, "/websocket", fields[kind]).await;
                    assert_eq!(answer.starts_with("HTTP/1.1 101 "), kind == 2, "{answer}");
                    if kind == 2 {
                        stream.write_all(&[0xff; 6]).await.expect("the server reads");
                    }
                    let _ = stream.read_to_end(&mut Vec::new()).await;
                    counts[kind].fetch_add(1, Relaxed);
                }
            });
        }
        Self { is_over, counts, tasks }
    }

    /// How many were refused by Origin and by Host, and how many broke the protocol.
    async fn stop(self) -> [u64; 3] {
        self.is_over.store(true, Relaxed);
        self.tasks.join_all().await;
        [0, 1, 2].map(|kind| self.counts[kind].load(Relaxed))
    }
}

async fn a_thousand(authority: &str) -> Vec<TcpStream> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).expect("up to the hard limit it can be raised");
    let mut tasks = JoinSet::new();
    for _ in 0..10 {
        let authority = authority.to_owned();
        tasks.spawn(async move {
            let mut streams = Vec::new();
            for _ in 0..100 {
                let mut stream = open(&authority, "/websocket").await;
                stream.write_all(&frame(0x81, "ten bytes.")).await.expect("the server reads");
                stream.read_exact(&mut [0; 12]).await.expect("it answers");
                streams.push(stream);
            }
            streams
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// What the page shows of a thousand connections while others attack is what there is; and it looks well on each screen.
#[tokio::test]
async fn a_thousand_connections_and_an_attack() {
    let (server, place) = Server::inside(&["--topic=/rooms/*,publish"]).await;
    browse(Screen::Light, async |client| {
        let page = Page::open(client, &place).await;
        page.until("samples.length > 1 && text('.empty').startsWith('No WebSocket has been asked for yet.')").await;
        let attack = Attack::start(server.authority());
        let connections = a_thousand(server.authority()).await;
        let _member = open(server.authority(), "/rooms/lobby").await;
        let (slow, clogging) = clog(server.authority()).await;
        page.until("cells('endpoints', '/websocket')?.[2] >= '1,001'").await;
        page.until(&format!("cells('slowest', '')?.[1].includes('{slow}')")).await;
        page.until("samples.filter(sample => sample.refused > 0 && sample.failed > 0).length > 1").await;
        let [origins, hosts, violations] = attack.stop().await;
        assert!(origins > 10 && hosts > 10 && violations > 10, "{origins} {hosts} {violations}");
        let shown = |number: u64| format!("replaceAll(',', '') === '{number}'");
        for (table, first, cell, expected) in [
            ("refusals", "Origin not allowed", 2, origins),
            ("refusals", "Host not allowed", 2, hosts),
            ("failures", "protocol violated", 2, violations),
            ("closes", "1002 protocol error", 3, violations),
            ("endpoints", "/websocket", 2, 1001),
            ("endpoints", "/websocket", 3, 1001 + violations),
            ("endpoints", "/rooms/", 2, 1),
        ] {
            page.until(&format!("cells('{table}', '{first}')?.[{cell}].{}", shown(expected))).await;
        }
        // All of it was within the last minute.
        assert_eq!(page.run("return cells('refusals', 'Host')[1].replace(/[+,]/g, '')").await, hosts.to_string());
        assert_eq!(page.run("return samples.at(-1).connections").await, 1002);
        page.until("cells('largest', 'rooms/lobby')?.[1] === '1'").await;
        let warned = page.run("return text('#warnings')").await;
        assert!(warned.as_str().is_some_and(|text| text.contains("evil.test")), "{warned}");
        page.until("cells('places', 'max-connections').at(-1) === '1,002 of 16,384'").await;

        for (width, height) in [(1366, 900), (768, 1024), (360, 740)] {
            for is_dark in [false, true] {
                page.on((width, height), is_dark).await;
                let name = format!("admin-{width}x{height}-{}", if is_dark { "dark" } else { "light" });
                page.run("draw(); scrollTo(0, 0)").await;
                save(client, &name).await;
                judge(client, &name).await;
                page.fits(&name).await;
            }
        }
        clogging.abort();
        drop(connections);
        page.until("cells('endpoints', '/websocket')[2] === '0'").await;
    })
    .await;
}

/// One WebSocket is shown until it closes, by keyboard alone; then the server drains, dies and comes back.
#[tokio::test]
async fn what_goes_and_what_comes_back() {
    let (mut server, place) = Server::inside(&["--drain-timeout=60s"]).await;
    browse(Screen::Light, async |client| {
        let page = Page::open(client, &place).await;
        let (address, clogging) = clog(server.authority()).await;
        page.until("document.querySelector('#slowest button')").await;
        page.run("document.querySelector('#slowest button').focus()").await;
        page.press(&ENTER.to_string()).await;
        page.until("text('#one-state') === 'Open'").await;
        page.until("one.item.queued_bytes > 0 && one.rates.sent_bytes !== null").await;
        let shown = page.run("return [one.id, text('#one-facts'), text('#one-command'), document.activeElement.id]").await;
        let facts = shown[1].as_str().expect("it has facts");
        assert!(facts.contains(&address) && facts.contains("/websocket by tcp"), "{shown}");
        let id = shown[0].as_str().expect("it has an id");
        assert_eq!((&shown[2], &shown[3]), (&json!(format!("rikki admin close {id}")), &json!("one-title")));
        save(client, "admin-one").await;
        clogging.abort();
        page.until("text('#one-state').startsWith('Closed, as seen at ') && text('#one-command') === ''").await;
        assert_eq!(page.run("return text('#one-facts')").await.as_str().map(|facts| facts.contains(&address)), Some(true));
        page.press(&ESCAPE.to_string()).await;
        assert_eq!(page.run("return [one, text('#one'), document.activeElement.id]").await, json!([null, "", "id"]));
        page.press(&format!("999{ENTER}")).await;
        page.until("text('#one-state') === 'No WebSocket that is open has this id.'").await;
        page.press(&ESCAPE.to_string()).await;
        // A time can be pointed at without a pointer.
        page.run("PLOTS[0].slider.focus()").await;
        page.press(&LEFT.to_string()).await;
        assert_eq!(page.run("return PLOTS[0].slider.getAttribute('aria-valuenow')").await, "-1");
        page.press(&TAB.to_string()).await;
        assert_eq!(page.run("return [pointed, document.activeElement === PLOTS[1].slider]").await, json!([null, true]));

        // Somebody keeps it from ending.
        let _guest = open(server.authority(), "/websocket").await;
        page.until("cells('endpoints', '/websocket')[2] === '1'").await;
        server.terminate().await;
        page.until("text('#state') === 'Draining' && text('#trouble').startsWith('Draining: ')").await;
        server.kill().await;
        page.until("text('#state') === 'No answer' && text('#trouble').startsWith('No answer since ')").await;
        page.until("failures > 1 && text('#fresh').startsWith('asks again in ')").await;
        save(client, "admin-away").await;
        judge(client, "without an answer").await;
        server.start_again().await;
        page.until("text('#state') === 'Serving' && text('#trouble') === ''").await;
        page.until("text('#restarted').includes('its counters began anew')").await;
        let _guest = open(server.authority(), "/websocket").await;
        page.until("cells('endpoints', '/websocket')?.[3] === '1' && samples.at(-1).epoch === 1").await;
        let rates = "return samples.flatMap(sample => COUNTERS.map(name => sample[name])).filter(rate => rate !== null && !(rate >= 0))";
        assert_eq!(page.run(rates).await, json!([]));
        // Where nobody looks it is asked less often.
        let hide = "Object.defineProperty(document, 'hidden', { configurable: true, value: true })";
        page.run(hide).await;
        page.until("next - performance.now() > 5000").await;
        page.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))").await;
        page.until("!isAsking && next - performance.now() <= 1000").await;
        // Whoever pauses it is not asked for more.
        page.run("document.getElementById('pause').click()").await;
        page.until("text('#state') === 'Serving, paused' && !isAsking").await;
        page.run("openOne(999)").await;
        page.until("text('#one-state') === 'No WebSocket that is open has this id.'").await;
    })
    .await;
}

/// Nothing of it is run, nothing is out of its place; and a server that says nothing is asked once at a time.
#[tokio::test]
async fn what_strangers_choose_stays_text() {
    let (server, place) = Server::inside(&["--topic=/rooms/*"]).await;
    browse(Screen::Light, async |client| {
        let page = Page::open(client, &place).await;
        let evil = "%3Cimg%20src=x%20onerror=hacked=1%3E%E2%80%AEabc";
        let long = "W".repeat(120);
        let _guests = [
            open(server.authority(), &format!("/rooms/{evil}")).await,
            open(server.authority(), &format!("/rooms/{long}")).await,
        ];
        ask(server.authority(), "/websocket", "Host: localhost\r\nOrigin: https://<img src=x onerror=hacked=1>\r\n")
            .await;
        page.until("text('#largest').includes('<img src=x onerror=hacked=1>') && text('#warnings').includes('<img')")
            .await;
        for screen in [(1366, 900), (360, 740)] {
            page.on(screen, false).await;
            page.fits("what came by the server").await;
        }
        // There is no broker, and so nothing is said of one.
        let broker = "document.querySelector('#brokers').closest('section').hidden";
        assert_eq!(page.run(&format!("return {broker}")).await, true);
        // Whatever else might be told one day, in each field that is a text.
        page.run(EVIL).await;
        page.until(&format!("!{broker} && text('#brokers').includes('away: <img src=x')")).await;
        page.until("text('#state') === 'Serving' && latest.version.length > 1000").await;
        page.run("openOne(7)").await;
        page.until("text('#one-state') === 'Open'").await;
        for (width, height) in [(1366, 900), (360, 740)] {
            page.on((width, height), true).await;
            save(client, &format!("admin-evil-{width}")).await;
            page.fits("what a status might have").await;
        }
        let tower = page.run(r"return plain('Z' + '\u0300'.repeat(400) + 'abc', 5)").await;
        assert_eq!(tower, "Z\u{300}\u{300}\u{300}a…");
        let found = page
            .run("return [typeof hacked, document.querySelectorAll('img, b b, body script ~ script').length]")
            .await;
        assert_eq!(found, json!(["undefined", 0]));
        let script = "try { document.body.innerHTML = ''; return 'done' } catch (error) { return error.name }";
        assert_eq!(page.run(script).await, "TypeError");
        page.run(SILENCE).await;
        page.until("text('#trouble').includes(': nothing came within 5 s. ') && failures > 2").await;
        assert_eq!(page.run("return [asked > 2, most]").await, json!([true, 1]));
        arithmetic(&page).await;
    })
    .await;
}

/// A status in which every text is one that nobody would like, and what belongs to one WebSocket.
const EVIL: &str = r#"
    const evil = '<img src=x onerror="hacked=1"></script><b>' + '\u202e\u0000\n' + 'Z\u0300'.repeat(40) + 'Z' + '\u0300'.repeat(400) + 'W'.repeat(3000);
    const of = object => Object.fromEntries(Object.entries(object).map(([name, value]) => [name, value === 's' ? evil + name : value]));
    const websocket = of({ id: 7, endpoint: 's', transport: 's', peer: 's', subprotocol: 's', age_ms: 5, queued_bytes: 1e15, waiting_ms: 1e15, sent_bytes: 1e15 });
    const fake = of({ version: 's', now_ms: 1e12, uptime_ms: 1e12, state: 'serving', generation: 1e12,
      connections: { open: 1e12, by_transport: { [evil]: 5 } }, memory: [of({ name: 's', mount: 's', used: 1e15, most: 1e15 })],
      places: [of({ name: 's', used: 5, most: 0 })], refusals: [of({ reason: 's', count: 5 })], failures: [of({ reason: 's', count: 5 })],
      workers: [{ worker: 1e12, lag_ms: 1e12, lag_max_ms: 1e12, seen_ms_ago: 1e12, stalled: true }, {}],
      topics: { patterns: [of({ pattern: 's', published: 1e15 })], largest: [of({ name: 's' })] },
      brokers: [of({ stream: 's', connected: false, why_not: 's', lag_ms: 1e12, gaps: 1e15 }), {}],
      tls: { handshakes: { [evil]: 5 }, failures: [of({ reason: 's', count: 4 })], certificates: [of({ name: 's', not_after_ms: 1e300 })] },
      warnings: [of({ time_ms: 1e300, level: 's', target: 's', text: 's' }), {}, null, 5],
      websockets: { open: 1e12, closes: [of({ code: 's', by: 's', count: 3 })], slowest: [websocket], endpoints: [of({ endpoint: 's', transport: 's', open: 1e15 }), {}] } });
    window.fetch = async path => new Response(JSON.stringify(path.includes('connections') ? websocket : { ...fake, uptime_ms: fake.uptime_ms++ }));
    openOne(7);
"#;

/// A server that takes questions and says nothing, by a clock that is faster; how many wait at a time.
const SILENCE: &str = "
    const real = AbortSignal.timeout.bind(AbortSignal);
    AbortSignal.timeout = deadline => real(deadline / 100);
    Object.assign(window, { asked: 0, most: 0, waiting: 0 });
    window.fetch = (_, { signal }) => new Promise((_, fail) => {
      most = Math.max(most, ++waiting);
      asked++;
      signal.addEventListener('abort', () => { waiting--; fail(signal.reason); });
    });
";

/// Rates are differences by the server's clock, and what is another server than a moment ago has none.
async fn arithmetic(page: &Page<'_>) {
    let check = async |after: &str, expected: Value| {
        let script = format!(
            "clearTimeout(timer); isPaused = true;
             const told = (at, messages) => ({{ now_ms: 5e12 + at, uptime_ms: at, websockets: {{ received_messages: messages }} }});
             take(told(10_000, 100), performance.now());
             take({after}, performance.now());
             return [samples.at(-1).received_messages, samples.at(-1).epoch - samples.at(-2).epoch]"
        );
        assert_eq!(page.run(&script).await, expected, "{after}");
    };
    check("told(12_000, 340)", json!([120, 0])).await;
    check("told(10_500, 100)", json!([0, 0])).await;
    // Another server, which was started later, has counted less, or has outlived the last one in the meantime.
    check("told(2_000, 340)", json!([null, 1])).await;
    check("told(12_000, 99)", json!([null, 1])).await;
    check("({ ...told(12_000, 340), now_ms: 6e12 })", json!([null, 1])).await;
    // The same reading, told again, is none.
    let again = "const count = samples.length; take(latest, performance.now()); return samples.length - count";
    assert_eq!(page.run(again).await, 0);
    // However long it goes on.
    let long = "for (let at = 0; at < 2000; at++) take({ now_ms: 7e12 + at * 1000, uptime_ms: 1e9 + at * 1000 }, performance.now() + at * 1000);
                return [samples.length <= 302, samples.filter(({ reasons }) => reasons !== null).length <= 62]";
    assert_eq!(page.run(long).await, json!([true, true]));
}
