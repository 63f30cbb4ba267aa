//! The administrator's file.

use super::Policy;

pub(crate) fn policy(bytes: &[u8]) {
    let Ok(policy) = Policy::parse(bytes) else {
        return;
    };
    let _ = (
        policy.max_ttl(),
        policy.required_cache_mode(),
        policy.audit(),
        policy.share(),
    );
    assert!(policy.requirements().len() <= 8);
}
