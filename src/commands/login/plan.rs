//! The profile that comes of a login: what was given, else what was there, else what the
//! provider's preset and the server's metadata say, else what a person answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum as _;
use clap::builder::PossibleValue;

use super::options::{Args, BasicArg, BodyArg, OrNothing, StoreArg};
use super::providers::{PROVIDERS, Provider};
use crate::binding::{Binding, BoundUrl};
use crate::commands::words;
use crate::digest::unique;
use crate::error::{Error, Result};
use crate::message;
use crate::profile::{
    ASSERTION_TYPE, Assertion, BodyFormat, ClientAuth, DEFAULT_TIMEOUT, JwtAlgorithm, Profile,
    SecretSource, Store, TokenEndpoint,
};
use crate::prompt;
use crate::secret::Credential;
use crate::secrets;
use crate::token_endpoint::{Key, Metadata, choose_among, discover};

/// What to do about a private key that is missing.
pub(super) const MISSING_KEY: &str =
    "name its file with --jwt-key FILE (or --key FILE for TLS), or pipe it in with --key-stdin";

impl Args {
    /// Whether a profile that is there keeps its settings.
    pub(super) fn keeps_settings(&self) -> bool {
        self.token_url.is_none() && self.issuer.is_none() && self.provider.is_none()
    }

    /// The profile to be. Its keychain item has no name yet, and how its assertions are signed may
    /// depend on the key: see [`sign_with`].
    pub(super) fn profile(mut self, before: Option<Profile>) -> Result<Plan> {
        let before = before.filter(|_| self.keeps_settings());
        let provider = self.provider.as_deref().map(find).transpose()?;
        if let Some(provider) = provider {
            self.fill_in(provider)?;
        }
        if before.is_none() {
            self.ask_for_the_rest()?;
        }
        let metadata = self.metadata(before.as_ref())?;
        let endpoint = metadata.as_ref().map(|metadata| &metadata.token_endpoint);
        let was_there = before.is_some();
        let mut profile = match (before, self.token_url.as_ref().or(endpoint)) {
            (Some(mut before), endpoint) => {
                replace(&mut before.token_endpoint, endpoint.cloned());
                before
            }
            (None, Some(endpoint)) => Profile::new(endpoint.clone()),
            (None, None) => return Err(Error::usage("the token URL is missing")),
        };
        profile.generation = unique()?;
        replace(&mut profile.client_id, self.client_id.take());
        if profile.client_id.is_empty() || profile.client_id.contains(char::is_control) {
            return Err(Error::usage(
                "the client id is empty or holds a control character",
            ));
        }
        let had_key = profile.client_auth.has_key();
        profile.client_auth = self.method(&profile, was_there, provider, metadata.as_ref())?;
        replace(&mut profile.body, self.body.map(BodyArg::format));
        replace(
            &mut profile.basic_encoding,
            self.basic_encoding.map(BasicArg::encoding),
        );
        if let Some(metadata) = &metadata {
            profile.issuer = Some(metadata.issuer.clone());
            let presents = self.presents_certificate(&profile);
            let alias = metadata
                .mtls_token_endpoint
                .clone()
                .filter(|_| presents && self.token_url.is_none());
            replace(&mut profile.token_endpoint, alias);
            let alias = metadata
                .mtls_revocation_endpoint
                .clone()
                .filter(|_| presents);
            profile.revocation_endpoint = alias.or(metadata.revocation_endpoint.clone());
        }
        if had_key != profile.client_auth.has_key() {
            // What was there proves the client in another way: a key is never sent as a secret.
            profile.secret = SecretSource::new_item(Store::Keychain);
        }
        self.credential_source(&mut profile, was_there)?;
        self.refuse_what_has_no_effect(&profile)?;
        profile.assertion = self.assertion(&profile, provider)?;
        let algorithm = self.jwt_alg;
        self.plain_settings(&mut profile)?;
        let algorithms = metadata.map(|metadata| metadata.signing_algorithms);
        Ok(Plan {
            algorithm,
            algorithms: algorithms.unwrap_or_default(),
            profile,
        })
    }

