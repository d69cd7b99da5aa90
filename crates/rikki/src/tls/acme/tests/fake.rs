//! A directory in memory: enough of RFC 8555 and RFC 9773 for one client, and every way of behaving badly.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PublicKeyData, SanType};
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::wire::{answer, number, opened, problem, with_nonce, written};
use crate::tls::acme::{Challenges, Connect, Now};

const URL: &str = "https://ca.test";
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What it does with whatever it is asked.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    Well,
    Down,
    Hangs,
    Panics,
    Answers(u16, Vec<u8>),
    /// Of new orders: the type of the problem, and `Retry-After`.
    Refuses(&'static str, Option<&'static str>),
    /// It could not see that a name is proven.
    Unproven,
    /// It never comes to an end with an order.
    Dawdles,
    /// What it issues is for another name, or for another key, or has expired.
    WrongName,
    WrongKey,
    Expired,
}

/// What it says of renewal.
#[derive(Clone, Debug)]
pub(crate) enum Renewal {
    Unknown,
    Window(SystemTime, SystemTime, Option<&'static str>),
    Answers(u16, &'static str),
}

/// One that can be told how to behave. Clones are the same.
#[derive(Clone)]
pub(crate) struct Directory(Arc<Mutex<Inner>>);

struct Inner {
    manner: Manner,
    renewal: Renewal,
    validity: Duration,
    bad_nonces: usize,
    now: Now,
    authority: CertifiedIssuer<'static, KeyPair>,
    challenges: Option<Challenges>,
    /// Whether it looks from outside, where, and whether through a proxy.
    is_outside: bool,
    address: Option<(SocketAddr, bool)>,
    log: VecDeque<String>,
    accounts: usize,
    orders: Vec<Order>,
}

#[derive(Clone)]
struct Order {
    name: String,
    replaces: Option<String>,
    status: &'static str,
    chain: Option<String>,
}

struct PublicKey(Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl Directory {
    pub(crate) fn new(now: Now) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self(Arc::new(Mutex::new(Inner {
            manner: Manner::Well,
            renewal: Renewal::Unknown,
            validity: DAY * 90,
            bad_nonces: 0,
            now,
            authority,
            challenges: None,
            is_outside: false,
            address: None,
            log: VecDeque::new(),
            accounts: 0,
            orders: Vec::new(),
        })))
    }

    pub(crate) fn url() -> String {
        format!("{URL}/dir")
    }

    pub(crate) fn pem(&self) -> String {
        self.inner().authority.pem()
    }

    pub(crate) fn connect(&self) -> Connect {
        let directory = self.clone();
        Arc::new(move || Box::new(directory.clone()))
    }

    pub(crate) fn now(&self) -> Now {
        self.inner().now.clone()
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.inner().manner = manner;
    }

    pub(crate) fn suggest(&self, renewal: Renewal) {
        self.inner().renewal = renewal;
    }

    pub(crate) fn issue_for(&self, validity: Duration) {
        self.inner().validity = validity;
    }

    pub(crate) fn refuse_nonces(&self, count: usize) {
        self.inner().bad_nonces = count;
    }

    pub(crate) fn forget_accounts(&self) {
        self.inner().accounts = 0;
    }

    /// Where what proves a name can be seen.
    pub(crate) fn watch(&self, challenges: &Challenges) {
        self.inner().challenges = Some(challenges.clone());
    }

    /// Looks from outside whether a name is proven, when it knows where.
    pub(crate) fn look_outside(&self) {
        self.inner().is_outside = true;
    }

    pub(crate) fn look_at(&self, address: SocketAddr, is_proxied: bool) {
        self.inner().address = Some((address, is_proxied));
    }

    /// What it was asked since somebody looked last, but for nonces and for looks at orders.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.inner().log.drain(..).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

impl HttpClient for Directory {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Answer {
        let directory = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let manner = directory.inner().manner.clone();
            match manner {
                Manner::Down => return Err(Error::Other("connection refused".into())),
                Manner::Hangs => std::future::pending().await,
                Manner::Panics => panic!("a mistake"),
                Manner::Answers(status, text) => return Ok(answer(status, text)),
                _ => {}
            }
            let path = parts.uri.path().to_owned();
            if path.starts_with("/challenge/") {
                directory.validate(&path).await;
            }
            Ok(directory.inner().answer(&parts.method, &path, &body))
        })
    }
}

impl Directory {
    /// As from outside, if it is known where that is.
    async fn validate(&self, path: &str) {
        let name = self.inner().orders[number(path)].name.clone();
        while self.inner().is_outside && self.inner().address.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let address = self.inner().address;
        let is_seen = match address {
            Some((address, is_proxied)) => super::is_proven(address, is_proxied, &name).await,
            None => self.inner().challenges.as_ref().is_some_and(Challenges::are_any),
        };
        let mut inner = self.inner();
        let is_proven = is_seen && !matches!(inner.manner, Manner::Unproven);
        if !matches!(inner.manner, Manner::Dawdles) {
            inner.orders[number(path)].status = if is_proven { "ready" } else { "invalid" };
        }
    }
}

impl Inner {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> BytesResponse {
        if *method == Method::GET {
            return self.look(path);
        }
        if path == "/nonce" {
            return answer(200, "");
        }
        let (header, payload) = opened(body);
        if self.bad_nonces > 0 {
            self.bad_nonces -= 1;
            return problem("badNonce", None);
        }
        if path == "/new-account" {
            self.accounts += 1;
            self.log.push_back(format!("new-account {}", payload["contact"]));
            let answered =
                Response::builder().status(201).header("Location", format!("{URL}/account/{}", self.accounts));
            return with_nonce(answered, json!({"status": "valid"}).to_string());
        }
        if self.accounts == 0 || header["kid"].is_null() {
            return problem("accountDoesNotExist", None);
        }
        if path == "/new-order" {
            return self.order(&payload);
        }
        let at = number(path);
        match path.split('/').nth(1) {
            Some("order") => answer(200, self.shown(at).to_string()),
            Some("authorization") => answer(200, self.authorization(at).to_string()),
            Some("challenge") => answer(200, self.challenge(at).to_string()),
            Some("finalize") => {
                self.orders[at].chain = Some(self.issue(payload["csr"].as_str().unwrap()));
                self.orders[at].status = "processing";
                answer(200, self.shown(at).to_string())
            }
            Some("certificate") => answer(200, self.orders[at].chain.clone().unwrap()),
            _ => answer(404, "{}"),
        }
    }

