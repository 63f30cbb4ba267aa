//! Google Cloud's executable-sourced credentials: the token is the subject token of a workload
//! identity pool.
//!
//! The client merges standard error into standard output, so nothing is written there. A failure is
//! an answer, too.

use serde_json::json;

use super::{Answer, Call, Protocol};
use crate::error::Result;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "google-executable",
    link: None,
    about: "Google Cloud: executable-sourced credentials (credential_source.executable)",
    run,
};

#[expect(clippy::unnecessary_wraps, reason = "other protocols can fail")]
fn run(call: &mut Call<'_>) -> Result<Answer> {
    let answer = call
        .provider
        .selected()
        .and_then(|mut selected| call.provider.token(&mut selected, None));
    Ok(Answer::line(&match answer {
        Ok(token) => json!({
            "version": 1,
            "success": true,
            "token_type": "urn:ietf:params:oauth:token-type:jwt",
            "id_token": token.access_token.expose(),
            "expiration_time": token.refresh_at().seconds(),
        }),
        Err(error) => json!({
            "version": 1,
            "success": false,
            "code": error.kind.exit_code().to_string(),
            "message": format!("hallpass: {error}"),
        }),
    }))
}
