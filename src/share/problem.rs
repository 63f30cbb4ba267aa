//! Why a shared cache cannot be used, in words for people.

use std::fmt;

use redis::ServerError;

use crate::message::{FOREIGN_TEXT_LIMIT, clean};

/// What follows "the shared cache".
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Problem {
    text: String,
    hint: Option<&'static str>,
}

const ACL: &str = "`hallpass setup share` prints the server's ACL line";

impl Problem {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { text, hint: None }
    }

    pub(super) fn client_certificate_required() -> Self {
        Self::new("the server requires a client certificate")
            .hint("set --share-cert and --share-cert-key")
    }

    fn hint(self, hint: &'static str) -> Self {
        Self {
            hint: Some(hint),
            ..self
        }
    }

    /// What would fix it, if that is known.
    pub(crate) fn advice(&self) -> Option<&'static str> {
        self.hint
    }

    /// What the server said.
    pub(super) fn of_server(error: &ServerError) -> Self {
        let details = error.details().unwrap_or_default();
        let text = format!("{} {details}", error.code());
        let says = |word: &str| text.contains(word);
        // Redis 7 has errors of a script's commands in the details.
        if says("WRONGPASS") || says("invalid password") {
            Self::new("the server refused the user or the password")
                .hint("check --share-user and --share-password")
        } else if says("NOAUTH") {
            Self::new("the server requires a password")
                .hint("set --share-password, and --share-user if it is not the default user")
        } else if says("without any password configured") {
            Self::new("the server has no password, but one was sent")
                .hint("remove --share-password")
        } else if says("NOPERM") || says("ACL failure") || says("can't run this command") {
            Self::new(format!(
                "the server's ACL does not permit what is needed ({})",
                clean(&text, FOREIGN_TEXT_LIMIT)
            ))
            .hint(ACL)
        } else if says("READONLY") {
            Self::new("the server is a read-only replica").hint("use the address of the primary")
        } else if says("OOM") {
            Self::new("the server's memory is full")
                .hint("set maxmemory-policy of the server to allkeys-lru, or give it more memory")
        } else if says("LOADING") {
            Self::new("the server is loading its data")
        } else if says("MOVED") || says("ASK ") || says("CLUSTERDOWN") || says("TRYAGAIN") {
            Self::new("the node of the cluster cannot be used now")
        } else {
            let text = clean(&text, FOREIGN_TEXT_LIMIT);
            Self::new(format!("the server reported: {text}"))
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
