//! Tokens that say who may do what: JSON Web Tokens, signed with HS256
//! ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)).

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rikki::topics::{Action, Denied, Identity};
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
    pub(super) fn verify(&self, token: &str) -> Result<Claims, &'static str> {
        let data = decode::<Claims>(token, &self.key, &self.validation).map_err(|error| fault(&error, token))?;
        match data.header.crit {
            None => Ok(data.claims),
            // https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11
            Some(_) => Err("the token wants something of its header to be understood that is not"),
        }
    }
}

impl Claims {
    /// Whether they cover this, and who it is.
    pub(super) fn allow(self, topic: &str, action: Action) -> Result<Identity, Denied> {
        let covers = |patterns: &Option<Vec<String>>| patterns.iter().flatten().any(|pattern| covers(pattern, topic));
        let (is_covered, refusal) = match action {
            Action::Publish => (covers(&self.publish), "the token does not let publish to this topic"),
            // Who may read a topic may read what was said there, and who is there.
            _ => (covers(&self.subscribe) || covers(&self.channels), "the token does not let subscribe to this topic"),
        };
        if !is_covered {
            return Err(Denied::forbidden(refusal));
        }
        let info = self.info.map(|info| info.to_string()).unwrap_or_default();
        Ok(Identity::user(self.sub.unwrap_or_default()).info(info))
    }
}

fn fault(error: &Error, token: &str) -> &'static str {
    const ALGORITHM: &str = "the token is not signed with HS256";
    match error.kind() {
        ErrorKind::ExpiredSignature => "the token has expired",
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidSignature => "the signature of the token is wrong",
        ErrorKind::InvalidAlgorithm => ALGORITHM,
        // A name of an algorithm that is known to nobody, or `none`.
        ErrorKind::Json(error) if error.is_data() && decode_header(token).is_err() => ALGORITHM,
        ErrorKind::MissingRequiredClaim(_) => "the token has no exp, the second at which it expires",
        ErrorKind::InvalidClaimFormat(_) => "nbf of the token is no number of seconds",
        ErrorKind::InvalidAudience => "the token is for another audience",
        _ => "the token is malformed",
    }
}
