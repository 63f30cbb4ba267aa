//! The setting of Go, which only `go env -w` and `go env -u` change.

use std::path::Path;

use super::record::{self, Record};
use crate::error::{Error, Result};
use crate::message;
use crate::platform::program;

/// `setting` is `GOAUTH=VALUE`.
pub(super) fn write(setting: &str, home: &Path, record: &mut Record) -> Result<()> {
    let (_, value) = setting.split_once('=').unwrap_or_default();
    let current = env(home, &["GOAUTH"])?;
    let current = current.trim();
    if current == value {
        message::note("nothing to do: go already has this setting");
        return Ok(());
    }
    let recorded = record.content().go.take();
    let before = match recorded {
        Some(own) if own.value == current => own.before,
        // Go's default, which the user may have set as well.
        _ if ["", "netrc"].contains(&current) => own_setting(home)?,
        _ => {
            let command = value.trim_start_matches("netrc; ");
            return Err(Error::usage("GOAUTH has another value already")
                .hint(format!("add a semicolon and this to it: {command}")));
        }
    };
    record.content().go = Some(record::Go {
        value: value.to_owned(),
        before,
    });
    record.save()?;
    env(home, &["-w", setting])?;
    message::note("set GOAUTH (undo: hallpass setup go --undo)");
    Ok(())
}

/// A value that was set since then is the user's.
pub(super) fn undo(home: &Path, record: &mut Record) -> Result<bool> {
    let Some(record::Go { value, before }) = record.content().go.take() else {
        return Ok(false);
    };
    let current = env(home, &["GOAUTH"])?;
    if current.trim() != value {
        let command = value.trim_start_matches("netrc; ");
        if current.contains(command) {
            return Err(Error::usage("GOAUTH was changed since hallpass set it")
                .hint(format!("remove this from it, with `go env -w`: {command}")));
        }
        message::note("GOAUTH no longer has the value that hallpass set");
        return Ok(true);
    }
    match before {
        Some(before) => env(home, &["-w", &format!("GOAUTH={before}")])?,
        None => env(home, &["-u", "GOAUTH"])?,
    };
    message::note("removed the GOAUTH setting");
    Ok(true)
}

/// The value in Go's settings file: `go env` does not distinguish it from the default.
fn own_setting(home: &Path) -> Result<Option<String>> {
    let file = env(home, &["GOENV"])?;
    let settings = std::fs::read_to_string(file.trim()).unwrap_or_default();
    let mut values = settings
        .lines()
        .filter_map(|line| line.strip_prefix("GOAUTH="));
    Ok(values.next().map(str::to_owned))
}

/// Runs `go env` in a directory where no project can select a version of Go, which Go would download.
fn env(home: &Path, arguments: &[&str]) -> Result<String> {
    let not_found = || Error::usage("go is not in PATH").hint("install Go, or add it to the PATH");
    let mut go = program::command("go".as_ref()).map_err(|_| not_found())?;
    go.arg("env").args(arguments).current_dir(home);
    let output = go.env("GOTOOLCHAIN", "local").output();
    let output = output.map_err(|error| {
        Error::usage("cannot run go")
            .because(error)
            .hint("install Go, or add it to the PATH")
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stderr);
    let printed = message::clean(&printed, message::FOREIGN_TEXT_LIMIT);
    Err(Error::usage(format!("`go env` failed: {printed}")))
}