    /// What the preset knows, where nothing was given.
    fn fill_in(&mut self, provider: &Provider) -> Result<()> {
        let mut answers = Vec::new();
        for (name, example) in provider.asks {
            let known = self.set.iter().find(|(given, _)| given == name);
            // A question whose answer was given by an option of its own is not asked.
            let needed = (self.token_url.is_none() && provider.token_url.contains(name))
                || (self.audience.is_none() && provider.audience.contains(name))
                || (self.scope.is_empty() && provider.scope.contains(name))
                || provider
                    .parameters
                    .iter()
                    .any(|(_, value)| value.contains(name));
            let answer = match known {
                Some((_, value)) => value.clone(),
                None if needed => ask(
                    &format!("{name}, such as {example}"),
                    &format!("--set {name}=..."),
                )?,
                None => continue,
            };
            answers.push((format!("{{{name}}}"), answer));
        }
        if let Some((name, _)) = self
            .set
            .iter()
            .find(|(name, _)| provider.asks.iter().all(|(ask, _)| ask != name))
        {
            return Err(Error::usage(format!(
                "the preset `{}` asks for no `{name}`",
                provider.name
            )));
        }
        let fill = |template: &str| {
            answers
                .iter()
                .fold(template.to_owned(), |text, (name, answer)| {
                    text.replace(name, answer.trim_end_matches('/'))
                })
        };
        if self.token_url.is_none() && self.issuer.is_none() {
            let url = TokenEndpoint::parse(&fill(provider.token_url));
            self.token_url =
                Some(url.map_err(|fault| Error::usage(format!("the token URL {fault}")))?);
        }
        self.audience = self
            .audience
            .take()
            .or_else(|| Some(fill(provider.audience)));
        if self.scope.is_empty() {
            self.scope = vec![fill(provider.scope)];
        }
        self.grant_type = self
            .grant_type
            .take()
            .or_else(|| Some(provider.grant_type.to_owned()));
        self.body = self.body.or(Some(match provider.body {
            BodyFormat::Form => BodyArg::Form,
            BodyFormat::Json => BodyArg::Json,
        }));
        for (name, value) in provider.parameters {
            if self.param.iter().all(|(given, _)| given != name) {
                self.param.push(((*name).to_owned(), fill(value)));
            }
        }
        Ok(())
    }

    /// Asks for what a new profile needs and was not given.
    fn ask_for_the_rest(&mut self) -> Result<()> {
        let without_any_setting = self.token_url.is_none() && self.issuer.is_none();
        if without_any_setting {
            let answer = ask("Token URL", "--token-url")?;
            let parsed = TokenEndpoint::parse(&answer);
            self.token_url =
                Some(parsed.map_err(|fault| Error::usage(format!("the token URL {fault}")))?);
        }
        if self.client_id.is_none() {
            self.client_id = Some(ask("Client ID", "--client-id")?);
        }
        if without_any_setting {
            // Who begins without any setting is asked for the usual ones, too.
            if self.audience.is_none() {
                self.audience = Some(prompt::ask("Audience (empty for none)")?);
            }
            if self.scope.is_empty() {
                self.scope = vec![prompt::ask("Scope (empty for none)")?];
            }
        }
        self.propose_a_binding()
    }

    /// An audience that is a URL mostly is the one that the tokens are for.
    fn propose_a_binding(&mut self) -> Result<()> {
        let audience = self.audience.as_deref().unwrap_or_default();
        let url = BoundUrl::parse(audience).ok();
        let url = url.filter(|url| url.as_str().starts_with("https:"));
        if let Some(url) = url.filter(|_| self.bound_urls.is_empty() && prompt::can_ask()) {
            let question = format!("Let helpers answer for {} (yes, no) [yes]", url.as_str());
            match prompt::ask(&question)?.to_ascii_lowercase().as_str() {
                "" | "y" | "yes" => self.bound_urls.push(OrNothing(Some(url))),
                "n" | "no" => {}
                _ => return Err(Error::usage("the answer is neither yes nor no")),
            }
        }
        Ok(())
    }

