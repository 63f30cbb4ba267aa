//! Identity tokens from files, variables and commands. They are read for each token request, and never
//! stored.

use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::message;
use crate::platform::Trust;
use crate::platform::disk::{self, Found};
use crate::profile::identity::IdentitySource;
use crate::types::digest::Digest;
use crate::types::identity_token::IdentityToken;

use super::command::Run;
use super::{WaitLimit, file, variable};

/// The longest file with an identity token, in bytes.
const LIMIT: u64 = 64 * 1024;

/// Variables that are different in each job of a CI service.
const JOB_VARIABLES: [&str; 12] = [
    // GitHub Actions
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "GITHUB_RUN_ID",
    "GITHUB_RUN_ATTEMPT",
    "GITHUB_JOB",
    // GitLab
    "CI_JOB_ID",
    // Azure Pipelines
    "SYSTEM_JOBID",
    "BUILD_BUILDID",
    // Jenkins
    "BUILD_TAG",
    "BUILDKITE_JOB_ID",
    "CIRCLE_WORKFLOW_JOB_ID",
    "BITBUCKET_STEP_UUID",
    "SEMAPHORE_JOB_ID",
];

/// Reads a token from any source but GitHub Actions.
///
/// # Errors
/// `NotFound` when there is none, `Locked` when it cannot be used.
pub(crate) fn read(source: &IdentitySource, wait: WaitLimit) -> Result<IdentityToken> {
    let (content, place) = match source {
        IdentitySource::File(path) => {
            let place = format!("the identity file {}", path.display());
            (from_file(path)?, place)
        }
        IdentitySource::Env(name) => {
            let content = variable::read(name).ok_or_else(|| {
                Error::not_found(format!("no identity: {name} is not set or is empty"))
                    .hint("set it for the process that runs hallpass")
            })?;
            (content, format!("the environment variable {name}"))
        }
        IdentitySource::Command(command) => {
            let run = Run {
                kind: "identity command",
                option: "--identity",
                input: None,
                limit: wait.limit()?,
            };
            (
                run.command_line(command)?,
                "the output of the identity command".to_owned(),
            )
        }
        IdentitySource::Github(_) => {
            return Err(Error::broken(
                "GitHub's identity tokens come over the network",
            ));
        }
    };
    message::step(|| format!("identity token: from {place}"));
    IdentityToken::parse(&content).ok_or_else(|| {
        if IdentityToken::has_parts(&content) {
            return Error::locked(format!("{place} has a JWT with unusable claims")).hint(
                "they must be a JSON object, in which iss and sub are texts and exp is a number",
            );
        }
        Error::locked(format!("{place} has no JWT"))
            .hint("an identity token is a JWT: three parts of base64url with dots between them")
    })
}

fn from_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let at = path.display();
    match disk::read(path, LIMIT, Trust::Identity) {
        Ok(Found::Content(content)) => Ok(Zeroizing::new(content)),
        Ok(Found::Nothing) => Err(Error::not_found(format!(
            "the identity file {at} does not exist"
        ))
        .hint("check the path, and the program that writes the file")),
        Ok(Found::Distrusted(reason)) => {
            Err(Error::locked(format!("the identity file {at} {reason}"))
                .hint("check the path, and that only the issuer's program can write the file"))
        }
        Err(error) => {
            Err(Error::locked(format!("cannot read the identity file {at}")).because(error))
        }
    }
}

/// Distinguishes the identities that one source gives: a token for one is never given to another.
///
/// No token is read from a file or a command for this: a cached access token must cost no more.
pub(crate) fn version(source: &IdentitySource) -> String {
    let content = match source {
        IdentitySource::File(path) => file::version(path),
        IdentitySource::Env(name) => variable::version(name),
        IdentitySource::Command(_) | IdentitySource::Github(_) => String::new(),
    };
    let job = JOB_VARIABLES.iter().map(|name| {
        let value = std::env::var_os(name).unwrap_or_default();
        value.into_encoded_bytes()
    });
    Digest::of("hallpass identity 1")
        .field(source.to_string())
        .field(content)
        .fields(job.collect::<Vec<_>>().iter())
        .hex()
}
