//! One order, from the account to a certificate that has been verified
//! ([RFC 8555 section 7.4](https://www.rfc-editor.org/rfc/rfc8555#section-7.4)).

use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error, Identifier,
    NewAccount, NewOrder, Order as Ordered, OrderStatus, Problem,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rikki_limits::Excerpt;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::client::Bounded;
use super::{Managed, Told, Window, challenge, issued};
use crate::tls::certificate::Certificate;
use crate::ws::TlsError;

/// How often a request is signed anew whose nonce was refused, beyond the three times of the library
/// ([RFC 8555 section 6.5](https://www.rfc-editor.org/rfc/rfc8555#section-6.5)).
const NONCES: usize = 8;

/// How long a name may take to be proven, and a certificate to be issued.
const LONGEST_STEP: Duration = Duration::from_secs(120);

/// How long to wait before an order is looked at, at first and at most.
const FIRST_LOOK: Duration = Duration::from_millis(250);
const LAST_LOOK: Duration = Duration::from_secs(10);

/// Why there is no new certificate.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What was tried and what came of it; what the authority says is escaped and cut.
    pub(crate) why: String,
    /// How long to wait at least, as the authority says.
    pub(crate) after: Option<Duration>,
}

/// Signs a request anew while nonces are refused.
macro_rules! with_nonce {
    ($attempt:expr) => {{
        let mut left = NONCES;
        loop {
            match $attempt.await {
                Err(Error::Api(problem)) if left > 0 && is(&problem, "badNonce") => left -= 1,
                other => break other,
            }
        }
    }};
}

/// Asks one authority for one certificate.
pub(crate) struct Order {
    managed: Arc<Managed>,
    name: String,
    told: Told,
}

impl Order {
    pub(crate) fn new(managed: Arc<Managed>, name: String) -> Self {
        Self { managed, name, told: Told::default() }
    }

    /// Proves the name, and keeps what is issued then.
    ///
    /// # Cancel safety
    ///
    /// What has been written stays and is whole; an order that was begun expires at the authority.
    pub(crate) async fn place(self, replaced: Option<Certificate>) -> Result<Certificate, Failure> {
        let account = self.account().await?;
        let placed = self.order(&account, replaced.as_ref()).await;
        let mut order = placed.map_err(|error| {
            if matches!(&error, Error::Api(problem) if is(problem, "accountDoesNotExist")) {
                // The next attempt makes another.
                self.managed.state.remove(&self.managed.state.account());
            }
            self.failed("ordering", &error)
        })?;
        let offered = with_nonce!(self.offer(&mut order)).map_err(|error| self.failed("proving the name", &error))?;
        self.proven(&mut order).await?;
        drop(offered);
        let (key, chain) = self.fetch(&mut order).await?;
        self.keep(key + &chain).await
    }

    /// When the authority would have a certificate replaced, and when to ask again.
    pub(crate) async fn suggested(self, certificate: &Certificate) -> Result<(Window, Duration), Failure> {
        let id = certificate.id().ok_or_else(|| Failure { why: "it has no identifier".to_owned(), after: None })?;
        let failed = |error| self.failed("asking when to renew", &error);
        let account = self.known().await.map_err(failed)?;
        let account = account.ok_or_else(|| Failure { why: "there is no account".to_owned(), after: None })?;
        let (info, again) = account.renewal_info(&id).await.map_err(failed)?;
        let time = |seconds: i64| {
            let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
        };
        let window = info.suggested_window;
        Ok((Window { start: time(window.start.unix_timestamp()), end: time(window.end.unix_timestamp()) }, again))
    }

    fn builder(&self) -> instant_acme::AccountBuilder {
        let inner = (self.managed.connect)();
        Account::builder_with_http(Box::new(Bounded { inner, told: self.told.clone() }))
    }