    /// Asked for at each login, and at no other time.
    fn metadata(&self, before: Option<&Profile>) -> Result<Option<Metadata>> {
        let issuer = self
            .issuer
            .as_ref()
            .or(before.and_then(|before| before.issuer.as_ref()));
        let Some(issuer) = issuer else {
            return Ok(None);
        };
        let ca_file = self
            .ca_file
            .as_deref()
            .or(before.and_then(|before| before.ca_file.as_deref()));
        discover(
            issuer,
            ca_file.filter(|path| !is_empty(path)),
            self.timeout.unwrap_or(DEFAULT_TIMEOUT),
        )
        .map(Some)
    }

    /// The method that was named, else the first one that fits what the client proves itself with.
    fn method(
        &self,
        profile: &Profile,
        was_there: bool,
        provider: Option<&Provider>,
        metadata: Option<&Metadata>,
    ) -> Result<ClientAuth> {
        use ClientAuth::{
            ClientSecretBasic, ClientSecretJwt, ClientSecretPost, PrivateKeyJwt,
            SelfSignedTlsClientAuth, TlsClientAuth,
        };
        if let Some(named) = self.auth {
            return Ok(named.client_auth());
        }
        let has_key = self.jwt_key.is_some() || self.key.is_some() || self.key_stdin;
        let kept = profile.client_auth;
        let has_certificate = self.cert.as_ref().is_some_and(|path| !is_empty(path));
        let fitting: &[ClientAuth] = if has_certificate && self.jwt_key.is_none() {
            &[TlsClientAuth, SelfSignedTlsClientAuth]
        } else if has_key {
            &[PrivateKeyJwt]
        } else if kept.has_key() {
            return Ok(kept);
        } else {
            &[ClientSecretBasic, ClientSecretPost, ClientSecretJwt]
        };
        if let Some(provider) = provider.filter(|provider| fitting.contains(&provider.auth)) {
            return Ok(provider.auth);
        }
        if let Some(provider) = provider.filter(|provider| provider.auth.has_key() && !has_key) {
            return Err(
                Error::usage(format!("{} wants a private key", provider.title))
                    .hint("name it with --jwt-key FILE"),
            );
        }
        let listed = metadata
            .map(|metadata| metadata.methods.as_slice())
            .unwrap_or_default();
        let first = listed
            .iter()
            .find_map(|name| fitting.iter().find(|method| method.as_str() == name));
        if let Some(first) = first {
            message::note(&format!(
                "using {}, the first method of the server's that fits",
                first.as_str()
            ));
            return Ok(*first);
        }
        Ok(match self.body {
            _ if was_there && fitting.contains(&kept) => kept,
            // With a JSON body, servers expect the credentials in it, too.
            Some(BodyArg::Json) if fitting.contains(&ClientSecretPost) => ClientSecretPost,
            _ => fitting[0],
        })
    }

    /// Where the client's secret or private key lies.
    fn credential_source(&self, profile: &mut Profile, was_there: bool) -> Result<()> {
        self.certificate(profile)?;
        if profile.client_auth.has_key() {
            return self.key_source(profile, was_there);
        }
        if self.key_stdin || self.jwt_key.is_some() {
            return Err(Error::usage(format!(
                "{} takes no private key",
                profile.client_auth.as_str()
            )));
        }
        profile.encrypted_key = None;
        let source = self.source(&profile.secret)?;
        replace(&mut profile.secret, source);
        Ok(())
    }

    /// Whether the client presents a certificate in the handshake, whatever its method.
    fn presents_certificate(&self, profile: &Profile) -> bool {
        let given = self.cert.as_ref().map(|path| !is_empty(path));
        profile.client_auth.is_tls() || given.unwrap_or(profile.certificate_key.is_some())
    }

    /// The certificate, and its key where the client authenticates with something else as well.
    fn certificate(&self, profile: &mut Profile) -> Result<()> {
        if !self.presents_certificate(profile) {
            // A TLS method's certificate has no key any more.
            profile.certificate = None;
            profile.certificate_key = None;
            return match &self.key {
                // With a private key alone, either option names it.
                Some(_) if !profile.client_auth.has_key() => {
                    Err(Error::usage("--key needs --cert with its certificate"))
                }
                _ => Ok(()),
            };
        }
        if let Some(path) = self.cert.as_ref().filter(|path| !is_empty(path)) {
            profile.certificate = Some(absolute(path)?);
        }
        if profile.certificate.is_none() {
            return Err(Error::usage(
                "the client's certificate is missing: --cert FILE",
            ));
        }
        if profile.client_auth.is_tls() {
            profile.certificate_key = None;
            return Ok(());
        }
        if let Some(key) = &self.key {
            profile.certificate_key = Some(absolute(key)?);
        }
        if profile.certificate_key.is_none() {
            return Err(Error::usage("--cert needs --key with its private key"));
        }
        secrets::certificate_key(profile).map(|_| ())
    }

