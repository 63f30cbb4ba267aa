//! `hallpass setup share`: what the server of a shared cache needs.

use std::fmt::Write as _;

use crate::error::Result;
use crate::platform::disk::Directories;
use crate::profile::Profile;
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
    let share = profile.as_ref().and_then(Profile::shared_cache);
    let user = share
        .and_then(|share| share.user.as_deref())
        .unwrap_or("hallpass");
    let database = share.map_or(0, |share| share.url.database());
    let url = share.map_or("rediss://HOST:6379", |share| share.url.as_str());
    let line = acl(user, database);
    let kept = line.trim_start_matches("ACL SETUSER ");
    let mut text = String::new();
    let _ = write!(
        text,
        "1. A password for the machines, in a file that only you can read:\n\
         \n    (umask 077; openssl rand -hex 32 >share-password)\n\
         \n2. A user of the Redis or Valkey server that may do only what hallpass does. In redis-cli, with that password:\n\
         \n    {line}\n\
         \nTo keep the user after a restart, run ACL SAVE if the server has an ACL file; else put this into redis.conf:\n\
         \n    user {kept}\n\
         \n3. On each machine, with the same password file:\n\
         \n    hallpass login PROFILE --share {url} --share-user {user} --share-password file:share-password\n\
         \n4. To check it:\n\
         \n    hallpass doctor PROFILE\n\
         \nThe server may remove entries when its memory is full: set maxmemory-policy to allkeys-lru.\n\
         A private CA needs --share-ca-file; a server with tls-auth-clients needs --share-cert and --share-cert-key.\n\
         A client without a secret needs --share-key, the same on all machines.\n\
         In CI, set HALLPASS_SHARE, HALLPASS_SHARE_USER and HALLPASS_SHARE_PASSWORD.\n"
    );
    Ok(text)
}
