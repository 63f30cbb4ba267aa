//! What a login asks at the terminal. Each answer is checked at once, and only its question is repeated.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::derived;
use crate::error::{Error, Kind, Result};
use crate::oauth::{Metadata, discover};
use crate::platform::prompt;
use crate::profile::binding::BoundUrl;
use crate::profile::settings::presets::{PRESETS, Preset, PresetQuestion};
use crate::profile::settings::{self, Layers, Setting, Settings};
use crate::profile::{ProfileName, TokenEndpoint};
use crate::types::checked_text::{ClientId, Scope};

/// The authorization server that a person chose.
pub(super) enum Server {
    Preset(&'static Preset, Box<Settings>),
    /// One that no preset knows: its token endpoint, or its issuer and the metadata of that.
    Other(Box<Settings>, Option<Box<Metadata>>),
}

/// The presets to choose from. Those of federated identities need `--identity`, so they are for the
/// command line.
fn menu() -> impl Iterator<Item = &'static Preset> {
    PRESETS.iter().filter(|preset| !preset.presents_identity())
}

/// Asks which server, and for what only the user knows of it.
pub(super) fn ask_server(layers: &Layers) -> Result<Server> {
    check_terminal("--token-url")?;
    let choices = menu().map(|preset| preset.title);
    let mut text = "Which authorization server?\n".to_owned();
    for (index, title) in choices.chain(["another server"]).enumerate() {
        text.extend([format!("{:>4}  {title}\n", index + 1)]);
    }
    prompt::show(&text);
    let choice = prompt::ask_until("Number or name", choose)?;
    match choice {
        Choice::Preset(preset) => {
            let settings = derived::of_preset(preset, &layers.given, &mut BTreeMap::new())?;
            Ok(Server::Preset(preset, Box::new(settings)))
        }
        Choice::Other(Some(url)) => match identify(&url, layers) {
            Ok(server) => Ok(server),
            Err(fault) => {
                prompt::show(&format!("{fault}\n"));
                ask_other_server(layers)
            }
        },
        Choice::Other(None) => ask_other_server(layers),
    }
}

enum Choice {
    Preset(&'static Preset),
    /// With the URL, if the answer is one.
    Other(Option<String>),
}

/// A number of the menu, a preset's name, or the URL of another server.
fn choose(answer: &str) -> std::result::Result<Choice, String> {
    let lower = answer.to_ascii_lowercase();
    if answer.contains("://") {
        return Ok(Choice::Other(Some(answer.to_owned())));
    }
    if lower == "another" || lower == "another server" || lower == "other" {
        return Ok(Choice::Other(None));
    }
    let by_number = lower.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
    if by_number == Some(menu().count()) {
        return Ok(Choice::Other(None));
    }
    let by_number = by_number.and_then(|index| menu().nth(index));
    let has_name =
        |preset: &&Preset| preset.name == lower || preset.title.to_ascii_lowercase() == lower;
    let preset = by_number.or_else(|| PRESETS.iter().find(has_name));
    preset.map(Choice::Preset).ok_or_else(|| {
        let last = menu().count() + 1;
        format!("please enter a number from 1 to {last}, a name such as auth0, or a URL")
    })
}

fn ask_other_server(layers: &Layers) -> Result<Server> {
    prompt::ask_until("Issuer or token URL", |answer| identify(answer, layers))
}

/// Finds out whether a URL is an issuer, which has metadata, or a token endpoint.
fn identify(answer: &str, layers: &Layers) -> std::result::Result<Server, String> {
    let url = TokenEndpoint::parse(answer).map_err(|fault| format!("the URL {fault}"))?;
    let path = &url.as_str()[url.origin().len()..];
    let path = path.split('?').next().unwrap_or_default();
    let token_url = || {
        Server::Other(
            Box::new(Settings {
                token_endpoint: Setting::Set(url.clone()),
                ..Settings::default()
            }),
            None,
        )
    };
    let last = path.trim_end_matches('/').rsplit('/').next();
    if last.is_some_and(|last| last.contains("token")) || url.as_str().contains('?') {
        return Ok(token_url());
    }
    let ca_file = layers.find(|layer| &layer.ca_file).map(PathBuf::as_path);
    // Issuers are compared as they are written, and people leave out the last slash or add it.
    let other = answer
        .strip_suffix('/')
        .map_or_else(|| format!("{answer}/"), str::to_owned);
    let mut first_error = None;
    for issuer in [answer, &other] {
        match discover(issuer, ca_file, derived::timeout(layers)) {
            Ok(metadata) => {
                let answers = Settings {
                    issuer: Setting::Set(issuer.to_owned()),
                    ..Settings::default()
                };
                return Ok(Server::Other(Box::new(answers), Some(Box::new(metadata))));
            }
            Err(error) if error.kind == Kind::Refused && first_error.is_none() => {
                first_error = Some(error);
            }
            Err(error) => {
                let error = first_error.unwrap_or(error);
                return Err(format!(
                    "{error}; a token URL has a path that ends in /token"
                ));
            }
        }
    }
    Err(first_error.map_or_else(String::new, |error| error.to_string()))
}

/// Without a terminal, says which option would have been the answer.
fn check_terminal(option: &str) -> Result<()> {
    if prompt::can_ask() {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{option} is missing, and there is no terminal to ask at"
    ))
    .hint("a new login takes --token-url (or --issuer), --client-id, and one of --secret-stdin, --secret-file and --secret-command"))
}