    /// Whoever gives an option believes that it is used.
    fn refuse_what_has_no_effect(&self, profile: &Profile) -> Result<()> {
        let method = profile.client_auth;
        let has_assertion = method.has_assertion();
        let signs = method == ClientAuth::PrivateKeyJwt;
        let is_basic = method == ClientAuth::ClientSecretBasic;
        if let Some(algorithm) = self.jwt_alg
            && has_assertion
            && algorithm.is_hmac() == method.has_key()
        {
            let fault = format!("{} does not fit {}", algorithm.as_str(), method.as_str());
            return Err(Error::usage(fault));
        }
        for (option, is_given, has_effect) in [
            ("--jwt-key", self.jwt_key.is_some(), signs),
            ("--jwt-alg", self.jwt_alg.is_some(), has_assertion),
            ("--jwt-kid", self.jwt_kid.is_some(), has_assertion),
            ("--jwt-aud", self.jwt_aud.is_some(), has_assertion),
            ("--jwt-typ", self.jwt_typ.is_some(), has_assertion),
            ("--jwt-cert", self.jwt_cert.is_some(), has_assertion),
            ("--jwt-claim", !self.jwt_claim.is_empty(), has_assertion),
            ("--basic-encoding", self.basic_encoding.is_some(), is_basic),
            ("--set", !self.set.is_empty(), self.provider.is_some()),
        ] {
            if is_given && !has_effect {
                let fault = match option {
                    "--set" => "--set needs --provider with its preset".to_owned(),
                    _ => format!("{option} has no effect with {}", method.as_str()),
                };
                return Err(Error::usage(fault));
            }
        }
        Ok(())
    }

    /// The claims of an assertion beside those that hallpass sets.
    fn claims(&self, kept: Option<&Assertion>) -> BTreeMap<String, String> {
        let mut claims = kept.map(|kept| kept.claims.clone()).unwrap_or_default();
        for (name, value) in &self.jwt_claim {
            if value.is_empty() {
                claims.remove(name);
            } else {
                claims.insert(name.clone(), value.clone());
            }
        }
        claims
    }

    /// A key in a file is the secret itself; the secret of an encrypted one is its passphrase.
    fn key_source(&self, profile: &mut Profile, was_there: bool) -> Result<()> {
        let source = self.source(&profile.secret)?;
        // Beside another credential, --key is the certificate's.
        let key = self.key.as_ref();
        let key = key.filter(|_| profile.certificate_key.is_none());
        if let Some(path) = self.jwt_key.as_ref().or(key) {
            let path = absolute(path)?;
            if secrets::read_key_file(&path)?.is_encrypted() {
                profile.secret = source.unwrap_or_else(|| SecretSource::new_item(Store::Keychain));
                profile.encrypted_key = Some(path);
            } else {
                profile.secret = SecretSource::File(path);
                profile.encrypted_key = None;
            }
        } else if self.key_stdin {
            profile.secret = source.unwrap_or_else(|| SecretSource::new_item(Store::Keychain));
            profile.encrypted_key = None;
        } else if let Some(source) = source {
            profile.secret = source;
        } else if !was_there {
            return Err(Error::usage("the private key is missing").hint(MISSING_KEY));
        }
        Ok(())
    }

    /// Whether the secret that is there goes to another store of ours.
    pub(super) fn moves(&self) -> bool {
        let to_us = self.store.is_some_and(|store| store.store().is_ok());
        let has_new =
            self.secret_stdin || self.key_stdin || self.jwt_key.is_some() || self.key.is_some();
        to_us && !has_new && self.keeps_settings()
    }

