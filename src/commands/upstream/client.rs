//! The connections to the server that the requests go to.

use crate::error::Result;
use crate::oauth::Upstream;
use crate::profile::selected::SelectedProfile;
use crate::secrets::{self, WaitLimit};
use crate::types::web_url::WebUrl;

/// With the profile's client certificate, if it has one and the server asks for it.
///
/// # Errors
/// The certificates, their key or the proxy cannot be used.
pub(in crate::commands) fn of(url: &WebUrl, selected: &SelectedProfile) -> Result<Upstream> {
    let SelectedProfile { name, profile, .. } = selected;
    if profile.certificate.is_none() || !url.is_https() {
        return Upstream::to(url, selected, None, None);
    }
    let authenticates = profile.client_auth.is_tls();
    let credential = || secrets::read(name, profile, WaitLimit::Program);
    let credential = authenticates.then(credential).transpose()?;
    let key = secrets::certificate_key(name, profile, WaitLimit::Program)?;
    Upstream::to(url, selected, credential.as_ref(), key.as_ref())
}
