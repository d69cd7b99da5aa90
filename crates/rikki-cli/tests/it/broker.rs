//! Topics on several nodes, as their operator starts them.

use std::thread;
use std::time::{Duration, Instant};

use testkit::NatsServer;

use crate::process::{DEADLINE, Folder, Process};
use crate::running::address;
use crate::topics::{publish, read, with};

/// Publishes until that works, while NATS is not there yet.
fn publish_soon(address: &str, path: &str, body: &str) {
    let started = Instant::now();
    loop {
        let (status, said) = publish(address, path, &format!("Idempotency-Key: {body}\r\n"), body);
        match &*status {
            "200" => return,
            "503" | "504" if started.elapsed() < DEADLINE => thread::sleep(Duration::from_millis(10)),
            _ => panic!("{status} {said}"),
        }
    }
}

#[test]
fn two_nodes() {
    let mut nats = NatsServer::start_with(&["-js", "--auth", "s3cret"]);
    let folder = Folder::new();
    folder.write("token", "s3cret\n");
    let (broker, token) = (nats.url(), folder.path("token"));
    let flags = ["--topic", "/t/*,publish", "--broker", &broker, "--broker-token", &token, "--broker-bytes", "16MiB"];
    let ((_one, here), (_other, there)) = (with(&folder, &flags), with(&folder, &flags));
    publish_soon(&here, "/t/a", "1");
    publish_soon(&there, "/t/a", "2");
    // One that this node has not used is read all the same.
    let (status, text) = read(&here, "/t/a", "");
    assert_eq!((&*status, text.matches("\"data\":").count()), ("200", 2), "{text}");
    publish_soon(&there, "/t/b", "3");
    assert!(read(&here, "/t/b", "").1.contains("\"data\":\"3\""));
    // What lets us in is not served.
    assert_eq!(read(&here, "/token", "").0, "404");
    nats.kill();
    let started = Instant::now();
    while publish(&here, "/t/a", "", "4").0 != "503" {
        assert!(started.elapsed() < DEADLINE);
    }
    assert_eq!(read(&here, "/t/new", "").0, "503", "nobody knows what there is");
    assert_eq!(read(&here, "/t/a", "").0, "200", "what this node has it knows");
    nats.start_again();
    publish_soon(&here, "/t/a", "5");
    // The other node finds back in its own time, and has what it had meanwhile.
    let started = Instant::now();
    while !read(&there, "/t/a", "").1.contains("\"data\":\"5\"") {
        assert!(started.elapsed() < DEADLINE);
        thread::sleep(Duration::from_millis(10));
    }
}

/// A WebSocket that sends faster than the broker takes it waits, and loses nothing.
#[test]
fn more_than_may_be_on_its_way() {
    let nats = NatsServer::start();
    let folder = Folder::new();
    let broker = nats.url();
    let topic = ["--topic", "/t,publish,history=2000", "--max-publishing", "2000"];
    let flags = [&topic[..], &["--broker", &broker, "--broker-bytes", "16MiB"]].concat();
    let ((_one, here), (_other, there)) = (with(&folder, &flags), with(&folder, &flags));
    publish_soon(&here, "/t", "first");
    let mut client = Process::start(&["connect", &format!("ws://{here}/t")]);
    let line = client.report();
    assert!(line.contains(": connected to "), "{line}");
    client.write((0..1500).map(|number| format!("{number}\n")).collect::<String>(), false);
    for number in 0..1500 {
        assert_eq!(client.line(), number.to_string());
    }
    let (_, text) = read(&there, "/t?last=1500", "");
    assert!(text.contains("\"data\":\"0\"") && text.contains("\"data\":\"1499\""));
}

