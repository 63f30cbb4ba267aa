//! Which profile a call is for.

use super::directory_file::{self, Selected};
use super::environment::client_id_is_set;
use super::{Profiles, from_environment, list};
use crate::error::{Error, Result};
use crate::message;
use crate::profile::ProfileName;
use crate::profile::selected::SelectedProfile;

impl Profiles {
    /// The profile that was named, else the one in `HALLPASS_PROFILE`, else the default one, else the only
    /// one there is.
    ///
    /// # Errors
    /// `Usage` when the choice is not clear, `NotFound` when there is no profile at all.
    pub(crate) fn choose(&self, named: Option<&str>) -> Result<ProfileName> {
        match name_chosen(named)? {
            Some(name) => Ok(name),
            None => self.choose_without_name(),
        }
    }

    fn choose_without_name(&self) -> Result<ProfileName> {
        match self.names()?.as_slice() {
            [] => Err(no_profile()?),
            [only] => {
                message::step(|| format!("profile: {only}, the only one"));
                Ok(only.clone())
            }
            several => match self.default_name()? {
                Some(name) => {
                    message::step(|| format!("profile: {name}, the default"));
                    Ok(name)
                }
                None => Err(Error::usage(format!(
                    "more than one profile exists: {}",
                    list(several)
                ))
                .hint("name one as the argument, set HALLPASS_PROFILE, or set a default: hallpass profile use NAME")),
            },
        }
    }

    /// The profile that was named, else the one that the environment describes, else the one that a
    /// `.hallpass.toml` selects, else the one that [`Profiles::choose`] chooses. For commands that get tokens.
    ///
    /// # Errors
    /// `Usage` when the environment both names a profile and describes one, and what
    /// [`Profiles::choose`] and [`Profiles::load`] say.
    pub(crate) fn find(&self, named: Option<&str>) -> Result<SelectedProfile> {
        if named.is_none()
            && let Some(found) = from_environment()?
        {
            message::step(|| "profile: from HALLPASS_TOKEN_URL and other variables".to_owned());
            return match name_given(None)? {
                None => Ok(found),
                Some(_) => Err(Error::usage(
                    "HALLPASS_PROFILE and HALLPASS_TOKEN_URL are both set",
                )
                .hint("unset one of them, or name a profile as the argument")),
            };
        }
        let name = match name_chosen(named)? {
            Some(name) => name,
            None => match directory_file::selected()? {
                Some(selected) => return self.find_selected(selected),
                None => self.choose_without_name()?,
            },
        };
        Ok(SelectedProfile {
            profile: self.load(&name)?,
            name,
            binding: None,
            url: None,
        })
    }

    /// The profile that a `.hallpass.toml` selects.
    fn find_selected(&self, Selected { name, file }: Selected) -> Result<SelectedProfile> {
        let file = file.display();
        message::step(|| format!("profile: {name}, from {file}"));
        let profile = self.load(&name).map_err(|error| {
            error.hint(format!(
                "{file} selects it; to use another one, name it as the argument"
            ))
        })?;
        Ok(SelectedProfile {
            profile,
            name,
            binding: None,
            url: None,
        })
    }
}

/// What is missing where no profile is stored and none was named.
fn no_profile() -> Result<Error> {
    Ok(if client_id_is_set()? {
        Error::usage("HALLPASS_CLIENT_ID is set but HALLPASS_TOKEN_URL is not")
            .hint("set HALLPASS_TOKEN_URL, or run `hallpass login` to store a profile")
    } else {
        Error::not_found("no profiles yet").hint("run `hallpass login` to create one")
    })
}

/// The argument, else the environment's; an empty variable is none.
pub(crate) fn name_given(named: Option<&str>) -> Result<Option<ProfileName>> {
    if let Some(name) = named {
        return ProfileName::parse(name).map(Some);
    }
    match std::env::var("HALLPASS_PROFILE") {
        Ok(name) if !name.is_empty() => ProfileName::parse(&name).map(Some).map_err(|mut error| {
            "invalid profile name in HALLPASS_PROFILE".clone_into(&mut error.message);
            error
        }),
        Err(std::env::VarError::NotUnicode(_)) => {
            Err(Error::usage("invalid profile name in HALLPASS_PROFILE"))
        }
        _ => Ok(None),
    }
}

/// As [`name_given`], with a step that says where the name comes from.
fn name_chosen(named: Option<&str>) -> Result<Option<ProfileName>> {
    let name = name_given(named)?;
    if let Some(name) = &name {
        message::step(|| match named {
            Some(_) => format!("profile: {name}, the argument"),
            None => format!("profile: {name}, from HALLPASS_PROFILE"),
        });
    }
    Ok(name)
}
