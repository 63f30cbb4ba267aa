//! What a service manager wants to know.

use std::io;
use std::os::unix::net::UnixDatagram;

/// Tells the service manager about this process (`sd_notify(3)`), if one wants to know.
pub(crate) fn notify(state: &str) -> io::Result<()> {
    let Some(address) = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty())
    else {
        return Ok(());
    };
    let socket = UnixDatagram::unbound()?;
    #[cfg(target_os = "linux")]
    if let Some(name) = address.as_encoded_bytes().strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        return socket.send_to_addr(state.as_bytes(), &address).map(drop);
    }
    socket.send_to(state.as_bytes(), address).map(drop)
}
