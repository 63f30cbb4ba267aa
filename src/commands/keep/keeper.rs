//! Renews files when they are due, and reports what changes.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::after::AfterChange;
use super::file::KeptFile;
use super::schedule::{Schedule, WATCH};
use crate::commands::obtain::{self, Obtained, TokenOptions, missing_scope, obtain};
use crate::commands::template::{Template, Values};
use crate::error::{Error, Kind, Result};
use crate::message;
use crate::platform::disk::Directories;
use crate::platform::{Alarm, ServiceSignal, ServiceSignals, notify};
use crate::profile::selected::SelectedProfile;
use crate::profiles::Profiles;
use crate::types::duration::in_words;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::token_failure::TokenFailure;

/// A file, and what is known about it.
pub(super) struct TokenFile {
    file: KeptFile,
    profile: Option<String>,
    schedule: Schedule,
    /// The message of the last attempt, if it failed: each is shown once.
    fault: Option<String>,
}

impl TokenFile {
    pub(super) fn new(file: KeptFile, profile: Option<String>, min_ttl: Duration) -> Self {
        Self {
            file,
            profile,
            schedule: Schedule::new(min_ttl),
            fault: None,
        }
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
    pub(super) profiles: Profiles,
    pub(super) min_ttl: Duration,
    pub(super) template: Option<Template>,
    pub(super) exec: Option<AfterChange>,
    /// Locked while they are written, and from the end of the program on.
    pub(super) files: Arc<Mutex<Vec<TokenFile>>>,
}

impl Keeper {
    /// Writes each file that needs it.
    ///
    /// # Errors
    /// The first one. The other files are written nevertheless.
    pub(super) fn write_once(&self) -> Result<String> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let mut first = Ok(());
        for kept in files.iter_mut() {
            let result = self.renew(kept).and_then(|renewal| {
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

    /// Keeps the files until a signal ends the program.
    pub(super) fn run(self, remove: bool) -> Result<String> {
        let broken = |error| Error::broken("cannot wait for signals").because(error);
        let mut signals = ServiceSignals::catch().map_err(broken)?;
        let alarm = Arc::new(Alarm::new().map_err(broken)?);
        let files = Arc::clone(&self.files);
        let alarm_of_worker = Arc::clone(&alarm);
        thread::Builder::new()
            .spawn(move || self.work(&alarm_of_worker))
            .map_err(broken)?;
        while signals.next() == ServiceSignal::Again {
            let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
            for kept in files.iter_mut() {
                kept.schedule.now();
            }
            drop(files);
            alarm.ring().map_err(broken)?;
        }
        let files = files.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = notify("STOPPING=1");
        let mut removed = Ok(String::new());
        for kept in files.iter().filter(|_| remove) {
            removed = removed.and(kept.file.remove().map(|()| String::new()));
        }
        // The worker must not write a file again before the process ends.
        std::mem::forget(files);
        removed
    }

    /// Renews each file when it is due, and never returns.
    fn work(&self, alarm: &Alarm) {
        let mut is_ready = false;
        loop {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            for kept in files.iter_mut() {
                if kept.schedule.is_due(Timestamp::now()) {
                    self.attend_to(kept);
                }
            }
            is_ready = report(&files, is_ready);
            let next = files.iter().map(|kept| kept.schedule.due()).min();
            drop(files);
            let next = next.unwrap_or(Timestamp(u64::MAX));
            let next = WATCH.map_or(next, |pause| next.min(Timestamp::now().plus(pause)));
            if let Err(error) = alarm.wait_until(next) {
                message::error(&Error::broken("cannot wait for the next renewal").because(error));
                std::process::exit(Kind::Broken.exit_code().into());
            }
        }
    }

    /// Renews a file, and says so if that changes what is known about it.
    fn attend_to(&self, kept: &mut TokenFile) {
        let fault = match self.renew(kept) {
            Ok(Renewal { failure, command }) => {
                if let Err(error) = command {
                    message::error(&error);
                }
                failure.map(|failure| {
                    let not_before = failure.not_before();
                    kept.schedule
                        .failed(not_before, Kind::Unavailable, Timestamp::now());
                    failure.message().to_owned()
                })
            }
            Err(error) => {
                kept.schedule
                    .failed(Timestamp(0), error.kind, Timestamp::now());
                let hints = error.hints.iter().map(|hint| format!("; {hint}"));
                Some(error.to_string() + &hints.collect::<String>())
            }
        };
        let path = kept.file.path().display();
        match &fault {
            Some(text) if kept.fault.as_ref() != Some(text) => {
                message::warning(&format!("{path} was not renewed: {text}"));
            }
            None if kept.fault.is_some() => message::note(&format!("{path} is renewed again")),
            _ => {}
        }
        kept.fault = fault;
    }

    /// Gets a token that serves until the next renewal, and writes it.
    fn renew(&self, kept: &mut TokenFile) -> Result<Renewal> {
        let mut selected = self.profiles.find(kept.profile.as_deref())?;
        let options = TokenOptions {
            min_ttl: kept.schedule.min_ttl(),
            quiet: true,
            ..TokenOptions::default()
        };
        let obtained = obtain(&self.directories, &self.profiles, &options, &mut selected)?;
        if !obtained.token.lasts() {
            return Err(Error::refused(
                "the server's tokens are for one use each, so a file cannot hold a valid one",
            ));
        }
        let content = match &self.template {
            Some(template) => template.fill(&Values::of(&obtained)),
            None => obtained.token.access_token.expose().to_owned(),
        };
        let is_changed = kept.file.write(content.as_bytes())?;
        if !kept.schedule.has_token() {
            warn_of_short_life(&obtained.token, self.min_ttl);
        }
        kept.schedule.has(&obtained.token, Timestamp::now());
        if obtained.failure.is_none() {
            kept.schedule.succeeded();
        }
        let command = if is_changed {
            self.after_change(kept, &selected, &obtained, &options)
        } else {
            Ok(())
        };
        Ok(Renewal {
            failure: obtained.failure,
            command,
        })
    }

    fn after_change(
        &self,
        kept: &TokenFile,
        selected: &SelectedProfile,
        obtained: &Obtained,
        options: &TokenOptions,
    ) -> Result<()> {
        let path = kept.file.path().display();
        message::step(|| {
            let validity = obtained.token.validity(Timestamp::now());
            format!("{path}: has a token that is {validity}")
        });
        if obtained.is_new
            && let Some(warning) =
                missing_scope(&obtain::request(selected, options), &obtained.token)
        {
            message::warning(&warning);
        }
        self.exec.as_ref().map_or(Ok(()), AfterChange::run)
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

/// Tells the service manager how things are, and returns whether it knows that all files are there.
fn report(files: &[TokenFile], was_ready: bool) -> bool {
    let failing = files.iter().filter(|kept| kept.fault.is_some()).count();
    let is_ready = was_ready || files.iter().all(|kept| kept.schedule.has_token());
    let mut state = match failing {
        0 => "STATUS=all files have valid tokens\n".to_owned(),
        _ => format!(
            "STATUS={failing} of {} files cannot be renewed\n",
            files.len()
        ),
    };
    if is_ready && !was_ready {
        state += "READY=1\n";
    }
    if WATCH.is_some() {
        state += "WATCHDOG=1\n";
    }
    // A service manager that cannot be reached does not stop the tokens.
    let _ = notify(&state);
    is_ready
}