    /// The account of the last time.
    async fn known(&self) -> Result<Option<Account>, Error> {
        let (managed, path) = (self.managed.clone(), self.managed.state.account());
        let read = spawn_blocking(move || managed.state.read(&managed.state.account()));
        let credentials = match read.await {
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(text))) => credentials(&text, self.managed.settings.url()).map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => return Err(Error::Other(error.into())),
        };
        match credentials {
            Ok(credentials) => self.builder().from_credentials(credentials).await.map(Some),
            Err(why) => {
                let path = path.display();
                tracing::warn!(target: "rikki::tls", "there will be another account than that in {path}: {why}");
                Ok(None)
            }
        }
    }

    async fn account(&self) -> Result<Account, Failure> {
        let failed = |error| self.failed("asking for an account", &error);
        if let Some(account) = self.known().await.map_err(failed)? {
            return Ok(account);
        }
        let settings = &self.managed.settings;
        let contact = settings.contact();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let create = || self.builder().create(&new, settings.url().to_owned(), None);
        let (account, credentials) = with_nonce!(create()).map_err(failed)?;
        let text = serde_json::to_vec(&credentials).map_err(|error| self.failed("keeping the account", &error))?;
        let managed = self.managed.clone();
        let written = spawn_blocking(move || managed.state.write(&managed.state.account(), &text)).await;
        self.written(written)?;
        Ok(account)
    }

    /// Says what is replaced where the authority wants to know
    /// ([RFC 9773 section 5](https://www.rfc-editor.org/rfc/rfc9773#section-5)). One that does not like that is asked
    /// without: another order may have replaced it.
    async fn order(&self, account: &Account, replaced: Option<&Certificate>) -> Result<Ordered, Error> {
        let identifiers = [Identifier::Dns(self.name.clone())];
        if let Some(id) = replaced.and_then(Certificate::id) {
            let order = NewOrder::new(&identifiers).replaces(id);
            match with_nonce!(account.new_order(&order)) {
                Err(Error::Unsupported(_) | Error::Other(_)) => {}
                // What may be about that, and not about everything.
                Err(Error::Api(problem))
                    if !["accountDoesNotExist", "badNonce", "rateLimited", "serverInternal"]
                        .iter()
                        .any(|kind| is(&problem, kind)) => {}
                other => return other,
            }
        }
        with_nonce!(account.new_order(&NewOrder::new(&identifiers)))
    }

    /// Makes the challenge ready; `None` for a name that has been proven before.
    async fn offer(&self, order: &mut Ordered) -> Result<Option<challenge::Offered>, Error> {
        let mut authorizations = order.authorizations();
        let mut authorization = authorizations.next().await.ok_or(Error::Str("an authorization"))??;
        match authorization.status {
            AuthorizationStatus::Valid => return Ok(None),
            AuthorizationStatus::Pending => {}
            other => return Err(Error::Other(format!("the authorization is {other:?}").into())),
        }
        let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
        let mut challenge = challenge.ok_or(Error::Str("a challenge of the kind tls-alpn-01"))?;
        let digest = challenge.key_authorization().digest();
        let offered = self.managed.challenges.offer(&self.name, digest.as_ref());
        let offered = offered.map_err(|error| Error::Other(error.into()))?;
        challenge.set_ready().await?;
        Ok(Some(offered))
    }

    async fn proven(&self, order: &mut Ordered) -> Result<(), Failure> {
        let what = "proving the name";
        let mut looks = Looks::new();
        loop {
            looks.next(&self.told).await.map_err(|error| self.failed(what, &error))?;
            match with_nonce!(order.refresh()).map_err(|error| self.failed(what, &error))?.status {
                OrderStatus::Ready | OrderStatus::Valid => return Ok(()),
                OrderStatus::Pending | OrderStatus::Processing => {}
                OrderStatus::Invalid => {
                    let why = with_nonce!(why(order)).unwrap_or_else(|error| error);
                    return Err(self.failed(what, &why));
                }
            }
        }
    }

    /// The key, which is made for this order, and the chain.
    async fn fetch(&self, order: &mut Ordered) -> Result<(String, String), Failure> {
        let what = "fetching the certificate";
        let rejected = |error: rcgen::Error| self.failed(what, &error);
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(rejected)?;
        let mut params = CertificateParams::new([self.name.clone()]).map_err(rejected)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(rejected)?;
        let failed = |error| self.failed(what, &error);
        with_nonce!(order.finalize_csr(request.der())).map_err(failed)?;
        let mut looks = Looks::new();
        loop {
            if let Some(chain) = with_nonce!(order.certificate()).map_err(failed)? {
                return Ok((key.serialize_pem(), chain));
            }
            looks.next(&self.told).await.map_err(failed)?;
        }
    }

    /// Sees that it can be used, and writes it.
    async fn keep(&self, text: String) -> Result<Certificate, Failure> {
        let (managed, name) = (self.managed.clone(), self.name.clone());
        let kept = spawn_blocking(move || {
            let certificate = Certificate::for_name(text.as_bytes(), issued(), &name, (managed.now)())?;
            managed.state.write(&managed.state.certificate(&name), text.as_bytes())?;
            Ok(certificate)
        });
        self.written(kept.await)
    }

    fn written<T>(&self, written: Result<Result<T, TlsError>, tokio::task::JoinError>) -> Result<T, Failure> {
        match written {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed("keeping it", &error)),
            Err(error) => Err(self.failed("keeping it", &error)),
        }
    }

    fn failed(&self, what: &str, error: &(impl Display + 'static)) -> Failure {
        let told = (error as &dyn std::any::Any).downcast_ref::<Error>();
        let why = match told {
            Some(Error::Api(problem)) => said(problem),
            _ => Excerpt::of(&error.to_string()).to_string(),
        };
        Failure { why: format!("{what}: {why}"), after: self.told.wait() }
    }
}

