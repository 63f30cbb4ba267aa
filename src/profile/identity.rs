//! An identity instead of a secret: a JWT that another party issued for this workload (a CI service,
//! a Kubernetes cluster, SPIFFE, a cloud), and where it goes in the token request.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::profile::external_key::CommandLine;
use crate::profile::token_request::CLIENT_CREDENTIALS;
use crate::types::checked_text::Resource;
use crate::types::choice::choice;

/// Where the identity token comes from, and what it is in the request.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) source: IdentitySource,
    #[serde(default, rename = "as")]
    pub(crate) role: IdentityRole,
    #[serde(default, skip_serializing_if = "AssertionType::is_default")]
    pub(crate) assertion_type: AssertionType,
    /// RFC 8693 §3, with `subject_token` only; `jwt` if it is not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject_token_type: Option<SubjectTokenType>,
}

/// Where an identity token is read, for each token request. hallpass never stores one.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IdentitySource {
    /// A file that other users cannot write; its issuer replaces it from time to time.
    File(PathBuf),
    /// An environment variable, by its name.
    Env(String),
    /// A command; its standard output is the token.
    Command(CommandLine),
    /// GitHub Actions, for this audience.
    Github(String),
}

impl IdentitySource {
    /// Whether another program is asked for the token.
    pub(crate) fn may_block(&self) -> bool {
        matches!(self, Self::Command(_))
    }
}

impl FromStr for IdentitySource {
    type Err = &'static str;

    /// `file:PATH`, `env:NAME`, `command:CMD` or `github:AUDIENCE`. A command that begins with `!` is
    /// for the shell.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str = "use file:PATH, env:NAME, command:CMD or github:AUDIENCE";
        let (kind, rest) = text.split_once(':').ok_or(FORMS)?;
        if rest.is_empty() || rest.contains(char::is_control) {
            return Err(match kind {
                "github" => "github: needs the audience that the server expects",
                _ => FORMS,
            });
        }
        match kind {
            "file" => Ok(Self::File(rest.into())),
            "env" if rest.contains(|c: char| c == '=' || c.is_whitespace()) => {
                Err("env: needs the name of a variable")
            }
            "env" => Ok(Self::Env(rest.to_owned())),
            "command" => CommandLine::parse(rest).map(Self::Command),
            "github" => Ok(Self::Github(rest.to_owned())),
            _ => Err(FORMS),
        }
    }
}

/// As it is written on the command line.
impl fmt::Display for IdentitySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Command(command) => write!(f, "command:{command}"),
            Self::Github(audience) => write!(f, "github:{audience}"),
        }
    }
}

choice! {
    /// What the identity token is in the token request.
    #[derive(Default)]
    pub(crate) enum IdentityRole {
        /// Client authentication (RFC 7523 §2.2).
        #[default]
        ClientAssertion = "client_assertion",
        /// The grant (RFC 7523 §2.1).
        Assertion = "assertion",
        /// The token to exchange (RFC 8693 §2.1).
        SubjectToken = "subject_token",
    }
}

impl IdentityRole {
    /// The grant type that goes with it, unless the profile has another one.
    pub(crate) fn grant_type(self) -> &'static str {
        match self {
            Self::ClientAssertion => CLIENT_CREDENTIALS,
            Self::Assertion => "urn:ietf:params:oauth:grant-type:jwt-bearer",
            Self::SubjectToken => "urn:ietf:params:oauth:grant-type:token-exchange",
        }
    }
}

choice! {
    /// The kind of client assertion that an identity token is.
    #[derive(Default)]
    pub(crate) enum AssertionType {
        /// RFC 7523 §2.2.
        #[default]
        JwtBearer = "jwt-bearer",
        /// draft-ietf-oauth-spiffe-client-auth.
        JwtSpiffe = "jwt-spiffe",
    }
}

impl AssertionType {
    /// The `client_assertion_type` as it is sent.
    pub(crate) fn urn(self) -> &'static str {
        match self {
            Self::JwtBearer => "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            Self::JwtSpiffe => "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
        }
    }

    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A token type identifier (RFC 8693 §3), as it is sent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SubjectTokenType(String);

impl SubjectTokenType {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SubjectTokenType {
    fn default() -> Self {
        Self("urn:ietf:params:oauth:token-type:jwt".to_owned())
    }
}

impl FromStr for SubjectTokenType {
    type Err = &'static str;

    /// A registered short name (`jwt`, `id_token`, `access_token`, `saml2`), or an absolute URI.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_short = ["jwt", "id_token", "access_token", "saml1", "saml2"].contains(&text);
        if is_short {
            return Ok(Self(format!("urn:ietf:params:oauth:token-type:{text}")));
        }
        if Resource::parse(text).is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err("use jwt, id_token, or a URI such as urn:ietf:params:oauth:token-type:jwt")
    }
}

impl TryFrom<String> for SubjectTokenType {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<SubjectTokenType> for String {
    fn from(value: SubjectTokenType) -> Self {
        value.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_written_as_it_was_given() {
        for text in [
            "file:/var/run/secrets/tokens/kc",
            "env:ID_TOKEN",
            "command:spire-agent api fetch jwt",
            "command:!spire-agent api fetch jwt | jq -r .token",
            "github:api://AzureADTokenExchange",
        ] {
            let source: IdentitySource = text.parse().expect(text);
            assert_eq!(source.to_string(), text);
        }
        for text in [
            "",
            "file",
            "file:",
            "github:",
            "env:A=B",
            "command:'a",
            "x:y",
            "/a/file",
        ] {
            assert!(text.parse::<IdentitySource>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_subject_token_type_may_be_short() {
        let parse = |text: &str| text.parse().map(|kind: SubjectTokenType| kind.0);
        let jwt = "urn:ietf:params:oauth:token-type:jwt";
        assert_eq!(parse("jwt").as_deref(), Ok(jwt));
        assert_eq!(parse(jwt).as_deref(), Ok(jwt));
        assert_eq!(SubjectTokenType::default().as_str(), jwt);
        assert!(parse("nonsense").is_err());
    }
}
