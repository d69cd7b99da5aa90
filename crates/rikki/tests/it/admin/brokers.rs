//! What is told of the broker of topics.

use std::time::Duration;

use rikki::topics::{Broker, BrokerStatus, Inlet, PublishError, Published, Publishing, Topics, TopicsConfig};
use serde_json::json;

use super::{ANY, check, echo, fetch, look, status};

/// A broker with two streams, of which one is away.
#[derive(Debug)]
struct Told;

impl Broker for Told {
    fn attach(&self, _: &Inlet) {}

    fn publish(&self, _: &Inlet, _: Published) -> Publishing {
        Publishing::Done(Err(PublishError::Unavailable))
    }

    fn statuses(&self) -> Vec<BrokerStatus> {
        let (mut here, mut away) = (BrokerStatus::of("a"), BrokerStatus::of("b"));
        (here.connected, here.acknowledged, here.lag) = (true, 7, Duration::from_micros(1500));
        (away.why_not, away.refused) = (Some("nobody answers".to_owned()), 3);
        vec![here, away]
    }
}

#[tokio::test]
async fn what_is_told_of_a_broker() {
    let (handle, admin, inside) = look(echo().topics(&Topics::new(TopicsConfig::default())), ANY).await;
    assert!(status(&admin)["brokers"] == json!([]) && !admin.metrics().contains("rikki_broker_"), "there is none");
    handle.shutdown().await;
    inside.shutdown().await;

    // Two of one name are told as one.
    let [one, other] = [(); 2].map(|()| Topics::with_broker(TopicsConfig::default(), Told));
    let (handle, admin, inside) = look(echo().topics(&one).topics(&other), ANY).await;
    let status = status(&admin);
    let [here, away] = [&status["brokers"][0], &status["brokers"][1]];
    assert_eq!((&here["stream"], &here["connected"], &here["acknowledged"]), (&json!("a"), &json!(true), &json!(14)));
    assert!(here["lag_ms"] == 1.5 && here.get("why_not").is_none() && status["brokers"][2].is_null(), "{here}");
    assert!(away["why_not"] == "nobody answers" && away["refused"] == 6, "{away}");
    let metrics = admin.metrics();
    for line in [
        "rikki_broker_connected{stream=\"a\"} 1.0",
        "rikki_broker_connected{stream=\"b\"} 0.0",
        "rikki_broker_lag_seconds{stream=\"a\"} 0.0015",
        "rikki_broker_messages_acknowledged_total{stream=\"a\"} 14",
        "rikki_broker_messages_refused_total{stream=\"b\"} 6",
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line}: {metrics}");
    }
    // It serves what it has.
    check(&fetch(inside.local_addrs()[0], "/readyz").await, 200, "ready\n");
    handle.shutdown().await;
    inside.shutdown().await;
}
