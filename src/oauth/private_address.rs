//! Servers in private networks. A public server must not send a login to one of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout_at;

use super::exchange::within;
use super::proxy::Proxy;
use crate::error::Result;
use crate::profile::TokenEndpoint;

/// Whether `server` has an address in a private network or on this machine.
///
/// A name that cannot be resolved here counts as public: nothing is sent to it then, or a proxy resolves it.
///
/// # Errors
/// A proxy variable that cannot be used.
pub(crate) fn is_private(server: &TokenEndpoint, limit: Duration) -> Result<bool> {
    let (host, port) = server.host_and_port();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = host.parse() {
        return Ok(is_private_address(address));
    }
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(true);
    }
    if Proxy::to(server)?.is_some() {
        return Ok(false);
    }
    within(limit, async |deadline| {
        match timeout_at(deadline, lookup_host((host, port))).await {
            Ok(Ok(mut addresses)) => addresses.any(|address| is_private_address(address.ip())),
            _ => false,
        }
    })
}

/// RFC 1918, RFC 4193, RFC 6598, loopback and link-local addresses.
fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => is_private_v4(address),
            None => is_private_v6(address),
        },
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && (64..128).contains(&second);
    is_shared
        || first == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::is_private_address;

    #[test]
    fn private_networks_are_recognized() {
        for (address, expected) in [
            ("10.0.0.1", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.1.1", true),
            ("169.254.169.254", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("127.0.0.2", true),
            ("0.0.0.0", true),
            ("1.1.1.1", false),
            ("::1", true),
            ("::", true),
            ("::ffff:10.0.0.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("2606:4700::1111", false),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(is_private_address(parsed), expected, "{address}");
        }
    }
}
