//! The directory listing and the JSON endpoint.

use fantoccini::Locator;

use crate::browser::{Screen, browse};
use crate::server::{FILES, Server};

#[tokio::test]
async fn listing_shows_every_name_as_text_and_links_to_its_file() {
    let server = Server::http().await;
    browse(Screen::Light, async |client| {
        for (name, content) in FILES {
            // A name that became markup would have raised its alert by the end of the load, and an open dialog fails
            // every later command.
            client.goto(&server.url("/")).await.expect("the listing loads");
            assert_eq!(client.title().await.expect("no dialog is open"), "Index of /");
            let link = client.find(Locator::LinkText(name)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            link.click().await.expect("the link can be clicked");
            let body = client.find(Locator::Css("body")).await.expect("the file is shown");
            assert_eq!(body.text().await.expect("the file has a text"), content);
        }
        assert!(client.get_alert_text().await.is_err_and(|error| error.is_no_such_alert()));
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
