//! Tokens that say who may do what: JSON Web Tokens, signed with HS256
//! ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)).

use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rikki::topics::{Action, Admitted, Denied, Identity, Shown};
use serde::Deserialize;
use serde_json::Value;

use super::access::covers;
use crate::secret::Secret;

/// What tokens are judged by.
pub(super) struct Tokens {
    key: DecodingKey,
    validation: Validation,
}

/// What a token that is good says.
#[derive(Deserialize)]
pub(super) struct Claims {
    /// Who it is.
    sub: Option<String>,
    /// What else others are told of them.
    info: Option<Value>,
    /// Topics to read: names, or prefixes with a star behind them.
    subscribe: Option<Vec<String>>,
    /// The same, as tokens for Centrifugo have it.
    channels: Option<Vec<String>>,
    /// Topics to write.
    publish: Option<Vec<String>>,
    /// The topic that it is for, and for nothing else: a token for one subscription of Centrifugo.
    channel: Option<String>,
    /// The second at which it expires.
    exp: Option<Value>,
}

impl Tokens {
    pub(super) fn new(secret: &Secret) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_nbf = true;
        // A second too late is too late.
        validation.leeway = 0;
        Self { key: DecodingKey::from_secret(secret.key()), validation }
    }

    /// What a token says, or what is wrong with it, without a word of it.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, Denied> {
        let data = decode::<Claims>(token, &self.key, &self.validation).map_err(|error| fault(&error, token))?;
        match data.header.crit {
            None => Ok(data.claims),
            // https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11
            Some(_) => {
                Err(Denied::unauthorized("the token wants something of its header to be understood that is not"))
            }
        }
    }
}

impl Claims {
    /// Whether they cover this, and who it is.
    pub(super) fn allow(self, topic: &str, action: Action) -> Result<Identity, Denied> {
        if self.channel.is_some() {
            return Err(Denied::forbidden("the token is for one subscription"));
        }
        self.covers(topic, action)?;
        Ok(self.identity())
    }

    /// Whom a client of Centrifugo is let in as that shows this, and what it may do.
    pub(super) fn admit(mut self, shown: &Shown<'_>) -> Result<Admitted, Denied> {
        if self.channel.as_deref() != shown.topic {
            return Err(Denied::forbidden("the token is for something else"));
        }
        let identity = self.identity();
        if shown.identity.is_some_and(|known| known.user != identity.user) {
            return Err(Denied::forbidden("the token is of another user"));
        }
        let mut admitted = Admitted::new(identity);
        // What is too far for the clock is without end.
        let seconds = self.exp.as_ref().and_then(Value::as_f64);
        let since_epoch = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        if let Some(time) = since_epoch.and_then(|time| UNIX_EPOCH.checked_add(time)) {
            admitted = admitted.expires_at(time);
        }
        if shown.topic.is_some() {
            return Ok(admitted);
        }
        // Those that are names alone are subscribed to at once, as Centrifugo does.
        let names = self.channels.iter().flatten().filter(|name| !name.ends_with('*')).cloned();
        let admitted = admitted.subscribe_to(names);
        self.info = None;
        Ok(admitted.may(move |topic, action| self.covers(topic, action)))
    }

    fn identity(&self) -> Identity {
        let info = self.info.as_ref().map(Value::to_string).unwrap_or_default();
        Identity::user(self.sub.clone().unwrap_or_default()).info(info)
    }

    fn covers(&self, topic: &str, action: Action) -> Result<(), Denied> {
        let covers = |patterns: &Option<Vec<String>>| patterns.iter().flatten().any(|pattern| covers(pattern, topic));
        let (is_covered, refusal) = match action {
            Action::Publish => (covers(&self.publish), "the token does not let publish to this topic"),
            // Who may read a topic may read what was said there, and who is there.
            _ => (covers(&self.subscribe) || covers(&self.channels), "the token does not let subscribe to this topic"),
        };
        if is_covered { Ok(()) } else { Err(Denied::forbidden(refusal)) }
    }
}

fn fault(error: &Error, token: &str) -> Denied {
    const ALGORITHM: &str = "the token is not signed with HS256";
    Denied::unauthorized(match error.kind() {
        ErrorKind::ExpiredSignature => return Denied::expired("the token has expired"),
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidSignature => "the signature of the token is wrong",
        ErrorKind::InvalidAlgorithm => ALGORITHM,
        // A name of an algorithm that is known to nobody, or `none`.
        ErrorKind::Json(error) if error.is_data() && decode_header(token).is_err() => ALGORITHM,
        ErrorKind::MissingRequiredClaim(_) => "the token has no exp, the second at which it expires",
        ErrorKind::InvalidClaimFormat(_) => "nbf of the token is no number of seconds",
        ErrorKind::InvalidAudience => "the token is for another audience",
        _ => "the token is malformed",
    })
}
