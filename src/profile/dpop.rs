//! Proofs of possession (RFC 9449): tokens that are bound to a key, so that a stolen one is of no use.

use serde::{Deserialize, Serialize};

use super::external_key::AgentKey;

/// How the tokens of a profile are bound to a key. The algorithm is always ES256.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dpop {
    /// Without one, hallpass makes a key for each token, and keeps both in the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<AgentKey>,
}
