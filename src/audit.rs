//! The record of token requests: one line of JSON for each, in a file, in syslog or in the journal.
//!
//! The policy of the machine or the variable `HALLPASS_AUDIT` says where. A cached token is no request, but a
//! token that another machine requested is recorded when this machine gets it: the record says which machine
//! had which token. No line has a token or a secret.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::message;
use crate::platform::{self, record};
use crate::policy;
use crate::profile::token_request::TokenRequest;
use crate::profile::{Profile, ProfileName};
use crate::types::audit_target::AuditTarget;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

const VARIABLE: &str = "HALLPASS_AUDIT";

/// The longest line, in bytes: what other processes write at the same time cannot get into one write of
/// this size.
const LINE_LIMIT: usize = 4096;

/// The longest value, in characters, of a line that is short enough.
const VALUE_LIMIT: usize = 512;

/// What is recorded.
#[derive(Clone, Copy)]
enum Event<'a> {
    Request(&'a std::result::Result<CachedToken, TokenFailure>),
    /// A token of the shared cache.
    Received(&'a CachedToken),
}

impl<'a> Event<'a> {
    fn outcome(self) -> &'static str {
        match self {
            Self::Request(Ok(_)) => "issued",
            Self::Request(Err(failure)) if failure.is_from_server() => "refused",
            Self::Request(Err(_)) => "failed",
            Self::Received(_) => "received",
        }
    }

    fn token(self) -> Option<&'a CachedToken> {
        match self {
            Self::Request(outcome) => outcome.as_ref().ok(),
            Self::Received(token) => Some(token),
        }
    }
}

/// Where requests are recorded, if they are.
pub(crate) struct Audit(Option<Open>);

struct Open {
    target: AuditTarget,
    write: record::Write,
    /// Whether there is no token without a record.
    is_required: bool,
}

impl Audit {
    /// Opens the record before a request, so that none is sent that could not be recorded.
    ///
    /// # Errors
    /// `Broken` if the policy requires a record that cannot be written, `Usage` if the variable names no
    /// place.
    pub(crate) fn open() -> Result<Self> {
        let policy = policy::current()?;
        let (target, is_required) = match policy.audit() {
            Some(target) => (target.clone(), true),
            None => match chosen()? {
                Some(target) => (target, false),
                None => return Ok(Self(None)),
            },
        };
        let opened = match &target {
            AuditTarget::Syslog => record::open_socket(Path::new(record::SYSLOG)),
            AuditTarget::Journald => record::open_socket(Path::new(record::JOURNAL)),
            AuditTarget::File(path) => record::open_file(path),
        };
        match opened {
            Ok(write) => Ok(Self(Some(Open {
                target,
                write,
                is_required,
            }))),
            Err(error) => failed(&target, is_required, error).map(|()| Self(None)),
        }
    }

    /// Records a request and what came of it.
    ///
    /// # Errors
    /// `Broken` if the policy requires it and it cannot be written: then the token must not be given.
    pub(crate) fn record(
        &self,
        name: Option<&ProfileName>,
        profile: &Profile,
        request: &TokenRequest,
        outcome: &std::result::Result<CachedToken, TokenFailure>,
    ) -> Result<()> {
        self.write(name, profile, request, Event::Request(outcome))
    }

    fn write(
        &self,
        name: Option<&ProfileName>,
        profile: &Profile,
        request: &TokenRequest,
        event: Event<'_>,
    ) -> Result<()> {
        let Some(open) = &self.0 else {
            return Ok(());
        };
        let line = line(&|limit| values(name, profile, request, event, limit));
        let process = std::process::id();
        let datagram = match open.target {
            AuditTarget::File(_) => line + "\n",
            // Facility authpriv, severity informational (RFC 3164): 10 * 8 + 6. The time is in the line.
            AuditTarget::Syslog => format!("<86>hallpass[{process}]: {line}"),
            // Native Journal Protocol of systemd.
            AuditTarget::Journald => {
                format!(
                    "MESSAGE={line}\nPRIORITY=6\nSYSLOG_IDENTIFIER=hallpass\nSYSLOG_FACILITY=10\n"
                )
            }
        };
        (open.write)(datagram.as_bytes())
            .or_else(|error| failed(&open.target, open.is_required, error))
    }
}

/// Records that this machine got a token of the shared cache.
///
/// # Errors
/// As [`Audit::open`] and [`Audit::record`].
pub(crate) fn record_received(
    name: &ProfileName,
    profile: &Profile,
    request: &TokenRequest,
    token: &CachedToken,
) -> Result<()> {
    let audit = Audit::open()?;
    audit.write(Some(name), profile, request, Event::Received(token))
}

/// What the user chose.
fn chosen() -> Result<Option<AuditTarget>> {
    let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let target = value
        .into_string()
        .map_err(|_| "is not UTF-8 text".to_owned());
    let target = target.and_then(AuditTarget::try_from);
    target
        .map(Some)
        .map_err(|fault| Error::usage(format!("{VARIABLE} {fault}")))
}

/// The record cannot be written: an error if the policy requires it, else a warning.
fn failed(target: &AuditTarget, is_required: bool, error: std::io::Error) -> Result<()> {
    let error = Error::broken(format!("cannot write the audit log {target}")).because(error);
    if is_required {
        return Err(error
            .hint("the policy of this machine requires it; only the administrator can repair it"));
    }
    message::warning(&error.to_string());
    Ok(())
}

/// The line, with shorter values where it would be too long.
fn line(values: &dyn Fn(usize) -> Value) -> String {
    let mut limit = VALUE_LIMIT;
    loop {
        let line = values(limit).to_string();
        if line.len() < LINE_LIMIT || limit == 0 {
            return line;
        }
        limit /= 2;
    }
}

fn values(
    name: Option<&ProfileName>,
    profile: &Profile,
    request: &TokenRequest,
    event: Event<'_>,
    limit: usize,
) -> Value {
    let cut = |text: &str| message::clean(text, limit);
    let parameter = |name: &str| {
        let mut parameters = request.parameters.iter();
        let found = parameters.find(|(parameter, _)| parameter == name);
        found.map(|(_, value)| cut(value))
    };
    let caller = platform::caller();
    json!({
        "time": Timestamp::now().rfc3339(),
        "outcome": event.outcome(),
        "profile": name.map(|name| cut(name.as_str())),
        "token_endpoint": cut(profile.token_endpoint.url().without_query().as_str()),
        "client_id": cut(profile.client_id()),
        "scope": parameter("scope"),
        "audience": parameter("audience"),
        "token": event.token().map(|token| token.access_token.fingerprint()),
        "user": cut(&caller.user),
        "program": caller.program.as_deref().map(cut),
        "pid": caller.process,
    })
}
