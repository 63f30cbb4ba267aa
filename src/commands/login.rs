//! `hallpass login`: authenticates a client, then keeps its settings, its secret and the token it got.

mod credential;
mod derived;
mod dialogue;
mod edit;
mod explain;
mod given;
mod mcp;
mod options;
mod prepare;
mod proofs;
mod replace;
mod secret_headers;
mod share;
mod sign;
mod verify;
mod without_effect;

use super::proofs::note_bearer_only;
use super::transaction::{clean_up, commit};
use crate::cache::Cache;
use crate::error::{Error, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::platform::variables;
use crate::policy;
use crate::profile::headers::SecretHeaders;
use crate::profile::settings::presets;
use crate::profile::{Profile, ProfileName, SecretSource, Store};
use crate::profiles::{Editor, OWN_PROFILES, Profiles, cache_mode};
use crate::secrets::{self, keychain};
use crate::types::token::CachedToken;

pub(crate) use options::Args;
pub(crate) use prepare::Imported;
use prepare::Login;
use verify::Verified;

/// How often a login is verified again because another one changed the profile meanwhile.
const MOST_ROUNDS: usize = 5;

pub(crate) fn run(args: &Args) -> Result<String> {
    run_with(args, None)
}

/// Changes settings of a profile that exists: `hallpass profile edit`.
pub(crate) fn edit(mut args: Args) -> Result<String> {
    args.is_edit = true;
    run_with(&args, None)
}

/// Logs in with settings from a file, below those of the command line: `hallpass profile import`.
pub(crate) fn import(args: &Args, imported: Imported) -> Result<String> {
    run_with(args, Some(imported))
}

fn run_with(args: &Args, imported: Option<Imported>) -> Result<String> {
    if args.client_secret.is_some() {
        return Err(Error::usage(
            "hallpass does not accept a secret as an argument, because other processes can read it",
        )
        .hint("leave it out: `hallpass login` prompts for it, or reads it with --secret-stdin"));
    }
    if args.provider.as_deref() == Some("help") {
        return Ok(presets::list());
    }
    if args.lists_agent_keys() {
        return secrets::list_agent_keys(args.agent_socket.as_deref());
    }
    let directories = Directories::locate()?;
    let profiles = Profiles::own(&directories);
    policy::current()?.check_user_profiles(OWN_PROFILES)?;
    let mut login = Login::prepare(args, &profiles, imported)?;
    login.check_policy()?;
    login.check_existing()?;
    login.confirm_mcp_server()?;
    if args.is_edit && login.save_without_request()? {
        return Ok(String::new());
    }
    let mut verified = login.verify_credential()?;
    for _ in 0..MOST_ROUNDS {
        let editor = profiles.edit()?;
        // Another command may have bound a URL, or logged in, while this login waited.
        if login.merge_again(&mut verified)? {
            return finish(&directories, &editor, &login, &verified);
        }
        drop(editor);
        verified = login.verify(verified.input)?;
    }
    Err(
        Error::unavailable(format!("other logins keep changing profile {}", login.name))
            .hint("this login changed nothing; run it again"),
    )
}

/// Makes the login count, and says so.
fn finish(
    directories: &Directories,
    editor: &Editor<'_>,
    login: &Login<'_>,
    verified: &Verified,
) -> Result<String> {
    let (name, profile) = (&login.name, &verified.profile);
    let before = commit(editor, name, profile, &verified.input.stored(profile))?;
    // From here on the login counts, and what goes wrong is worth a warning.
    let cache = Cache::of(directories, name);
    if let Err(error) = cache.clear() {
        message::warning(&format!(
            "the previous cached tokens were not removed: {error}"
        ));
    } else if let Some(token) = &verified.token {
        let mode = cache_mode(profile);
        let stored = mode.and_then(|mode| cache.entry(&verified.request, mode).store(token));
        if let Err(error) = stored {
            message::warning(&format!("{error}; the token was not saved"));
        }
    }
    if let Some(nonce) = &verified.nonce {
        cache.store_nonce(profile.token_endpoint.origin(), nonce);
    }
    clean_up(editor, name, profile, &before);
    if login.args.is_edit {
        message::note(&format!("profile {name} was changed"));
        report_token(verified.token.as_ref());
    } else {
        report(name, profile, verified.token.as_ref());
    }
    note_bearer_only(name, profile);
    share::report(directories, name, verified);
    login.report_replaced(profile);
    variables::warn_about_unknown();
    Ok(String::new())
}

fn report(name: &ProfileName, profile: &Profile, token: Option<&CachedToken>) {
    let what = match (profile.client_auth.has_key(), &profile.encrypted_key) {
        (true, None) => "private key",
        (true, Some(_)) => "passphrase of the private key",
        (false, _) => "client secret",
    };
    let Some(source) = &profile.secret else {
        let identity = profile.identity.as_ref();
        let source = identity.map(|identity| identity.source.to_string());
        message::note(&format!(
            "logged in: profile {name}, client {}",
            profile.client()
        ));
        message::note(&format!(
            "each token request presents the identity from {}",
            source.unwrap_or_default()
        ));
        report_agent_key(profile);
        report_headers(profile);
        report_token(token);
        return;
    };
    let place = match source {
        SecretSource::Keychain { .. } => saved_in(Store::Keychain),
        SecretSource::Kernel { .. } => saved_in(Store::Kernel),
        SecretSource::File(path) => format!("stays in {}", path.display()),
        SecretSource::Credential(credential) => {
            format!("is read from the systemd credential {credential}")
        }
        SecretSource::Env(variable) => {
            format!("is read from the environment variable {variable}")
        }
        SecretSource::Command(_) | SecretSource::Shell(_) => {
            "is read from the output of the command".to_owned()
        }
        SecretSource::Agent(_) => "stays in the ssh-agent".to_owned(),
        SecretSource::SignCommand(_) => "is used by the sign command".to_owned(),
    };
    message::note(&format!(
        "logged in: profile {name}, client {}",
        profile.client()
    ));
    message::note(&format!("the {what} {place}"));
    if let Some(date) = profile.secret_expires {
        message::note(&format!("it expires on {}", date.with_days_left()));
    }
    report_agent_key(profile);
    report_headers(profile);
    report_token(token);
}

/// How often a person is asked.
fn report_agent_key(profile: &Profile) {
    if profile.proof_key().is_some() {
        message::note(
            "if the ssh-agent asks for each use of the key, it will ask at each token request and at each request to the API",
        );
    } else if profile.has_agent_key() {
        message::note(
            "if the ssh-agent asks for each use of the key, it will ask at each token request",
        );
    }
}

fn report_headers(profile: &Profile) {
    let Some(SecretHeaders { names, item }) = &profile.secret_headers else {
        return;
    };
    let place = saved_in(item.store);
    for name in names {
        message::note(&format!("the value of the header {name} {place}"));
    }
}

fn saved_in(store: Store) -> String {
    match store {
        Store::Keychain => format!("is saved in the keychain ({})", keychain::NAME),
        Store::Kernel => "is saved in the kernel keyring until this machine restarts".to_owned(),
    }
}

fn report_token(token: Option<&CachedToken>) {
    match token {
        Some(token) => message::note(&format!(
            "got a token, {}",
            token.validity(token.requested_at)
        )),
        None => message::note("not verified: no token was requested (--no-verify)"),
    }
}
