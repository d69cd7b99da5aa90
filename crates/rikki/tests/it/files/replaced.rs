//! A root that is replaced while it is served, as builds and releases do.

use std::path::Path;
use std::time::Instant;

use super::*;

/// By when a new folder is seen.
const SEEN: Duration = Duration::from_millis(100);

fn write(folder: &Path, name: &str, content: &str) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join(name), content).unwrap();
}

/// Asks until the answer is the expected one. None that was asked for later than [`SEEN`] after now may be another.
async fn soon_is(files: &Files, target: &str, expected: (u16, &str)) {
    let replaced = Instant::now();
    loop {
        let asked = replaced.elapsed();
        let answer = get(files, target).await;
        if (answer.status.as_u16(), answer.text()) == expected {
            return;
        }
        assert!(asked < SEEN, "{target}: {} {} after {asked:?}", answer.status, answer.text());
    }
}

#[tokio::test]
async fn a_root_that_is_removed_and_made_again() {
    let fixture = Fixture::empty();
    let root = fixture.root();
    write(&root, "hot.txt", "old");
    write(&root, "gone.txt", "gone");
    let files = fixture.files();
    assert_eq!(get(&files, "/hot.txt").await.text(), "old");
    fs::remove_dir_all(&root).unwrap();
    // Never an empty listing, and no 404 for what may be there again in a moment.
    for target in ["/", "/missing", "/gone.txt", "/hot.txt", "/hot.txt/"] {
        assert_eq!(status(&files, target).await, 503, "{target}");
    }
    write(&root, "hot.txt", "new");
    write(&root, "added.txt", "added");
    soon_is(&files, "/hot.txt", (200, "new")).await;
    assert_eq!(status(&files, "/added.txt").await, 200);
    assert_eq!(status(&files, "/gone.txt").await, 404);
    assert!(get(&files, "/").await.text().contains("added.txt"));
}

#[tokio::test]
async fn a_root_that_is_renamed_and_replaced() {
    let fixture = Fixture::empty();
    let root = fixture.root();
    for release in 0..3 {
        let name = release.to_string();
        let next = fixture.0.join("next");
        write(&next, "hot.txt", &name);
        write(&next, &format!("{name}.txt"), "");
        if release == 0 {
            fs::remove_dir(&root).unwrap();
            fs::rename(&next, &root).unwrap();
            continue;
        }
        let files = fixture.files();
        fs::rename(&root, fixture.0.join(format!("old-{name}"))).unwrap();
        fs::rename(&next, &root).unwrap();
        // What is not in the old one is looked for at once.
        assert_eq!(status(&files, &format!("/{name}.txt")).await, 200);
        soon_is(&files, "/hot.txt", (200, &name)).await;
        assert_eq!(status(&files, &format!("/{}.txt", release - 1)).await, 404);
    }
}

#[tokio::test]
async fn a_link_to_the_current_release_that_is_switched() {
    let fixture = Fixture::empty();
    let current = fixture.0.join("current");
    for release in ["one", "two"] {
        write(&fixture.0.join(release), "hot.txt", release);
        // From a link inside of the release, which names it by what it is then.
        symlink(current.join("hot.txt"), fixture.0.join(release).join("link.txt")).unwrap();
    }
    symlink("one", &current).unwrap();
    let files = Files::new(&current).unwrap();
    assert_eq!(get(&files, "/hot.txt").await.text(), "one");
    assert_eq!(get(&files, "/link.txt").await.text(), "one");
    let switched = fixture.0.join("switched");
    symlink("two", &switched).unwrap();
    fs::rename(&switched, &current).unwrap();
    soon_is(&files, "/hot.txt", (200, "two")).await;
    assert_eq!(get(&files, "/link.txt").await.text(), "two");
    // To nothing, and to what is no folder.
    for target in ["missing", "two/hot.txt"] {
        symlink(target, &switched).unwrap();
        fs::rename(&switched, &current).unwrap();
        soon_is(&files, "/hot.txt", (503, "503 Service Unavailable\n")).await;
        assert_eq!(status(&files, "/").await, 503);
    }
    symlink("one", &switched).unwrap();
    fs::rename(&switched, &current).unwrap();
    soon_is(&files, "/hot.txt", (200, "one")).await;
}

#[tokio::test]
async fn what_is_open_stays_as_it_was() {
    let fixture = Fixture::empty();
    fixture.write("large", vec![b'a'; 8 * BLOCK]);
    let body = start(fixture.files(), request("GET", "/large")).await.into_body();
    fs::remove_dir_all(fixture.root()).unwrap();
    assert!(body.collect().await.unwrap().to_bytes() == vec![b'a'; 8 * BLOCK]);
}
