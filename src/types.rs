//! Values that every layer uses, and that know nothing of files, keychains or the network.

pub(crate) mod audit_target;
pub(crate) mod checked_text;
pub(crate) mod choice;
pub(crate) mod date;
pub(crate) mod digest;
pub(crate) mod dpop;
pub(crate) mod duration;
pub(crate) mod external_key;
pub(crate) mod identity_token;
pub(crate) mod jwt;
pub(crate) mod private_key;
pub(crate) mod seconds;
pub(crate) mod secret;
pub(crate) mod shell;
pub(crate) mod ssh_key;
pub(crate) mod token;
pub(crate) mod token_failure;
pub(crate) mod web_url;
