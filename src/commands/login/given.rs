//! The command line's layer of settings.

use std::path::{Path, PathBuf};

use super::options::Args;
use crate::commands::{OrNothing, scope};
use crate::error::{Error, Result};
use crate::profile::external_key::{CommandLine, KeyReference, SignCommand};
use crate::profile::identity::IdentitySource;
use crate::profile::settings::{
    self, AssertionAudience, KeyPlace, NamedSettings, Setting, Settings,
};
use crate::profile::{ClientAuth, Profile, SecretSource, SourceKind, TokenEndpoint};
use crate::secrets;

impl Args {
    /// What was given, where `kept` is the profile that it is given for.
    ///
    /// # Errors
    /// `Usage` for contradictory options; `Locked` or `NotFound` for the key file.
    pub(super) fn settings(&self, kept: Option<&Profile>) -> Result<Settings> {
        let scope = (!self.scope.is_empty()).then(|| scope(&self.scope));
        let resource = (!self.resource.is_empty()).then(|| {
            let given = self
                .resource
                .iter()
                .filter_map(|resource| resource.0.clone());
            Some(given.collect::<Vec<_>>()).filter(|list| !list.is_empty())
        });
        let urls = self.bound_urls.iter().filter_map(|url| url.0.clone());
        let optional_path = |path: &PathBuf| {
            let given = Some(path).filter(|path| !path.as_os_str().is_empty());
            given.map(|path| absolute(path)).transpose()
        };
        let ca_file = self.ca_file.as_ref().map(optional_path).transpose()?;
        let certificate = self.cert.as_ref().map(optional_path).transpose()?;
        let key_is_the_certificates = self.key_belongs_to_a_certificate(kept);
        let certificate_key = self.key.as_ref().filter(|_| key_is_the_certificates);
        let certificate_key = certificate_key.map(|key| match key {
            KeyReference::File(path) => absolute(path).map(KeyReference::File),
            KeyReference::Agent(key) => Ok(KeyReference::Agent(key.clone())),
        });
        // These options are of no use with another method.
        let signs = self.signs().then_some(ClientAuth::PrivateKeyJwt);
        let agent_socket = self.agent_socket.as_ref().map(optional_path).transpose()?;
        Ok(Settings {
            token_endpoint: self.token_url.clone().into(),
            issuer: self.issuer.clone().into(),
            client_id: self.client_id.clone().into(),
            audience: Setting::text(self.audience.clone()),
            scope: scope
                .transpose()?
                .map_or(Setting::Unset, Setting::or_removed),
            resource: resource.map_or(Setting::Unset, Setting::or_removed),
            parameters: settings::named(&self.param),
            headers: self.plain_headers(),
            grant_type: Setting::text(self.grant_type.clone()),
            token_type: self.token_type.into(),
            client_auth: self.auth.or(signs).into(),
            body: self.body.into(),
            basic_encoding: self.basic_encoding.into(),
            key: self.key_place(key_is_the_certificates)?.into(),
            agent_socket: agent_socket.map_or(Setting::Unset, Setting::or_removed),
            identity: self
                .identity
                .clone()
                .map(absolute_source)
                .transpose()?
                .into(),
            identity_role: self.identity_as.into(),
            assertion_type: self.assertion_type.into(),
            subject_token_type: self.subject_token_type.clone().into(),
            jwt_algorithm: self.jwt_alg.into(),
            jwt_audience: self.jwt_aud.as_deref().map(AssertionAudience::parse).into(),
            jwt_type: self.jwt_typ.clone().into(),
            jwt_key_id: self.jwt_kid.clone().into(),
            jwt_certificate: self.jwt_cert.as_deref().map(absolute).transpose()?.into(),
            jwt_headers: match self.jwt_header.as_slice() {
                [] => Setting::Unset,
                given => {
                    let headers: Vec<_> = given.iter().filter_map(|header| header.0).collect();
                    Setting::or_removed(Some(headers).filter(|list| !list.is_empty()))
                }
            },
            jwt_claims: settings::named(&self.jwt_claim),
            certificate: certificate.map_or(Setting::Unset, Setting::or_removed),
            certificate_key: certificate_key.transpose()?.into(),
            dpop: match (self.no_dpop, self.dpop, &self.dpop_key) {
                (true, ..) => Setting::Removed,
                (_, true, _) | (.., Some(OrNothing(Some(_)))) => Setting::Set(()),
                _ => Setting::Unset,
            },
            dpop_key: match &self.dpop_key {
                None => Setting::Unset,
                Some(given) => Setting::or_removed(given.0.clone()),
            },
            tls_max: self.tls_max.into(),
            bindings: match self.bound_urls.as_slice() {
                [] => Setting::Unset,
                _ => settings::bindings(urls),
            },
            revocation_endpoint: match &self.revocation_url {
                None => Setting::Unset,
                Some(given) => Setting::or_removed(given.0.clone()),
            },
            // Only the metadata has it.
            introspection_endpoint: Setting::Unset,
            ca_file: ca_file.map_or(Setting::Unset, Setting::or_removed),
            timeout_seconds: self.timeout.into(),
            default_ttl_seconds: self.default_ttl.into(),
            max_ttl_seconds: self.max_ttl.into(),
            cache: self.cache.into(),
            secret: self
                .secret_source(kept.and_then(|kept| kept.secret.as_ref()))?
                .into(),
            secret_expires: match &self.secret_expires {
                None => Setting::Unset,
                Some(given) => Setting::or_removed(given.0),
            },
            share: self.share(kept.and_then(|kept| kept.share.as_deref()))?,
        })
    }

