//! kubectl and other clients of Kubernetes: an `ExecCredential` (client.authentication.k8s.io).
//!
//! With `provideClusterInfo: true` the request has the cluster's URL, which must be bound. Without it
//! the request does not say where the token goes, and the kubeconfig must select the profile.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Answer, Call, Protocol};
use crate::error::{Error, Result};
use crate::types::shell;
use crate::types::web_url::WebUrl;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "kubectl-credential",
    link: Some("kubectl-credential-hallpass"),
    about: "kubectl: an exec credential plugin (users[].user.exec)",
    run,
};

const VERSIONS: [&str; 2] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
];

#[derive(Deserialize)]
struct ExecInfo<'a> {
    #[serde(borrow, rename = "apiVersion")]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    spec: Spec<'a>,
}

#[derive(Default, Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    cluster: Option<Cluster<'a>>,
}

#[derive(Deserialize)]
struct Cluster<'a> {
    #[serde(borrow)]
    server: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential<'a> {
    api_version: &'a str,
    kind: &'static str,
    status: Status<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    expiration_timestamp: String,
    token: &'a str,
}

fn run(call: &mut Call<'_>) -> Result<Answer> {
    let variable = "KUBERNETES_EXEC_INFO";
    let info = (call.variable)(variable).ok_or_else(|| {
        Error::usage(format!("{variable} is not set")).hint(
            "kubectl sets it when it runs `hallpass kubectl-credential` from the kubeconfig (users[].user.exec)",
        )
    })?;
    let info: ExecInfo<'_> = serde_json::from_str(&info)
        .map_err(|_| Error::usage(format!("{variable} is not an ExecCredential")))?;
    if !VERSIONS.contains(&info.api_version.as_ref()) {
        return Err(Error::usage("unknown apiVersion of an ExecCredential")
            .hint(format!("use apiVersion: {} in the kubeconfig", VERSIONS[0])));
    }
    let mut selected = match &info.spec.cluster {
        Some(cluster) => {
            let url = WebUrl::parse(&cluster.server);
            let url = url.map_err(|fault| Error::usage(format!("the cluster's URL {fault}")))?;
            call.provider.bound_to(&url)?.ok_or_else(|| {
                Error::not_found("no profile is bound to this cluster").hint(format!(
                    "to allow it: hallpass bind PROFILE {}",
                    shell::word(url.origin())
                ))
            })?
        }
        None => call.provider.selected()?,
    };
    let token = call.provider.token(&mut selected, None)?;
    Ok(Answer::line(&ExecCredential {
        api_version: &info.api_version,
        kind: "ExecCredential",
        status: Status {
            expiration_timestamp: token.refresh_at().rfc3339(),
            token: token.access_token.expose(),
        },
    }))
}
