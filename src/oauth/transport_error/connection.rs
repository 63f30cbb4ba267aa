//! A connection that could not be made, or broke.

use std::io;

use super::{Diagnosis, RAISE_LIMIT, causes, find};
use crate::error;
use crate::message::{FOREIGN_TEXT_LIMIT, clean};
use crate::platform;

/// The reason when a host has no address.
pub(in super::super) const UNRESOLVED: &str = "the host name cannot be resolved";

pub(in super::super) const CHECK_NETWORK: &str =
    "check the network, the URL and the proxy settings (HTTPS_PROXY, NO_PROXY)";

pub(super) fn diagnose(error: &reqwest::Error, url: &str) -> Diagnosis {
    if is_lack_of_descriptors(error) {
        return Diagnosis {
            message: format!("cannot connect to {url}: too many open files"),
            hint: RAISE_LIMIT.to_owned(),
        };
    }
    let reason = reason(error);
    if error.is_connect() {
        let closed = find::<io::Error>(error).is_some_and(|error| {
            use io::ErrorKind::{ConnectionReset, UnexpectedEof};
            matches!(error.kind(), ConnectionReset | UnexpectedEof)
        });
        if closed {
            return Diagnosis {
                message: format!(
                    "cannot connect to {url}: it closed the connection during the TLS handshake"
                ),
                hint: "check the URL's port, and whether the server speaks https there".to_owned(),
            };
        }
        return Diagnosis {
            message: format!("cannot connect to {url}: {reason}"),
            hint: CHECK_NETWORK.to_owned(),
        };
    }
    let is_parse = find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse);
    Diagnosis {
        message: format!("no usable response from {url}: {reason}"),
        hint: if is_parse {
            "check the URL, its port, and whether it is http or https".to_owned()
        } else {
            "try again; check the network and the proxy settings (HTTPS_PROXY, NO_PROXY)".to_owned()
        },
    }
}

/// The C library reports a name as unknown when it cannot open the files to look it up.
fn is_lack_of_descriptors(error: &reqwest::Error) -> bool {
    find::<io::Error>(error).is_some_and(platform::is_lack_of_descriptors)
        || is_dns_error(error) && platform::is_short_of_descriptors()
}

fn is_dns_error(error: &reqwest::Error) -> bool {
    causes(error).any(|cause| cause.to_string().starts_with("dns error"))
}

/// Why a connection failed, or a response did not come.
pub(super) fn reason(error: &reqwest::Error) -> String {
    if is_dns_error(error) {
        return UNRESOLVED.to_owned();
    }
    if let Some(error) = find::<io::Error>(error) {
        return io_reason(error);
    }
    let http = find::<hyper::Error>(error);
    let known = |is: fn(&hyper::Error) -> bool| http.is_some_and(is);
    // Only the text of the library distinguishes this one.
    if http.is_some_and(|error| error.to_string().contains("too large")) {
        "its headers are too large"
    } else if known(hyper::Error::is_parse) {
        "it is not HTTP/1.1"
    } else if known(hyper::Error::is_incomplete_message) {
        "the connection was closed before the response was complete"
    } else {
        "the connection failed"
    }
    .to_owned()
}

/// The system's text without its number.
fn io_reason(error: &io::Error) -> String {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the connection was reset",
        io::ErrorKind::ConnectionAborted | io::ErrorKind::UnexpectedEof => {
            "the connection was closed before the response was complete"
        }
        io::ErrorKind::TimedOut => "the connection timed out",
        io::ErrorKind::NetworkUnreachable => "the network is unreachable",
        io::ErrorKind::HostUnreachable => "the host is unreachable",
        io::ErrorKind::NetworkDown => "the network is down",
        io::ErrorKind::PermissionDenied => "not permitted here (a firewall or a sandbox)",
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => "its body is not valid HTTP",
        _ => return clean(&error::reason(error), FOREIGN_TEXT_LIMIT),
    };
    text.to_owned()
}
