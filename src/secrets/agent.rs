//! Keys in an ssh-agent (draft-ietf-sshm-ssh-agent): the agent signs, and no key leaves it.
//!
//! OpenSSH's agent, gpg-agent, password managers and hardware tokens (`ssh-add -s`) speak this protocol.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::message::{self, WaitingFor};
use crate::types::external_key::RsaHash;
use crate::types::ssh_key::{Content, Reader, SshPublicKey, SshSignature, put_string};

/// The longest message, in bytes: OpenSSH's own limit.
const MESSAGE_LIMIT: u32 = 256 * 1024;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Where Windows' own agent listens.
#[cfg(windows)]
const WINDOWS_PIPE: &str = r"\\.\pipe\openssh-ssh-agent";

/// Flags of a request that ask for RSA signatures with a newer hash than SHA-1.
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// A key that an agent offers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct IdentityOfKey {
    pub(super) key: SshPublicKey,
    /// As its owner named it.
    pub(super) comment: String,
}

/// Why there is no response.
#[derive(Debug)]
pub(super) enum AgentError {
    CannotConnect(io::Error),
    /// The agent is locked, the key is gone, or a person declined.
    Refused,
    NotResponding,
    /// The response is not part of the protocol.
    Malformed,
}

/// The socket that the environment names, or Windows' own.
pub(super) fn default_socket() -> Option<PathBuf> {
    let set = std::env::var_os("SSH_AUTH_SOCK").filter(|value| !value.is_empty());
    let socket = set.map(PathBuf::from);
    #[cfg(windows)]
    let socket = socket.or_else(|| Some(PathBuf::from(WINDOWS_PIPE)));
    socket
}

/// The keys of an agent, in its order.
pub(super) fn keys(socket: &Path, limit: Duration) -> Result<Vec<IdentityOfKey>, AgentError> {
    let response = call(socket, vec![REQUEST_IDENTITIES], limit)?;
    match response.first() {
        Some(&FAILURE) => Err(AgentError::Refused),
        _ => read_keys(&response).ok_or(AgentError::Malformed),
    }
}

/// Lets the agent sign a message with this key. It may ask its user first.
pub(super) fn sign(
    socket: &Path,
    key: &SshPublicKey,
    message: &[u8],
    hash: RsaHash,
    limit: Duration,
) -> Result<SshSignature, AgentError> {
    let flags = match (key.content(), hash) {
        (Some(Content::Rsa { .. }), RsaHash::Sha256) => RSA_SHA2_256,
        (Some(Content::Rsa { .. }), RsaHash::Sha512) => RSA_SHA2_512,
        _ => 0,
    };
    let mut request = vec![SIGN_REQUEST];
    put_string(&mut request, key.blob());
    put_string(&mut request, message);
    request.extend(flags.to_be_bytes());
    let response = call(socket, request, limit)?;
    let mut reader = Reader(&response);
    let signature = match reader.byte() {
        Some(SIGN_RESPONSE) => reader.string().filter(|_| reader.is_at_end()),
        Some(FAILURE) => return Err(AgentError::Refused),
        _ => None,
    };
    signature
        .and_then(SshSignature::parse)
        .ok_or(AgentError::Malformed)
}

fn read_keys(response: &[u8]) -> Option<Vec<IdentityOfKey>> {
    let mut reader = Reader(response);
    if reader.byte()? != IDENTITIES_ANSWER {
        return None;
    }
    let number = reader.uint32()?;
    let mut keys = Vec::new();
    for _ in 0..number {
        let key = SshPublicKey::new(reader.string()?.to_vec());
        let comment = String::from_utf8_lossy(reader.string()?).into_owned();
        keys.push(IdentityOfKey { key, comment });
    }
    reader.is_at_end().then_some(keys)
}

/// One request and its response, on a thread that is left behind if the agent does not respond.
fn call(socket: &Path, request: Vec<u8>, limit: Duration) -> Result<Vec<u8>, AgentError> {
    let (sender, receiver) = mpsc::channel();
    let socket = socket.to_owned();
    thread::Builder::new()
        .spawn(move || {
            let response = connect(&socket)
                .map_err(AgentError::CannotConnect)
                .and_then(|stream| exchange(stream, &request).map_err(|_| AgentError::Malformed));
            let _ = sender.send(response);
        })
        .map_err(AgentError::CannotConnect)?;
    let note = "waiting for the ssh-agent; it may ask for a confirmation or a touch";
    let response = message::receive(&receiver, limit, WaitingFor::Dialog, note);
    response.unwrap_or(Err(AgentError::NotResponding))
}

#[cfg(unix)]
fn connect(socket: &Path) -> io::Result<impl Read + Write + use<>> {
    std::os::unix::net::UnixStream::connect(socket)
}

/// A named pipe. Its server may learn who the user is, but not act as the user.
#[cfg(windows)]
fn connect(socket: &Path) -> io::Result<impl Read + Write + use<>> {
    use std::os::windows::fs::OpenOptionsExt as _;
    const SECURITY_IDENTIFICATION: u32 = 0x0001_0000;
    const ERROR_PIPE_BUSY: i32 = 231;
    loop {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true);
        match options
            .security_qos_flags(SECURITY_IDENTIFICATION)
            .open(socket)
        {
            // Another program is being served. The caller's time limit ends the wait.
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) => {
                thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

/// Messages are a length and as many bytes, in both directions.
fn exchange(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut message = Vec::with_capacity(4 + request.len());
    put_string(&mut message, request);
    stream.write_all(&message)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MESSAGE_LIMIT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut response = Vec::new();
    stream.take(length.into()).read_to_end(&mut response)?;
    if response.len() as u64 != u64::from(length) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(response)
}
