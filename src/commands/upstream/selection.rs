//! Which of the bound URLs is served.

use crate::error::{Error, Result};
use crate::profile::binding::{Binding, BoundUrl};
use crate::profile::selected::{SelectedProfile, longest};
use crate::types::shell;
use crate::types::web_url::WebUrl;

/// The URL that is served: the given one, or the only one. From now on, the token is for it.
///
/// # Errors
/// `NotFound` if the profile is not bound to the URL, `Usage` if none is given and there are several.
pub(in crate::commands) fn bind(
    selected: &mut SelectedProfile,
    given: Option<&BoundUrl>,
) -> Result<BoundUrl> {
    let name = selected.name.clone();
    let profile = &selected.profile;
    let web: Vec<_> = profile
        .bindings
        .iter()
        .filter(|binding| binding.url.is_web())
        .collect();
    let (binding, base): (&Binding, BoundUrl) = match (given, &web[..]) {
        (Some(url), _) => {
            let covering = longest(profile, |binding| binding.url.covers(url.as_url()));
            let binding = covering.ok_or_else(|| {
                let url = shell::word(url.as_str());
                Error::not_found(format!("profile {name} is not bound to this URL"))
                    .hint(format!("to allow it: hallpass bind {name} {url}"))
            })?;
            (binding, url.clone())
        }
        (None, [binding]) => (binding, binding.url.clone()),
        (None, []) => {
            return Err(
                Error::not_found(format!("profile {name} is not bound to any URL"))
                    .hint(format!("bind it first: hallpass bind {name} https://HOST/")),
            );
        }
        (None, several) => {
            let urls: Vec<_> = several.iter().map(|binding| binding.url.as_str()).collect();
            return Err(Error::usage(format!(
                "profile {name} is bound to several URLs: {}",
                urls.join(", ")
            ))
            .hint("choose one with --url URL"));
        }
    };
    let binding = binding.clone();
    selected.url = WebUrl::parse(base.as_str()).ok();
    selected.binding = Some(binding);
    Ok(base)
}
