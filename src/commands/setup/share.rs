//! `hallpass setup share`: what the server of a shared cache needs.

use std::fmt::Write as _;

use crate::commands::obtain::sharing::share_of;
use crate::error::Result;
use crate::platform::disk::Directories;
use crate::profiles::{Profiles, from_environment};
use crate::share::acl;

pub(super) const NAME: &str = "share";

/// The ACL line, and how a profile uses the server.
pub(super) fn text(named: Option<&str>) -> Result<String> {
    let directories = Directories::locate()?;
    let profiles = Profiles::of(&directories);
    // The server can be set up before there is a profile.
    let profile = match (named, from_environment()?) {
        (None, Some(selected)) => Some(selected.profile),
        (None, None) => None,
        (Some(_), _) => Some(profiles.find(named)?.profile),
    };
    let share = profile.as_ref().and_then(share_of);
    let user = share
        .and_then(|share| share.user.as_deref())
        .unwrap_or("hallpass");
    let database = share.map_or(0, |share| share.url.database());
    let mut text = String::new();
    let _ = write!(
        text,
        "At the Redis or Valkey server (redis-cli), a user that may do only what is needed:\n\
         \n    {}\n    ACL SAVE\n\
         \nThe password is what this prints; keep it in a file that only you can read:\n\
         \n    openssl rand -hex 32\n\
         \nPut the same line, without \"ACL SETUSER\", after \"user\" into the server's redis.conf or ACL file to keep it.\n\
         The server may remove entries when its memory is full: maxmemory-policy allkeys-lru.\n\
         With TLS (tls-port, tls-cert-file, tls-key-file; tls-auth-clients no, unless each machine has a certificate):\n\
         \n    hallpass login PROFILE --share rediss://HOST:6379 --share-user {user} --share-password file:PATH\n\
         \nA private CA needs --share-ca-file. A client without a secret needs --share-key, the same on all machines.\n\
         In CI: HALLPASS_SHARE, HALLPASS_SHARE_USER and HALLPASS_SHARE_PASSWORD. To check it: hallpass doctor\n",
        acl(user, database)
    );
    Ok(text)
}