pub(super) fn ask_preset_question(question: &PresetQuestion) -> Result<String> {
    if !prompt::can_ask() {
        let PresetQuestion { name, example, .. } = question;
        let fault = format!("--set {name}=... is missing, and there is no terminal to ask at");
        return Err(Error::usage(fault).hint(format!("add --set {name}={example}")));
    }
    let text = format!("{} (for example {})", question.label, question.example);
    prompt::ask_until(&text, |answer| {
        let answer = question.read(answer);
        answer.map_err(|fault| format!("this {fault}"))
    })
}

/// Asks for the client ID; an empty answer keeps the one that is there.
pub(super) fn ask_client_id(layers: &mut Layers, before: Option<&str>) -> Result<()> {
    check_terminal("--client-id")?;
    let question = match before {
        Some(before) => format!("Client ID [{before}]"),
        None => "Client ID".to_owned(),
    };
    let answer = prompt::ask_until(&question, |answer| {
        let answer = match before {
            Some(before) if answer.is_empty() => before,
            _ => answer,
        };
        ClientId::parse(answer).map_err(str::to_owned)
    })?;
    layers.answered.client_id = Setting::Set(answer);
    Ok(())
}

/// After a refusal, the client ID that was typed may be what is wrong.
pub(super) fn ask_client_id_again(layers: &mut Layers) -> Result<()> {
    match layers.answered.client_id.value().cloned() {
        Some(before) => ask_client_id(layers, Some(&before)),
        None => Ok(()),
    }
}

pub(super) fn ask_audience_and_scope(layers: &mut Layers) -> Result<()> {
    if layers.given.audience.is_unset() {
        let answer = prompt::ask("Audience (empty for none)")?;
        layers.answered.audience = Setting::text(Some(answer));
    }
    if layers.given.scope.is_unset() {
        let scope = prompt::ask_until("Scope (empty for none)", |answer| {
            Scope::join(&[answer.to_owned()]).map_err(str::to_owned)
        })?;
        layers.answered.scope = Setting::or_removed(scope);
    }
    Ok(())
}

/// Asks for the profile's name; an empty answer takes the suggestion, or a free name that is like it.
pub(super) fn ask_name(
    suggested: &str,
    is_free: impl Fn(&ProfileName) -> bool,
) -> Result<ProfileName> {
    let numbered = (2..100).map(|number| format!("{suggested}-{number}"));
    let names = [suggested.to_owned()].into_iter().chain(numbered);
    let mut names = names.filter_map(|name| ProfileName::parse(&name).ok());
    let suggested = names.find(|name| is_free(name));
    let question = match &suggested {
        Some(name) => format!("Profile name [{name}]"),
        None => "Profile name".to_owned(),
    };
    let parse = |answer: &str| -> Result<_> {
        let name = ProfileName::parse(answer)?;
        name.check_new().map(|()| name)
    };
    prompt::ask_until(&question, |answer| match (answer, &suggested) {
        ("", Some(name)) => Ok(name.clone()),
        _ => parse(answer).map_err(|error| {
            let hints = error.hints.join("; ");
            format!("{error}: {hints}")
        }),
    })
}

/// Offers to bind the audience if it is an https URL.
pub(super) fn propose_a_binding(layers: &mut Layers) -> Result<()> {
    let audience = layers.find(|layer| &layer.audience);
    let url = audience.and_then(|audience| BoundUrl::parse(audience).ok());
    let url = url.filter(|url| url.as_str().starts_with("https:"));
    let unbound = layers.given.bindings.is_unset() && prompt::can_ask();
    if let Some(url) = url.filter(|_| unbound) {
        let question = format!(
            "Let git, docker and other tools use this profile for {}?",
            url.as_str()
        );
        if prompt::confirm(&question, true)? {
            layers.answered.bindings = settings::bindings([url]);
        }
    }
    Ok(())
}
