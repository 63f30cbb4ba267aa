//! What a hint tells a person to run or to set, for the profile that a failure is about.

use crate::profile::ProfileName;

/// The way to another setting: an option of a login, or a variable where the environment describes
/// the profile. None is a login whose profile has no name yet.
pub(super) fn set(name: Option<&ProfileName>, option: &str, variable: &str) -> String {
    match name {
        Some(name) if name.is_of_environment() => format!("set {variable}"),
        Some(name) => format!("run `hallpass login {name} {option}`"),
        None => format!("add {option}"),
    }
}

/// The way to trust what has changed since the login.
pub(super) fn log_in_again(name: Option<&ProfileName>) -> String {
    let name = name.map_or_else(String::new, |name| format!(" {name}"));
    format!("run `hallpass login{name}` again")
}
