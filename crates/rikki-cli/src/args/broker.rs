//! Where the broker of the topics is, if there are several nodes, and how to get in.

use std::path::PathBuf;

use super::given::{Given, OfBroker};

pub(super) const HEADING: &str = "Several nodes";

/// Where the broker is, and how to get in.
#[derive(Clone, Debug, PartialEq, clap::Args)]
#[command(next_help_heading = HEADING)]
pub(crate) struct BrokerArgs {
    /// Have the same topics on each node that names this NATS with JetStream: nats://HOST[:PORT], and more hosts of its
    /// cluster behind commas; tls:// for TLS
    #[arg(long, value_name = "URL")]
    pub(crate) broker: Option<String>,
    /// File with the credentials of a user of NATS
    #[arg(long, value_name = "FILE", requires = "broker", conflicts_with = "broker_token")]
    pub(crate) broker_credentials: Option<PathBuf>,
    /// File with a token of one line, which NATS asks for
    #[arg(long, value_name = "FILE", requires = "broker")]
    pub(crate) broker_token: Option<PathBuf>,
    /// File with the authorities, as PEM, that the certificates of NATS are from [default: those of the system]
    #[arg(long, value_name = "FILE", requires = "broker")]
    pub(crate) broker_ca: Option<PathBuf>,
    /// Name of the stream, with which its subjects begin: nodes with another one know nothing of these [default:
    /// rikki]
    #[arg(long, value_name = "NAME", requires = "broker")]
    pub(crate) broker_stream: Option<String>,
    /// Pass messages on and have the broker keep none, which needs no JetStream: each node has a history of its own
    #[arg(long, requires = "broker")]
    pub(crate) broker_core: bool,
    #[command(flatten)]
    pub(crate) broker_limits: Given<OfBroker>,
}
