//! Google Cloud's executable-sourced credentials: the token is the subject token of a workload
//! identity pool.
//!
//! The client merges standard error into standard output: nothing is ever said there, and a failure
//! is an answer too.

use serde_json::json;

use super::{Answer, Call, Protocol};
use crate::error::Result;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "google-executable",
    link: None,
    about: "Google Cloud: executable-sourced credentials (credential_source.executable)",
    converse,
};

#[expect(clippy::unnecessary_wraps, reason = "other protocols can fail")]
fn converse(call: &mut Call<'_>) -> Result<Answer> {
    let answer = (call.desk.named)().and_then(|mut who| (call.desk.token)(&mut who, None));
    Ok(Answer::line(&match answer {
        Ok(token) => json!({
            "version": 1,
            "success": true,
            "token_type": "urn:ietf:params:oauth:token-type:jwt",
            "id_token": token.access_token.expose(),
            "expiration_time": token.due_at().seconds(),
        }),
        Err(error) => json!({
            "version": 1,
            "success": false,
            "code": error.kind.exit_code().to_string(),
            "message": format!("hallpass: {error}"),
        }),
    }))
}
