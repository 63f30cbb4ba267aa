//! What the checks found, as text and as JSON.

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::message;
use crate::profile::ProfileName;
use crate::types::choice::choice;

/// The version of the JSON document: new members may be added, and none is changed.
const VERSION: u32 = 1;

/// The longest line, in characters.
const LIMIT: usize = 2000;

choice! {
    /// How a check ended.
    pub(crate) enum Status {
        Ok = "ok",
        Failed = "failed",
        Skipped = "skipped",
    }
}

/// One line of a check.
pub(super) struct Finding {
    status: Status,
    message: String,
    /// Each is a command or a step that repairs it.
    fixes: Vec<String>,
    /// When it expires, for a secret, a key or a certificate.
    expiry: Option<Expiry>,
}

/// A day or a moment, as JSON has it, and the whole days until then: negative if it has passed.
struct Expiry {
    at: String,
    days: i64,
}

impl Finding {
    fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            fixes: Vec::new(),
            expiry: None,
        }
    }

    pub(super) fn ok(message: impl Into<String>) -> Self {
        Self::new(Status::Ok, message)
    }

    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(Status::Failed, message)
    }

    /// What was not checked, and why.
    pub(super) fn skipped(why: impl Into<String>) -> Self {
        Self::new(Status::Skipped, why)
    }

    /// A failure whose hints repair it.
    pub(super) fn of(error: &Error) -> Self {
        let failed = Self::failed(error.to_string());
        error.hints.iter().fold(failed, Self::fix)
    }

    pub(super) fn fix(mut self, fix: impl AsRef<str>) -> Self {
        let fix = fix.as_ref();
        let fix = fix.strip_prefix("run: ").unwrap_or(fix);
        self.fixes.push(fix.to_owned());
        self
    }

    pub(super) fn expires(mut self, at: String, days: i64) -> Self {
        self.expiry = Some(Expiry { at, days });
        self
    }
}

/// The findings of all checks, in their order.
#[derive(Default)]
pub(super) struct Report {
    rows: Vec<Row>,
}

struct Row {
    /// None for a check of this machine.
    profile: Option<ProfileName>,
    check: &'static str,
    finding: Finding,
}

impl Report {
    pub(super) fn add(
        &mut self,
        profile: Option<&ProfileName>,
        check: &'static str,
        findings: Vec<Finding>,
    ) {
        self.rows.extend(findings.into_iter().map(|finding| Row {
            profile: profile.cloned(),
            check,
            finding,
        }));
    }

    /// # Errors
    /// `Broken`, with the number of failed checks.
    pub(super) fn verdict(&self) -> Result<()> {
        match self.rows.iter().filter(|row| row.is_failed()).count() {
            0 => Ok(()),
            1 => Err(Error::broken("1 check failed")),
            failed => Err(Error::broken(format!("{failed} checks failed"))),
        }
    }

    /// The section of this machine or of a profile, after a blank line if it is not the first one.
    pub(super) fn section(&self, profile: Option<&ProfileName>) -> String {
        let rows = self
            .rows
            .iter()
            .filter(|row| row.profile.as_ref() == profile);
        let title = rows.clone().next().map(Row::title).unwrap_or_default();
        let blank = if profile.is_none() { "" } else { "\n" };
        let rows: String = rows.map(Row::text).collect();
        format!("{blank}{title}\n{rows}")
    }

    pub(super) fn json(&self) -> String {
        let checks: Vec<_> = self.rows.iter().map(Row::json).collect();
        let all_ok = !self.rows.iter().any(Row::is_failed);
        let document = json!({ "version": VERSION, "ok": all_ok, "checks": checks });
        format!("{document:#}\n")
    }
}

impl Row {
    fn is_failed(&self) -> bool {
        self.finding.status == Status::Failed
    }

    fn title(&self) -> String {
        match &self.profile {
            None => "this machine".to_owned(),
            Some(name) if name.is_from_environment() => {
                "profile from the environment (HALLPASS_TOKEN_URL)".to_owned()
            }
            Some(name) => format!("profile {name}"),
        }
    }

    fn text(&self) -> String {
        let status = match self.finding.status {
            Status::Ok => "ok  ",
            Status::Failed => "FAIL",
            Status::Skipped => "-   ",
        };
        let is_skipped = self.finding.status == Status::Skipped;
        let why = if is_skipped { "not checked: " } else { "" };
        let message = message::clean(&self.finding.message, LIMIT);
        let mut text = format!("  {status}  {:<11}  {why}{message}\n", self.check);
        for fix in &self.finding.fixes {
            let fix = message::clean(fix, LIMIT);
            text.extend([&" ".repeat(21), "fix: ", &fix, "\n"]);
        }
        text
    }

    fn json(&self) -> Value {
        let finding = &self.finding;
        let fixes = finding.fixes.iter().map(|fix| message::clean(fix, LIMIT));
        let mut row = json!({
            "profile": self.profile.as_ref().map(ProfileName::as_str),
            "check": self.check,
            "status": finding.status.as_str(),
            "message": message::clean(&finding.message, LIMIT),
            "fixes": fixes.collect::<Vec<_>>(),
        });
        if let Some(expiry) = &finding.expiry {
            row["expires_at"] = expiry.at.clone().into();
            row["expires_in_days"] = expiry.days.into();
        }
        row
    }
}