    /// Where the secret is to lie, if anything was said of it. A new secret goes to the store that
    /// had the old one.
    fn source(&self, kept: &SecretSource) -> Result<Option<SecretSource>> {
        let place = if let Some(path) = &self.secret_file {
            Some(SecretSource::File(absolute(path)?))
        } else if let Some(name) = &self.secret_credential {
            Some(SecretSource::Credential(name.clone()))
        } else if let Some(variable) = &self.secret_env {
            Some(SecretSource::Env(variable.clone()))
        } else {
            self.secret_command.clone()
        };
        match (self.store.map(StoreArg::store), &place) {
            (Some(Ok(store)), None) => return Ok(Some(SecretSource::new_item(store))),
            (Some(Ok(_)), Some(_)) => {
                return Err(Error::usage(
                    "--store names another place than the option beside it",
                ));
            }
            (Some(Err(option)), place) => {
                let named = self.store.and_then(|store| store.to_possible_value());
                let named = named.as_ref().map(PossibleValue::get_name);
                if named != place.as_ref().map(SecretSource::kind) {
                    return Err(Error::usage(format!(
                        "--store needs {option} beside it here"
                    )));
                }
            }
            (None, _) => {}
        }
        if self.secret_stdin || self.key_stdin {
            let store = kept.item().map(|item| item.store).unwrap_or_default();
            return Ok(Some(SecretSource::new_item(store)));
        }
        Ok(place)
    }

    fn assertion(
        &self,
        profile: &Profile,
        provider: Option<&Provider>,
    ) -> Result<Option<Assertion>> {
        if !profile.client_auth.has_assertion() {
            return Ok(None);
        }
        let preset = provider.and_then(|provider| provider.assertion);
        let kept = profile.assertion.as_ref();
        let endpoint = profile.token_endpoint.as_str();
        let audience = match (
            self.jwt_aud
                .as_deref()
                .or(preset.map(|(_, audience, _)| audience)),
            kept,
        ) {
            (Some("issuer"), _) => profile.issuer.clone().ok_or_else(|| {
                Error::usage("the issuer is not known")
                    .hint("name it with --issuer URL, or the audience itself with --jwt-aud")
            })?,
            (Some("token_endpoint"), _) => endpoint.to_owned(),
            (Some(literal), _) => literal.to_owned(),
            (None, Some(kept)) => kept.audience.clone(),
            (None, None) => profile
                .issuer
                .clone()
                .unwrap_or_else(|| endpoint.to_owned()),
        };
        let typ = self
            .jwt_typ
            .clone()
            .or(preset.map(|(.., typ)| typ.to_owned()));
        let certificate = self.jwt_cert.as_deref().map(absolute).transpose()?;
        Ok(Some(Assertion {
            // With a private key, the key itself has the last word: see `Plan::sign_with`.
            algorithm: self
                .jwt_alg
                .or(preset.map(|(algorithm, ..)| algorithm))
                .or(kept.and_then(|kept| kept.algorithm))
                .filter(|algorithm| algorithm.is_hmac() != profile.client_auth.has_key()),
            audience,
            typ: typ
                .or(kept.map(|kept| kept.typ.clone()))
                .unwrap_or_else(|| ASSERTION_TYPE.to_owned()),
            key_id: self
                .jwt_kid
                .clone()
                .or(kept.and_then(|kept| kept.key_id.clone())),
            certificate: certificate.or(kept.and_then(|kept| kept.certificate.clone())),
            claims: self.claims(kept),
        }))
    }

