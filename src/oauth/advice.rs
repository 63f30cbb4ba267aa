//! Hints that name a command to run or a variable to set, for the profile with the failure.

use crate::profile::ProfileName;

/// How to change a setting: an option of a login, or a variable for the profile from the environment.
/// The name is None during a login, which can be repeated with the option.
pub(super) fn set(name: Option<&ProfileName>, option: &str, variable: &str) -> String {
    match name {
        Some(name) if name.is_from_environment() => format!("set {variable}"),
        Some(name) => format!("run `hallpass login {name} {option}`"),
        None => format!("add {option}"),
    }
}

/// How to trust certificates that changed after the login.
pub(super) fn log_in_again(name: Option<&ProfileName>) -> String {
    let name = name.map_or_else(String::new, |name| format!(" {name}"));
    format!("run `hallpass login{name}` again")
}
