//! Renews files when they are due, and reports what changes.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::after::AfterChange;
use super::file::SharedFile;
use super::schedule::{Schedule, WATCH};
use super::state::States;
use crate::commands::obtain::{self, Obtained, TokenOptions, missing_scope, obtain};
use crate::commands::template::{Template, Values};
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform::disk::{self, Directories};
use crate::platform::{Alarm, StopSignals, Woken, is_reload, notify};
use crate::policy;
use crate::profile::selected::SelectedProfile;
use crate::profiles::Profiles;
use crate::types::duration::in_words;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

/// Locked while a file is replaced, and from the end of the program on.
static WRITING: Mutex<()> = Mutex::new(());

/// A file, and what is known about it.
pub(super) struct TokenFile {
    file: SharedFile,
    profile: Option<String>,
    schedule: Schedule,
    /// The message of the last attempt, if it failed: each is shown once.
    last_error: Option<String>,
}

impl TokenFile {
    pub(super) fn new(file: SharedFile, profile: Option<String>, min_ttl: Duration) -> Self {
        Self {
            file,
            profile,
            schedule: Schedule::new(min_ttl),
            last_error: None,
        }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.file.path()
    }
}

/// A renewal that left a valid token in the file.
struct Renewal {
    /// Why the token is still the old one, if it should have been renewed.
    failure: Option<TokenFailure>,
    /// How the command after the change ended.
    command: Result<()>,
}

/// What all files have in common.
pub(super) struct Keeper {
    pub(super) directories: Directories,
    pub(super) min_ttl: Duration,
    pub(super) template: Option<Template>,
    pub(super) exec: Option<AfterChange>,
}

impl Keeper {
    /// Writes each file that needs it.
    ///
    /// # Errors
    /// The first one. The other files are written nevertheless.
    pub(super) fn write_once(&self, files: &mut [TokenFile]) -> Result<String> {
        let mut first = Ok(());
        for file in files {
            let result = self.renew(file).and_then(|renewal| {
                if let Some(failure) = &renewal.failure {
                    let message = failure.message();
                    message::warning(&format!("cannot renew the token: {message}"));
                }
                renewal.command
            });
            match result {
                Err(error) if first.is_err() => message::error(&error),
                result => first = first.and(result),
            }
        }
        first.map(|()| String::new())
    }

    /// Keeps the files until a signal ends the program. Each has its own thread, so that a server that does
    /// not respond delays no other file.
    pub(super) fn run(self, files: Vec<TokenFile>, remove: bool) -> Result<String> {
        let broken = |error| Error::broken("cannot wait for signals").because(error);
        let mut signals = StopSignals::catch().map_err(broken)?;
        let keeper = Arc::new(self);
        let states = Arc::new(States::of(files.len()));
        let paths: Vec<_> = files.iter().map(|file| file.path().to_owned()).collect();
        let mut alarms = Vec::new();
        for (number, file) in files.into_iter().enumerate() {
            let alarm = Arc::new(Alarm::new().map_err(broken)?);
            alarms.push(Arc::clone(&alarm));
            let (keeper, states) = (Arc::clone(&keeper), Arc::clone(&states));
            let work = move || keeper.work(file, &alarm, |failed| states.set(number, failed));
            thread::Builder::new().spawn(work).map_err(broken)?;
        }
        if let Some(pause) = *WATCH {
            let watch = move || {
                loop {
                    let _ = notify("WATCHDOG=1");
                    thread::sleep(pause);
                }
            };
            thread::Builder::new().spawn(watch).map_err(broken)?;
        }
        while is_reload(signals.next()) {
            for alarm in &alarms {
                alarm.ring().map_err(broken)?;
            }
        }
        let writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = notify("STOPPING=1");
        let mut removed = Ok(String::new());
        for path in paths.iter().filter(|_| remove) {
            let result = disk::remove(path).map(|()| String::new());
            let result = result.map_err(|error| {
                Error::broken(format!("cannot remove {}", path.display())).because(error)
            });
            removed = removed.and(result);
        }
        // No thread must write a file again before the process ends.
        std::mem::forget(writing);
        removed
    }

