//! The recipes of `docs/recipes.md`: every line of them is run.

use std::cell::Cell;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::process::Folder;
use crate::running::{ask, upgraded};
use crate::screen::Screen;

/// The lines of one recipe, each of which is to be used, in a folder with what they need.
struct Recipe {
    folder: Folder,
    lines: Vec<String>,
    next: Cell<usize>,
    /// In the place of 8000 and 8443.
    ports: [String; 2],
}

impl Recipe {
    fn new(heading: &str) -> Self {
        let page =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/recipes.md")).unwrap();
        let section = page.split("\n## ").find_map(|section| section.strip_prefix(heading)).expect(heading);
        let blocks = |kind: &str| {
            let fence = format!("```{kind}\n");
            let blocks = section.split(&fence).skip(1);
            blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let folder = Folder::new();
        for name in ["dist", "class", "public", "share"] {
            std::fs::create_dir(folder.path(name)).unwrap();
            folder.write(&format!("{name}/index.html"), format!("the page of {name}"));
        }
        folder.write("share/film.mp4", "a film");
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let ports = listeners.map(|listener| listener.local_addr().unwrap().port().to_string());
        let lines = blocks("sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
        let recipe = Self { folder, lines, next: Cell::new(0), ports };
        for settings in blocks("toml") {
            recipe.folder.write("rikki.toml", recipe.with_ports(&settings));
        }
        recipe
    }

    fn with_ports(&self, text: &str) -> String {
        text.replace("8000", &self.ports[0]).replace("8443", &self.ports[1])
    }

    /// The next line behind a few words, for a shell that finds the command.
    fn shell(&self, before: &str) -> Command {
        let line = self.lines.get(self.next.replace(self.next.get() + 1)).expect("one more line");
        let mut shell = Command::new("sh");
        let folder = Path::new(env!("CARGO_BIN_EXE_rikki")).parent().unwrap();
        let path = std::env::join_paths(
            [folder.to_owned()].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        );
        shell
            .args(["-c", &format!("{before}{}", self.with_ports(line))])
            .current_dir(self.folder.path(""))
            .env("PATH", path.unwrap());
        // Where a line names none.
        shell.env("PORT", &self.ports[0]);
        shell
    }

    /// A server on a terminal, by the next line.
    fn serve(&self) -> Screen {
        let screen = Screen::of(self.shell("exec env "));
        screen.expect("files in ");
        screen
    }

    /// What a command prints and says that ends, by the next line.
    fn run(&self) -> (Option<i32>, String, String) {
        let output = self.shell("").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    #[track_caller]
    fn says(&self, expected: &str) {
        let (code, text, more) = self.run();
        assert!(code == Some(0) && text.contains(expected), "{expected:?}: {code:?} {text} {more}");
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.ports[0])
    }
}

impl Drop for Recipe {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.next.get(), self.lines.len(), "lines of the recipe that are run");
        }
    }
}

fn get(address: &str, target: &str) -> String {
    ask(address, &format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}

#[test]
fn a_page_under_construction() {
    let recipe = Recipe::new("A page under construction");
    let screen = recipe.serve();
    let mut socket = upgraded(&recipe.address(), "/chat", "Origin: http://localhost:5173\r\n");
    recipe.run();
    let mut message = [0; 7];
    socket.read_exact(&mut message).unwrap();
    assert_eq!(message, *b"\x81\x05hello");
    screen.expect(" /chat 5 B \"hello\"\n");
    assert!(get(&recipe.address(), "/").ends_with("the page of dist"));
}

#[test]
fn a_class_with_phones() {
    let recipe = Recipe::new("A class with phones");
    let plain = recipe.serve();
    assert!(get(&recipe.address(), "/").ends_with("the page of class"));
    upgraded(&recipe.address(), "/chat", "Origin: http://localhost\r\n");
    drop(plain);
    let secure = recipe.serve();
    secure.expect("the certificate is self-signed; its SHA-256 is\n");
    recipe.says("<title>WebSocket test</title>");
}

#[test]
fn a_device_with_sensors() {
    let recipe = Recipe::new("A device with sensors");
    let _screen = recipe.serve();
    let mut device = upgraded(&recipe.address(), "/sensors/kitchen", "Origin: file://\r\n");
    recipe.run();
    let mut message = [0; 6];
    device.read_exact(&mut message).unwrap();
    assert_eq!(message, *b"\x81\x0421.5");
    recipe.says("21.5");
}

#[test]
fn a_server_behind_a_proxy() {
    let recipe = Recipe::new("A server behind a proxy");
    recipe.says("the settings are good");
    let screen = recipe.serve();
    recipe.says("the page of public");
    screen.expect("192.0.2.7");
    assert!(get(&recipe.address(), "/test.html").starts_with("HTTP/1.1 404 "));
    screen.signal("TERM");
    assert_eq!(screen.end().0, Some(0));
    let _of_platform = recipe.serve();
    assert!(get(&recipe.address(), "/").ends_with("the page of public"));
}

#[test]
fn the_tutorial_of_mongoose() {
    let recipe = Recipe::new("The tutorial of Mongoose");
    let _screen = recipe.serve();
    recipe.says("hello\n");
    recipe.says("{\"result\": 123}");
}

#[test]
fn files_for_others() {
    let recipe = Recipe::new("Files for others");
    let screen = recipe.serve();
    recipe.run();
    assert_eq!(std::fs::read_to_string(recipe.folder.path("film.mp4")).unwrap(), "a film");
    screen.expect("GET /film.mp4 6 B");
    assert!(get(&recipe.address(), "/rest").starts_with("HTTP/1.1 404 "));
}

#[test]
fn testing_a_client() {
    let recipe = Recipe::new("Testing a client");
    let screen = recipe.serve();
    recipe.says("hello\n");
    screen.expect("in  #1 / 5 B \"hello\"");
    let (code, _, told) = recipe.run();
    assert!(code == Some(1) && told.contains("1009"), "{code:?} {told}");
    screen.expect("1009 WS / ");
}
