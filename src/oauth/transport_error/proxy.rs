//! A proxy that cannot be reached, or does not connect hallpass to the server.

use super::{Diagnosis, Route, causes, certificate, connection, find, tls};

/// None if the proxy is not the cause.
pub(super) fn diagnose(error: &reqwest::Error, url: &str, route: &Route) -> Option<Diagnosis> {
    let (variable, proxy) = route.proxy.as_ref().filter(|_| error.is_connect())?;
    // Only the text of the library distinguishes these.
    let tunnel = causes(error).find_map(|cause| {
        let text = cause.to_string();
        text.strip_prefix("tunnel error: ").map(str::to_owned)
    });
    let reason = match tunnel.as_deref() {
        // The error comes from the server, inside the tunnel.
        None => return None,
        Some("proxy authorization required") => {
            return Some(Diagnosis {
                message: format!("the proxy {proxy} requires a user name and password (407)"),
                hint: format!(
                    "set {variable} to http://USER:PASSWORD@HOST:PORT, with special characters as %XX"
                ),
            });
        }
        Some("unsuccessful") => {
            return Some(Diagnosis {
                message: format!("the proxy {proxy} refused to connect to {url}"),
                hint: format!(
                    "check {variable}, or list the host in NO_PROXY if it can be reached directly"
                ),
            });
        }
        Some("unexpected end of file") => "it closed the connection".to_owned(),
        Some("proxy response headers too long") => "its response is too long".to_owned(),
        Some(_) => match find::<rustls::Error>(error) {
            Some(rustls::Error::InvalidCertificate(fault)) => {
                format!("its certificate {}", certificate::text(fault))
            }
            Some(fault) => tls::text(fault, true).to_owned(),
            None => connection::reason(error),
        },
    };
    Some(Diagnosis {
        message: format!("cannot use the proxy {proxy} (from {variable}): {reason}"),
        hint: format!("check {variable}, or list the server's host in NO_PROXY"),
    })
}
