//! One run of the tool after `--write`, to see whether it finds hallpass.

use std::time::Duration;

use super::Facts;
use super::recipes::Tool;
use crate::error::Result;
use crate::message;
use crate::platform::program;

/// The tool may wait for a token, and for a keychain's dialog.
const LIMIT: Duration = Duration::from_secs(30);

/// A failure is only a warning: the settings are written.
pub(super) fn run(tool: &Tool, facts: &Facts) -> Result<()> {
    let Some(check) = tool.check(facts)? else {
        return Ok(());
    };
    let mut shell = program::shell_around_hallpass(&check.command);
    // A git that does not find hallpass must not ask for a password.
    shell
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ASKPASS", "false");
    let printed = program::output_within(&mut shell, check.input.as_bytes(), LIMIT);
    let printed = printed.ok().flatten().unwrap_or_default();
    let shows = check.shows.as_bytes();
    if printed.windows(shows.len()).any(|part| part == shows) {
        message::note(&format!("checked with: {}", check.command));
    } else {
        message::warning(&format!(
            "{} does not find hallpass yet (checked with: {})",
            tool.name, check.command
        ));
    }
    Ok(())
}