    /// The headers whose values are settings: a header has one value only, so that of a secret header
    /// goes.
    fn plain_headers(&self) -> NamedSettings {
        let mut headers = settings::named(&self.header);
        for (name, _) in &self.header_secret {
            headers.insert(name.clone(), Setting::Removed);
        }
        headers
    }

    /// Whether `--key` is the private key of a certificate that is presented beside another method.
    fn key_belongs_to_a_certificate(&self, kept: Option<&Profile>) -> bool {
        let has_certificate = match &self.cert {
            Some(path) => !path.as_os_str().is_empty(),
            None => kept.is_some_and(|kept| kept.certificate_key.is_some()),
        };
        let is_tls = match self.auth {
            Some(auth) => auth.is_tls(),
            None => !self.signs() && self.cert.is_some(),
        };
        has_certificate && !is_tls
    }

    /// With a private key of its own only, either option names it.
    fn key_place(&self, key_is_the_certificates: bool) -> Result<Option<KeyPlace>> {
        if let (Some(command), Some(public_file)) = (&self.jwt_sign_command, &self.jwt_public) {
            return Ok(Some(KeyPlace::SignCommand(SignCommand {
                command: with_absolute_program(command.clone())?,
                public_file: absolute(public_file)?,
                public_key: None,
            })));
        }
        let key = self.key.as_ref().filter(|_| !key_is_the_certificates);
        let path = match self.jwt_key.as_ref().or(key) {
            Some(KeyReference::Agent(key)) => return Ok(Some(KeyPlace::Agent(key.clone()))),
            Some(KeyReference::File(path)) => absolute(path)?,
            None => return Ok(self.key_stdin.then_some(KeyPlace::Secret)),
        };
        Ok(Some(if secrets::read_key_file(&path)?.is_encrypted() {
            KeyPlace::EncryptedFile(path)
        } else {
            KeyPlace::File(path)
        }))
    }

    /// The key that signs assertions is given, other than on standard input.
    pub(super) fn signs(&self) -> bool {
        self.jwt_key.is_some() || self.jwt_sign_command.is_some()
    }

    /// The servers of an imported profile that the command line does not confirm: the options that would, and
    /// their values.
    pub(crate) fn unnamed_servers(&self, imported: &Profile) -> Vec<(&'static str, String)> {
        let endpoint = self.token_url.as_ref().unwrap_or(&imported.token_endpoint);
        let is_near = |url: &str| {
            TokenEndpoint::parse(url).is_ok_and(|other| other.origin() == endpoint.origin())
        };
        let mut unnamed = Vec::new();
        if self.token_url.is_none() {
            unnamed.push(("--token-url", endpoint.as_str().to_owned()));
        }
        let issuer = imported.issuer.as_deref().filter(|url| !is_near(url));
        if let (None, Some(url)) = (&self.issuer, issuer) {
            unnamed.push(("--issuer", url.to_owned()));
        }
        let revocation = imported
            .revocation_endpoint
            .as_ref()
            .map(TokenEndpoint::as_str);
        let revocation = revocation.filter(|url| !is_near(url));
        if let (None, Some(url)) = (&self.revocation_url, revocation) {
            unnamed.push(("--revocation-url", url.to_owned()));
        }
        unnamed
    }