/// What is looked at again and again.
struct Looks {
    pause: Duration,
    deadline: Instant,
}

impl Looks {
    fn new() -> Self {
        Self { pause: FIRST_LOOK, deadline: Instant::now() + LONGEST_STEP }
    }

    async fn next(&mut self, told: &Told) -> Result<(), Error> {
        if Instant::now() >= self.deadline {
            return Err(Error::Timeout(None));
        }
        sleep(told.wait().unwrap_or(self.pause).clamp(FIRST_LOOK, LAST_LOOK)).await;
        self.pause = (self.pause * 2).min(LAST_LOOK);
        Ok(())
    }
}

/// An account of another directory is of no use here.
fn credentials(text: &[u8], directory: &str) -> Result<AccountCredentials, Box<dyn std::error::Error>> {
    let value: serde_json::Value = serde_json::from_slice(text)?;
    if value.get("directory").and_then(serde_json::Value::as_str) != Some(directory) {
        return Err("it is of another directory".into());
    }
    Ok(serde_json::from_slice(text)?)
}

/// What is wrong with an order that has become invalid: its challenge may say.
async fn why(order: &mut Ordered) -> Result<Error, Error> {
    if let Some(problem) = &order.state().error {
        return Ok(Error::Api(problem.clone()));
    }
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        let challenges = &authorization.refresh().await?.challenges;
        if let Some(problem) = challenges.iter().find_map(|challenge| challenge.error.clone()) {
            return Ok(Error::Api(problem));
        }
    }
    Ok(Error::Other("the authority does not say why it refused".into()))
}

/// The types of problems of ACME ([RFC 8555 section 6.7](https://www.rfc-editor.org/rfc/rfc8555#section-6.7)).
fn is(problem: &Problem, kind: &str) -> bool {
    problem.r#type.as_deref().and_then(|full| full.strip_prefix("urn:ietf:params:acme:error:")) == Some(kind)
}

fn said(problem: &Problem) -> String {
    let first = problem.subproblems.first();
    let kind = first.and_then(|one| one.r#type.as_deref()).or(problem.r#type.as_deref()).unwrap_or("no type");
    let detail = first.and_then(|one| one.detail.as_deref()).or(problem.detail.as_deref()).unwrap_or("no detail");
    format!("the authority says {}: {}", Excerpt::of(kind), Excerpt::of(detail))
}

impl Certificate {
    /// How it is called ([RFC 9773 section 4.1](https://www.rfc-editor.org/rfc/rfc9773#section-4.1)).
    fn id(&self) -> Option<CertificateIdentifier<'static>> {
        let certificate = self.certified.end_entity_cert().ok()?;
        CertificateIdentifier::try_from(certificate).ok().map(CertificateIdentifier::into_owned)
    }
}