/// Topics below a path have a stream of their own, which those who look inside are told of.
#[test]
fn a_stream_of_its_own() {
    let nats = NatsServer::start();
    let folder = Folder::new();
    let (broker, admin) = (nats.url(), format!("unix:{}", folder.path("admin.sock")));
    let flags = ["--topic=/chat/*,publish", "--topic=/other,publish", "--broker", &broker, "--broker-bytes=16MiB"];
    let flags = [&flags[..], &["--broker-own-stream=/chat/*,name=chat,bytes=1MiB", "--admin", &admin]].concat();
    let (_server, here) = with(&folder, &flags);
    publish_soon(&here, "/chat/a", "1");
    publish_soon(&here, "/other", "2");
    let ended = Process::start(&["admin", "--admin", &admin, "metrics"]).end();
    for stream in ["rikki", "rikki_chat"] {
        for line in ["connected{stream=\"NAME\"} 1.0", "messages_acknowledged_total{stream=\"NAME\"} 1"] {
            let line = format!("rikki_broker_{}", line.replace("NAME", stream));
            assert!(ended.stdout.lines().any(|known| known == line), "{line}: {}", ended.stdout);
        }
    }
}

/// What is wrong is told before anything listens; a server that is away is not.
#[test]
fn settings() {
    let folder = Folder::new();
    let check = |flags: &[&str], code: i32, expected: &str| {
        let ended = Process::start(&[&["check"], flags, &[&folder.path("")]].concat()).end();
        assert_eq!(ended.code, Some(code), "{flags:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{flags:?}: {}", ended.stderr);
    };
    check(&["--topic=/a", "--broker=nats://nowhere.invalid"], 0, "");
    check(&["--topic=/a", "--broker=http://a"], 2, "is no server of NATS");
    check(&["--topic=/a", "--broker=nats://a,,b"], 2, "is no server of NATS");
    check(&["--topic=/a", "--broker=nats://a", "--broker-stream=a.b"], 2, "is no name of a stream");
    check(&["--topic=/a", "--broker=nats://a", "--broker-credentials=/no/file"], 2, "/no/file: ");
    check(&["--topic=/a", "--broker=nats://a", "--broker-replicas=9"], 2, "it must be 5 or less");
    check(&["--topic=/a", "--broker-core"], 2, "--broker");
    let rooms = "--broker-own-stream=/rooms/*,name=rooms,bytes=1MiB";
    check(&["--topic=/a", rooms], 2, "--broker");
    let with = |flags: &[&str], code: i32, expected: &str| {
        check(&[&["--topic=/a", "--broker=nats://a", rooms], flags].concat(), code, expected);
    };
    with(&[], 0, "");
    with(&["--broker-core"], 2, "no pattern can have a stream of its own");
    with(&["--broker-own-stream=/a,name=rooms"], 2, "two patterns have the stream \"rooms\"");
    with(&["--broker-own-stream=/rooms/*,name=b"], 2, "two cannot have the same path: /rooms/*");
    folder.write(
        "rikki.toml",
        "broker = \"nats://u:p@a\"\nbroker-retention = \"1h\"\n[[topic]]\npath = \"/a\"\n\
         [[broker-own-stream]]\npath = \"/a\"\nname = \"a\"\nretention = \"2h\"\n",
    );
    let file = format!("--config={}", folder.path("rikki.toml"));
    check(&[&file], 0, "");
}

/// Another stream is no setting that a server can go over to.
#[test]
fn another_stream_takes_a_restart() {
    let folder = Folder::new();
    let settings = |bytes: &str| {
        let text = format!(
            "listen = [\"http://127.0.0.1:0\"]\nroot = {:?}\nlog = \"off,rikki::settings=warn\"\n\
             broker = \"nats://nowhere.invalid\"\n[[topic]]\npath = \"/chat\"\n\
             [[broker-own-stream]]\npath = \"/chat\"\nname = \"chat\"\nbytes = \"{bytes}\"\n",
            folder.path("")
        );
        folder.write("rikki.toml", text)
    };
    let server = Process::start(&["--config", &settings("1MiB")]);
    let _ = address(&server);
    settings("2MiB");
    server.signal("HUP");
    let line = server.report();
    assert!(line.contains("this takes a restart: another --broker, and what belongs to it"), "{line}");
}
