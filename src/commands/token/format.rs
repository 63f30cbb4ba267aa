//! How `hallpass token` prints a token.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;

use super::lines;
use crate::commands::obtain::Obtained;
use crate::error::{Error, Result};
use crate::message;
use crate::profile::binding::Binding;
use crate::profile::selected::SelectedProfile;
use crate::protocols::header;
use crate::types::secret::AccessToken;
use crate::types::token::Timestamp;

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
#[value(rename_all = "kebab-case")]
pub(super) enum Format {
    /// The token
    #[default]
    Raw,
    /// HTTP header: `Authorization: Bearer TOKEN`, or the header that `hallpass bind` sets
    Header,
    /// Value of the Authorization header: `Bearer TOKEN`
    Bearer,
    /// The header as JSON: `{"Authorization":"Bearer TOKEN"}`
    HeadersJson,
    /// The header as a line for `curl -K -`: `header = "Authorization: Bearer TOKEN"`
    Curl,
    /// Sets a variable in sh, bash, zsh or fish: `export HALLPASS_TOKEN='TOKEN'`
    Env,
    /// A line of a file of variables: `HALLPASS_TOKEN=TOKEN`
    Dotenv,
    /// Sets a variable in PowerShell: `$env:HALLPASS_TOKEN = 'TOKEN'`
    Powershell,
    /// A line of .netrc for the host of `--url`: `machine HOST login USER password TOKEN`
    Netrc,
    /// `version`, `access_token`, `token_type`, `expires_at`, `expires_in`, `scope`, and the API URLs that some servers return
    Json,
}

impl Format {
    /// Formats the token, without a line end. A variable is set by this name.
    ///
    /// # Errors
    /// `Usage` if the profile's URLs use different headers, and no URL was given, or if the format cannot
    /// hold the token.
    pub(super) fn write(
        self,
        obtained: &Obtained,
        selected: &SelectedProfile,
        variable: &str,
    ) -> Result<String> {
        let token = &obtained.token.access_token;
        let header = || {
            Ok(header(
                with_own_header(selected).map_err(without_url)?,
                token,
            ))
        };
        Ok(match self {
            Self::Raw => token.expose().to_owned(),
            Self::Header => header_line(selected, token).map_err(without_url)?,
            Self::Bearer => bearer(token),
            Self::Env => lines::posix(variable, token.expose()),
            Self::Dotenv => lines::dotenv(variable, token.expose())?,
            Self::Powershell => lines::powershell(variable, token.expose()),
            Self::Netrc => netrc(selected, token)?,
            Self::HeadersJson => {
                let (name, value) = header()?;
                json!({ name: value }).to_string()
            }
            Self::Curl => {
                let (name, value) = header()?;
                curl_line(name, &value)
            }
            Self::Json => {
                let json = serde_json::to_string(&Contract::of(obtained));
                message::visible_json(json.unwrap_or_default())
            }
        })
    }

    /// Whether it sets a variable.
    pub(super) fn has_variable(self) -> bool {
        matches!(self, Self::Env | Self::Dotenv | Self::Powershell)
    }

    /// Whether it is a line of a file, which ends with a line end.
    pub(super) fn is_line(self) -> bool {
        self.has_variable() || self == Self::Netrc
    }
}

/// A header for a file of curl's options.
pub(super) fn curl_line(name: &str, value: &str) -> String {
    let quoted = value.replace('\\', r"\\").replace('"', "\\\"");
    format!("header = \"{name}: {quoted}\"")
}

/// `Bearer TOKEN`.
pub(in crate::commands) fn bearer(token: &AccessToken) -> String {
    ["Bearer ", token.expose()].concat()
}

/// `Authorization: Bearer TOKEN`, or the header that the profile's URLs use.
///
/// # Errors
/// `Usage` if they use different headers, and no URL was given.
pub(in crate::commands) fn header_line(
    selected: &SelectedProfile,
    token: &AccessToken,
) -> Result<String> {
    let (name, value) = header(with_own_header(selected)?, token);
    Ok([name, ": ", &value].concat())
}

fn netrc(selected: &SelectedProfile, token: &AccessToken) -> Result<String> {
    let (Some(url), Some(binding)) = (&selected.url, &selected.binding) else {
        return Err(no_machine());
    };
    let (host, _) = url.host_and_port();
    // Its readers compare an IPv6 address without brackets.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    lines::netrc(host, binding.username(), token.expose())
}

/// The error for .netrc without a URL.
pub(super) fn no_machine() -> Error {
    Error::usage("--format netrc needs --url").hint("add --url https://HOST/")
}

fn without_url(error: Error) -> Error {
    error.hint("give the URL that the token is for: --url URL")
}

/// The binding that sets the header: that of the URL, or without a URL, the profile's only one that
/// sets any.
fn with_own_header(selected: &SelectedProfile) -> Result<Option<&Binding>> {
    if selected.url.is_some() {
        let binding = selected.binding.as_ref();
        return Ok(binding.filter(|binding| binding.header.is_some()));
    }
    let bindings = selected.profile.bindings.iter();
    let mut bindings = bindings.filter(|binding| binding.header.is_some());
    let first = bindings.next();
    if bindings.any(|other| first.is_some_and(|first| !other.presents_alike(first))) {
        let what = format!(
            "the URLs of profile {} use different headers",
            selected.name
        );
        return Err(Error::usage(what));
    }
    Ok(first)
}

/// The version of the output. Within it, members can be added, but never changed or removed.
pub(super) const VERSION: u8 = 1;

/// The JSON that hallpass-contract(5) and `schema/hallpass-token.schema.json` describe.
#[derive(Serialize)]
struct Contract<'a> {
    version: u8,
    access_token: &'a str,
    token_type: &'a str,
    expires_at: String,
    expires_in: u64,
    scope: Option<&'a str>,
    #[serde(flatten)]
    members: &'a BTreeMap<String, String>,
}

impl<'a> Contract<'a> {
    fn of(obtained: &'a Obtained) -> Self {
        let token = &obtained.token;
        Self {
            version: VERSION,
            access_token: token.access_token.expose(),
            token_type: &token.token_type,
            expires_at: token.expires_at.rfc3339(),
            expires_in: token.expires_at.since(Timestamp::now()).as_secs(),
            scope: obtained.scope(),
            members: &token.members,
        }
    }
}