    /// Renews a file whenever it is due, and never returns.
    fn work(&self, mut file: TokenFile, alarm: &Alarm, report: impl Fn(bool)) {
        loop {
            if file.schedule.is_due(Timestamp::now()) {
                self.renew_and_report(&mut file);
                report(file.last_error.is_some());
            }
            match alarm.wait_until(file.schedule.due()) {
                Ok(Woken::InTime) => {}
                Ok(Woken::Early) => file.schedule.now(),
                Err(error) => {
                    let error = Error::broken("cannot wait for the next renewal").because(error);
                    message::error(&error);
                    std::process::exit(Kind::Broken.exit_code().into());
                }
            }
        }
    }

    /// Renews a file, and says so if that changes what is known about it.
    fn renew_and_report(&self, file: &mut TokenFile) {
        let (not_before, error) = match self.renew(file) {
            Ok(Renewal { command, failure }) => {
                let not_before = failure.as_ref().map(TokenFailure::not_before);
                let error = failure.map(TokenFailure::into_error);
                (not_before, error.or(command.err()))
            }
            Err(error) => (None, Some(error)),
        };
        if let Some(error) = &error {
            let not_before = not_before.unwrap_or(Timestamp(0));
            file.schedule
                .failed(not_before, error.kind, Timestamp::now());
        }
        let path = file.file.path().display();
        let text = error.map(|error| {
            let hints = error.hints.iter().map(|hint| format!("; {hint}"));
            error.to_string() + &hints.collect::<String>()
        });
        match &text {
            Some(text) if file.last_error.as_ref() != Some(text) => {
                message::warning(&format!("{path} was not renewed: {text}"));
            }
            None if file.last_error.is_some() => message::note(&format!("{path} is renewed again")),
            _ => {}
        }
        file.last_error = text;
    }

    /// Gets a token that serves until the next renewal, and writes it.
    fn renew(&self, file: &mut TokenFile) -> Result<Renewal> {
        // It may have changed since this process was started.
        policy::refresh()?;
        let profiles = Profiles::of(&self.directories);
        let mut selected = profiles.find(file.profile.as_deref())?;
        let options = TokenOptions {
            min_ttl: file.schedule.min_ttl(),
            quiet: true,
            ..TokenOptions::default()
        };
        let obtained = obtain(&self.directories, &profiles, &options, &mut selected)?;
        if !obtained.token.lasts() {
            return Err(Error::refused(
                "the server's tokens are for one use each, so a file cannot hold a valid one",
            ));
        }
        let content = match &self.template {
            Some(template) => template.fill(&Values::of(&obtained)),
            None => obtained.token.access_token.expose().to_owned(),
        };
        let writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let is_changed = file.file.write(content.as_bytes())?;
        drop(writing);
        if !file.schedule.has_token() {
            warn_of_short_life(&obtained.token, self.min_ttl);
        }
        file.schedule.has(&obtained.token, Timestamp::now());
        if obtained.failure.is_none() {
            file.schedule.succeeded();
        }
        if is_changed {
            report_change(file, &selected, &obtained, &options);
        }
        Ok(Renewal {
            failure: obtained.failure,
            command: self.run_command(&file.file, is_changed),
        })
    }

    /// Runs the command after a change, also after one for which it failed.
    fn run_command(&self, file: &SharedFile, is_changed: bool) -> Result<()> {
        let Some(exec) = &self.exec else {
            return Ok(());
        };
        if !is_changed && !file.has_pending_command() {
            return Ok(());
        }
        file.set_pending_command(true);
        exec.run()?;
        file.set_pending_command(false);
        Ok(())
    }
}

fn report_change(
    file: &TokenFile,
    selected: &SelectedProfile,
    obtained: &Obtained,
    options: &TokenOptions,
) {
    let path = file.file.path().display();
    message::step(|| {
        let validity = obtained.token.validity(Timestamp::now());
        format!("{path}: has a token that is {validity}")
    });
    if obtained.is_new
        && let Some(warning) = missing_scope(&obtain::request(selected, options), &obtained.token)
    {
        message::warning(&warning);
    }
}

/// The server decides how long its tokens are valid.
fn warn_of_short_life(token: &CachedToken, min_ttl: Duration) {
    let life = token.expires_at.since(token.requested_at);
    if !min_ttl.is_zero() && life <= min_ttl {
        let life = in_words(life);
        message::warning(&format!(
            "this server's tokens last {life}, not longer than --min-ttl; each is renewed after half of that"
        ));
    }
}