    /// The place of a secret is given.
    pub(super) fn gives_secret(&self) -> bool {
        self.secret_stdin
            || self.secret_file.is_some()
            || self.secret_command.is_some()
            || self.secret_env.is_some()
            || self.secret_credential.is_some()
    }

    /// Whether only the keys of an ssh-agent are to be listed: one is given without a name.
    pub(super) fn lists_agent_keys(&self) -> bool {
        let mut keys = [&self.jwt_key, &self.key].into_iter().flatten();
        keys.any(|key| matches!(key, KeyReference::Agent(key) if key.name.is_empty()))
            || matches!(&self.dpop_key, Some(OrNothing(Some(key))) if key.name.is_empty())
    }

    /// Whether the secret that is there stays, perhaps in another store of hallpass.
    pub(super) fn moves(&self) -> bool {
        let to_us = self.store.and_then(SourceKind::store).is_some();
        let has_new = self.secret_stdin
            || self.key_stdin
            || self.signs()
            || self.key.is_some()
            || (self.is_edit && self.gives_secret());
        (to_us || self.is_edit) && !has_new
    }

    /// Where the secret is to be, if anything was said about it. A new secret goes to the store that
    /// had the old one.
    fn secret_source(&self, kept: Option<&SecretSource>) -> Result<Option<SecretSource>> {
        let place = if let Some(path) = &self.secret_file {
            Some(SecretSource::File(absolute(path)?))
        } else if let Some(name) = &self.secret_credential {
            Some(SecretSource::Credential(name.clone()))
        } else if let Some(variable) = &self.secret_env {
            Some(SecretSource::Env(variable.clone()))
        } else {
            let command = self.secret_command.clone();
            let command = command.map(with_absolute_program).transpose()?;
            command.map(|command| match command {
                CommandLine::Words(words) => SecretSource::Command(words),
                CommandLine::Shell(line) => SecretSource::Shell(line),
            })
        };
        if let Some(kind) = self.store {
            match (kind.store(), &place) {
                (Some(store), None) => return Ok(Some(SecretSource::new_item(store))),
                (Some(_), Some(place)) => {
                    let (store, option) = (kind.as_str(), place.kind().as_str());
                    let fault = format!("--store {store} conflicts with --secret-{option}");
                    return Err(Error::usage(fault));
                }
                (None, place) if place.as_ref().map(SecretSource::kind) != Some(kind) => {
                    let (store, option) = (kind.as_str(), place_option(kind));
                    return Err(Error::usage(format!("--store {store} needs {option}")));
                }
                (None, _) => {}
            }
        }
        if self.secret_stdin || self.key_stdin {
            let store = kept.and_then(SecretSource::item).map(|item| item.store);
            return Ok(Some(SecretSource::new_item(store.unwrap_or_default())));
        }
        Ok(place)
    }
}

/// The option that gives the place of a secret, with its value.
fn place_option(kind: SourceKind) -> String {
    match kind {
        SourceKind::Agent => return "--jwt-key agent:KEY".to_owned(),
        SourceKind::SignCommand => return "--jwt-sign-command COMMAND".to_owned(),
        _ => {}
    }
    let value = match kind {
        SourceKind::File => "FILE",
        SourceKind::Command => "COMMAND",
        _ => "NAME",
    };
    format!("--secret-{} {value}", kind.as_str())
}

/// A program that is named by a path is the same one from every directory; a plain name is looked up
/// in `PATH`.
pub(super) fn with_absolute_program(command: CommandLine) -> Result<CommandLine> {
    let CommandLine::Words(mut words) = command else {
        return Ok(command);
    };
    if let Some(program) = words.first_mut()
        && program.contains(std::path::is_separator)
    {
        let path = absolute(Path::new(program))?;
        let path = path.into_os_string().into_string();
        *program = path.map_err(|_| Error::usage("the command's path is not UTF-8 text"))?;
    }
    Ok(CommandLine::Words(words))
}

/// A file or a program that is named by a path is the same one from every directory.
fn absolute_source(source: IdentitySource) -> Result<IdentitySource> {
    Ok(match source {
        IdentitySource::File(path) => IdentitySource::File(absolute(&path)?),
        IdentitySource::Command(command) => {
            IdentitySource::Command(with_absolute_program(command)?)
        }
        source => source,
    })
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path);
    absolute.map_err(|error| {
        Error::usage(format!("cannot use the path {}", path.display())).because(error)
    })
}