    fn look(&mut self, path: &str) -> BytesResponse {
        if path == "/dir" {
            let mut directory = json!({
                "newNonce": format!("{URL}/nonce"),
                "newAccount": format!("{URL}/new-account"),
                "newOrder": format!("{URL}/new-order"),
            });
            if !matches!(self.renewal, Renewal::Unknown) {
                directory["renewalInfo"] = format!("{URL}/renewal").into();
            }
            return answer(200, directory.to_string());
        }
        self.log.push_back(format!("renewal {}", path.trim_start_matches("/renewal/")));
        match self.renewal.clone() {
            Renewal::Unknown => answer(404, "{}"),
            Renewal::Answers(status, text) => answer(status, text),
            Renewal::Window(start, end, again) => {
                let window = json!({"suggestedWindow": {"start": written(start), "end": written(end)}}).to_string();
                let response = Response::builder().status(200);
                with_nonce(again.into_iter().fold(response, |made, again| made.header("Retry-After", again)), window)
            }
        }
    }

    fn order(&mut self, payload: &Value) -> BytesResponse {
        let name = payload["identifiers"][0]["value"].as_str().unwrap().to_owned();
        let replaces = payload["replaces"].as_str().map(str::to_owned);
        self.log.push_back(format!(
            "new-order {name}{}",
            replaces.iter().map(|of| format!(" for {of}")).collect::<String>()
        ));
        match self.manner {
            Manner::Refuses("alreadyReplaced", _) if replaces.is_none() => {}
            Manner::Refuses(kind, again) => return problem(kind, again),
            _ => {}
        }
        self.orders.push(Order { name, replaces, status: "pending", chain: None });
        let at = self.orders.len() - 1;
        let made = Response::builder().status(201).header("Location", format!("{URL}/order/{at}"));
        let text = self.shown(at).to_string();
        with_nonce(made, text)
    }

    /// One that is being processed is done when somebody looks again.
    fn shown(&mut self, at: usize) -> Value {
        let Order { name, replaces, status, .. } = self.orders[at].clone();
        if status == "processing" {
            self.orders[at].status = "valid";
        }
        let mut shown = json!({
            "status": status,
            "identifiers": [{"type": "dns", "value": name}],
            "authorizations": [format!("{URL}/authorization/{at}")],
            "finalize": format!("{URL}/finalize/{at}"),
        });
        if let Some(replaces) = replaces {
            shown["replaces"] = replaces.into();
        }
        if status == "valid" {
            shown["certificate"] = format!("{URL}/certificate/{at}").into();
        }
        shown
    }

    fn authorization(&self, at: usize) -> Value {
        let order = &self.orders[at];
        let status = if order.status == "invalid" { "invalid" } else { "pending" };
        let others = json!({"type": "http-01", "url": URL, "status": "pending", "token": "other"});
        json!({
            "identifier": {"type": "dns", "value": order.name},
            "status": status,
            "challenges": [others, self.challenge(at)],
        })
    }

    fn challenge(&self, at: usize) -> Value {
        let mut challenge = json!({
            "type": "tls-alpn-01",
            "url": format!("{URL}/challenge/{at}"),
            "status": "pending",
            "token": "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ",
        });
        if self.orders[at].status == "invalid" {
            challenge["status"] = "invalid".into();
            challenge["error"] = json!({"type": "urn:ietf:params:acme:error:unauthorized", "detail": "not\nseen"});
        }
        challenge
    }

    fn issue(&self, csr: &str) -> String {
        let csr = URL_SAFE_NO_PAD.decode(csr).unwrap();
        let (_, csr) = X509CertificationRequest::from_der(&csr).unwrap();
        let key = PublicKey(csr.certification_request_info.subject_pki.subject_public_key.data.to_vec());
        let name = &self.orders.last().unwrap().name;
        let now = (self.now)();
        self.certificate(if matches!(self.manner, Manner::WrongName) { "other.test" } else { name }, now, key)
    }

    fn certificate(&self, name: &str, now: SystemTime, key: PublicKey) -> String {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::DnsName(name.try_into().unwrap())];
        let begins = now.duration_since(UNIX_EPOCH).unwrap();
        let begins = if matches!(self.manner, Manner::Expired) { begins - self.validity * 2 } else { begins };
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + begins;
        params.not_after = params.not_before + self.validity;
        params.use_authority_key_identifier_extension = true;
        if matches!(self.manner, Manner::WrongKey) {
            return params.signed_by(&KeyPair::generate().unwrap(), &self.authority).unwrap().pem();
        }
        params.signed_by(&key, &self.authority).unwrap().pem()
    }
}