    /// The settings that depend on no other.
    fn plain_settings(self, profile: &mut Profile) -> Result<()> {
        replace_text(&mut profile.audience, self.audience);
        replace_text(&mut profile.scope, joined(&self.scope));
        replace_text(&mut profile.grant_type, self.grant_type);
        if !self.resource.is_empty() {
            let given = self.resource.into_iter();
            profile.resource = given.filter(|resource| !resource.is_empty()).collect();
        }
        if !self.bound_urls.is_empty() {
            let given = self.bound_urls.into_iter().filter_map(|url| url.0);
            profile.bindings = given.map(Binding::of).collect();
        }
        for (name, value) in self.param {
            if value.is_empty() {
                profile.parameters.remove(&name);
            } else {
                profile.parameters.insert(name, value);
            }
        }
        for (name, value) in self.header {
            profile.headers.set(&name, &value).map_err(Error::usage)?;
        }
        if let Some(OrNothing(endpoint)) = self.revocation_url {
            profile.revocation_endpoint = endpoint;
        }
        if let Some(path) = self.ca_file {
            profile.ca_file = (!is_empty(&path)).then(|| absolute(&path)).transpose()?;
        }
        let seconds =
            |duration: Option<Duration>| duration.map(|duration| Some(duration.as_secs()));
        replace(&mut profile.timeout_seconds, seconds(self.timeout));
        replace(&mut profile.default_ttl_seconds, seconds(self.default_ttl));
        replace(&mut profile.max_ttl_seconds, seconds(self.max_ttl));
        Ok(())
    }
}

/// A profile to be, and what is known of how its assertions may be signed.
pub(super) struct Plan {
    pub(super) profile: Profile,
    algorithm: Option<JwtAlgorithm>,
    /// What the server lists.
    algorithms: Vec<String>,
}

impl Plan {
    /// How assertions are signed is not settled yet.
    pub(super) fn needs_key(&self) -> bool {
        self.profile.client_auth == ClientAuth::PrivateKeyJwt
    }

    /// Settles how assertions are signed, now that the key is known.
    pub(super) fn sign_with(&mut self, credential: &Credential) -> Result<()> {
        use JwtAlgorithm::{HS256, HS384, HS512};
        let Some(assertion) = &mut self.profile.assertion else {
            return Ok(());
        };
        let key = match credential {
            Credential::Key { key, passphrase } => Some(Key::read(key, passphrase.as_ref())?),
            Credential::Secret(_) => None,
        };
        let fitting = key
            .as_ref()
            .map_or(&[HS256, HS384, HS512][..], Key::algorithms);
        let listed = self.algorithms.iter();
        let mut listed = listed.filter_map(|name| JwtAlgorithm::parse(name));
        let listed = listed.find(|algorithm| fitting.contains(algorithm));
        let kept = assertion.algorithm.filter(|kept| fitting.contains(kept));
        let only = match fitting {
            [only] => Some(*only),
            // With a secret, the shortest.
            [HS256, ..] => Some(HS256),
            _ => None,
        };
        let own = key.as_ref().and_then(Key::own_algorithm);
        let found = self.algorithm.or(kept).or(own).or(listed).or(only);
        let algorithm =
            found.ok_or_else(|| choose_among(fitting).hint("choose one with --jwt-alg"))?;
        if !fitting.contains(&algorithm) {
            let what = if key.is_some() {
                "the private key"
            } else {
                "a client secret"
            };
            let fault = format!("{what} cannot sign with {}", algorithm.as_str());
            return Err(Error::usage(fault));
        }
        assertion.algorithm = Some(algorithm);
        Ok(())
    }
}

fn find(name: &str) -> Result<&'static Provider> {
    PROVIDERS
        .iter()
        .find(|provider| provider.name == name)
        .ok_or_else(|| {
            Error::usage("there is no such preset")
                .hint("`hallpass login --provider help` lists them")
        })
}

/// Asks for what was not given; without a terminal, says which option would have given it.
fn ask(question: &str, option: &str) -> Result<String> {
    if prompt::can_ask() {
        prompt::ask(question)
    } else {
        Err(Error::usage(format!(
            "{option} is missing, and there is no terminal to ask at"
        ))
        .hint("a new login takes --token-url (or --issuer), --client-id, and one of --secret-stdin, --secret-file and --secret-command"))
    }
}

/// A repeatable option's values as one text; none if it was not given.
fn joined(values: &[String]) -> Option<String> {
    (!values.is_empty()).then(|| words(values))
}

fn replace<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// An empty text removes the setting: no parameter is ever sent empty.
fn replace_text(setting: &mut Option<String>, given: Option<String>) {
    if let Some(given) = given {
        *setting = Some(given).filter(|text| !text.is_empty());
    }
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn absolute(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path);
    absolute.map_err(|error| {
        Error::usage(format!("cannot use the path {}", path.display())).because(error)
    })
}
