//! The shared cache of a fleet: a Redis or Valkey server through which machines share tokens.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::profile::external_key::CommandLine;

/// The port of a Redis server, if the URL has none.
const PORT: u16 = 6379;

/// Where machines share the tokens of a profile.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Share {
    pub(crate) url: ShareUrl,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Where the password of the server is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<ShareSecret>,
    /// Where the key is that seals the entries. Without one, it is derived from the client secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<ShareSecret>,
    /// PEM CA certificates that are trusted in addition to the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The client certificate for the TLS handshake, and its key in a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_key: Option<PathBuf>,
}

impl Share {
    pub(crate) fn of(url: ShareUrl) -> Self {
        Self {
            url,
            user: None,
            password: None,
            key: None,
            ca_file: None,
            certificate: None,
            certificate_key: None,
        }
    }

    /// What is wrong with the settings together, and what to do. No password is sent in clear.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let has_certificate = self.certificate.is_some();
        if self.password.is_some() && !self.url.protects_password() {
            Some("would send the password in clear; use rediss://")
        } else if self.user.is_some() && self.password.is_none() {
            Some("has a user but no password")
        } else if has_certificate != self.certificate_key.is_some() {
            Some("needs both a client certificate and its key, or neither")
        } else if !self.url.is_tls() && (has_certificate || self.ca_file.is_some()) {
            Some("uses certificates only with rediss://")
        } else {
            None
        }
    }
}

/// `rediss://HOST:PORT/DATABASE`, or `redis://` without TLS.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct ShareUrl {
    text: String,
    is_tls: bool,
    host: String,
    port: u16,
    database: u32,
}

impl ShareUrl {
    /// # Errors
    /// What is wrong with it. The text is not repeated, because it may have a password.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        const FORM: &str = "must be rediss://HOST:PORT or rediss://HOST:PORT/DATABASE";
        let (scheme, rest) = text.split_once("://").ok_or(FORM)?;
        let is_tls = match scheme {
            "rediss" | "valkeys" => true,
            "redis" | "valkey" => false,
            _ => return Err(FORM),
        };
        if rest.contains('@') {
            return Err("must have no user and no password; use --share-user and --share-password");
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = match database {
            "" => 0,
            digits => digits.parse().map_err(|_| FORM)?,
        };
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or(FORM)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_| FORM)?;
                (
                    host,
                    port.strip_prefix(':')
                        .or_else(|| port.is_empty().then_some("")),
                )
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        let port = match port.ok_or(FORM)? {
            "" => PORT,
            digits => digits.parse().ok().filter(|port| *port > 0).ok_or(FORM)?,
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        if host.is_empty() || host.len() > 255 || !host.chars().all(is_host) {
            return Err(FORM);
        }
        Ok(Self {
            text: text.to_owned(),
            is_tls,
            host: host.to_ascii_lowercase(),
            port,
            database,
        })
    }

    /// The same server's setting with another node of its cluster.
    pub(crate) fn at(&self, host: &str, port: u16) -> Self {
        Self {
            host: host.to_owned(),
            port,
            ..self.clone()
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn database(&self) -> u32 {
        self.database
    }

    /// Whether nobody on the way can read what is sent.
    pub(crate) fn protects_password(&self) -> bool {
        let is_loopback = |host: &str| host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback());
        self.is_tls || self.host == "localhost" || is_loopback(&self.host)
    }
}

impl TryFrom<String> for ShareUrl {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<ShareUrl> for String {
    fn from(url: ShareUrl) -> Self {
        url.text
    }
}

/// Where a password or a key is. It is read when it is needed, and never stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ShareSecret {
    /// A file that only its owner can read.
    File(PathBuf),
    /// An environment variable, by its name.
    Env(String),
    /// A command; its standard output is the secret.
    Command(CommandLine),
}

impl ShareSecret {
    /// The environment variable that it is in.
    pub(crate) fn variable(&self) -> Option<&str> {
        match self {
            Self::Env(name) => Some(name),
            Self::File(_) | Self::Command(_) => None,
        }
    }

    /// Whether another program is asked for it.
    pub(crate) fn may_block(&self) -> bool {
        matches!(self, Self::Command(_))
    }
}

impl FromStr for ShareSecret {
    type Err = &'static str;

    /// `file:PATH`, `env:NAME` or `command:CMD`. No message repeats the text: it may be the secret itself.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORMS: &str =
            "use file:PATH, env:NAME or command:CMD: other processes can read arguments";
        let (kind, rest) = text.split_once(':').ok_or(FORMS)?;
        if rest.is_empty() || rest.contains(char::is_control) {
            return Err(FORMS);
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match kind {
            "file" => Ok(Self::File(rest.into())),
            "env" if rest.chars().all(is_name) => Ok(Self::Env(rest.to_owned())),
            "command" => CommandLine::parse(rest).map(Self::Command),
            _ => Err(FORMS),
        }
    }
}

impl fmt::Display for ShareSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Env(name) => write!(f, "env:{name}"),
            Self::Command(command) => write!(f, "command:{command}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_a_port_and_a_database() {
        for (text, host, port, database, is_tls) in [
            (
                "rediss://cache.internal:6380/3",
                "cache.internal",
                6380,
                3,
                true,
            ),
            ("redis://127.0.0.1", "127.0.0.1", 6379, 0, false),
            ("valkeys://Cache/", "cache", 6379, 0, true),
            ("redis://[::1]:7000/1", "::1", 7000, 1, false),
        ] {
            let url = ShareUrl::parse(text).expect(text);
            let parts = (url.host(), url.port(), url.database(), url.is_tls());
            assert_eq!(parts, (host, port, database, is_tls), "{text}");
            assert_eq!(String::from(url), text);
        }
        for text in [
            "",
            "cache:6379",
            "https://cache",
            "rediss://",
            "rediss://a b",
            "rediss://a:0",
            "rediss://a:99999",
            "rediss://a/x",
            "rediss://a/1/2",
            "rediss://a?db=1",
            "rediss://[::1",
            "rediss://[x]:1",
            "rediss://[::1]x",
        ] {
            assert!(ShareUrl::parse(text).is_err(), "{text}");
        }
        let fault = ShareUrl::parse("rediss://:hunter2@cache").expect_err("a password");
        assert!(fault.contains("--share-password") && !fault.contains("hunter2"));
    }

    #[test]
    fn a_password_is_never_sent_in_clear_to_another_machine() {
        let fault = |url: &str| {
            let mut share = Share::of(ShareUrl::parse(url).expect(url));
            assert_eq!(share.fault(), None, "{url}");
            share.password = Some(ShareSecret::Env("P".to_owned()));
            share.fault().is_some()
        };
        for url in [
            "rediss://cache",
            "redis://localhost",
            "redis://127.0.0.1",
            "redis://[::1]",
        ] {
            assert!(!fault(url), "{url}");
        }
        assert!(fault("redis://cache"));
        assert!(fault("redis://localhost.example"));
    }
}
