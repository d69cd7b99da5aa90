//! The broker of the topics: where they are the same on several nodes.

use rikki::topics::{Topics, TopicsConfig};
use rikki_nats::{Nats, NatsConfig};

use crate::Failure;
use crate::args::{BrokerArgs, UsageError};
use crate::secret::Secret;

/// Where the broker is. Neither a log nor an error shows what lets us in.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct BrokerSettings {
    config: Option<NatsConfig>,
    token: Option<Secret>,
}

impl BrokerSettings {
    /// Checks the flags, and reads the token; what is wrong is one more fault.
    pub(crate) fn judged(args: BrokerArgs, faults: &mut Vec<UsageError>) -> Self {
        Self::from_args(args).unwrap_or_else(|fault| {
            faults.push(fault);
            Self::default()
        })
    }

    fn from_args(args: BrokerArgs) -> Result<Self, UsageError> {
        let Some(url) = args.broker else { return Ok(Self::default()) };
        let token = args.broker_token.as_deref().map(Secret::bearer).transpose()?;
        let mut config = NatsConfig::new(url).core(args.broker_core);
        if let Some(name) = args.broker_stream {
            config = config.stream(name);
        }
        config = args.broker_limits.apply_to(config).map_err(|error| UsageError(error.to_string()))?;
        let mut paths: Vec<&str> = Vec::new();
        for stream in &args.broker_own_streams {
            if paths.contains(&&*stream.path) {
                let told = format!("--broker-own-stream: two cannot have the same path: {}", stream.path);
                return Err(UsageError(told));
            }
            paths.push(&stream.path);
            let added = config.own_stream(stream.pattern(), stream.config.clone());
            config = added.map_err(|error| UsageError(error.to_string()))?;
        }
        if let Some(file) = args.broker_credentials {
            config = config.credentials(file);
        }
        if let Some(file) = args.broker_ca {
            config = config.ca(file);
        }
        if let Some(token) = &token {
            config = config.token(String::from_utf8_lossy(token.key()));
        }
        config.check().map_err(|error| UsageError(format!("--broker: {error}")))?;
        Ok(Self { config: Some(config), token })
    }

    /// The files that are never served.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &std::path::Path> {
        let credentials = self.config.as_ref().and_then(NatsConfig::credentials_path);
        self.token.iter().map(Secret::file).chain(credentials)
    }

    /// Topics like this. Where there is a broker, it is connected to from now on.
    pub(crate) fn topics(&self, config: TopicsConfig) -> Result<Topics, Failure> {
        let Some(nats) = &self.config else { return Ok(Topics::new(config)) };
        let nats = Nats::start(nats.clone()).map_err(|error| Failure::Runtime(error.to_string()))?;
        Ok(Topics::with_broker(config, nats))
    }
}
