//! An agent that does what a test wants, with one P-256 key.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use tempfile::TempDir;

use super::keys::{der, p256_point, string, strings};
use crate::material::Material;

pub(super) const FAILURE: u8 = 5;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// How the agent responds to a request to sign.
pub(super) enum Response {
    Message(Vec<u8>),
    /// It keeps the connection open and says nothing.
    Hang,
    Close,
}

pub(super) struct FakeAgent {
    pub(super) socket: String,
    pub(super) signed: Arc<AtomicUsize>,
    _directory: TempDir,
}

/// The P-256 key of the material.
pub(super) struct Key {
    pair: EcdsaKeyPair,
    pub(super) blob: Vec<u8>,
}

impl Key {
    pub(super) fn of(material: &Material, name: &str) -> Key {
        let text = fs::read_to_string(material.path(&format!("{name}.pem"))).expect("a key");
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, &der(&text), &random).expect("a key");
        let point = p256_point(&material.argument(&format!("{name}.pub")));
        let blob = strings(&[b"ecdsa-sha2-nistp256", b"nistp256", &point]);
        Key { pair, blob }
    }

    /// Two numbers of 32 bytes each.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        signature.expect("a signature").as_ref().to_vec()
    }
}

/// The response with a signature, whose numbers are as short as they can be (RFC 4251 §5).
pub(super) fn signed(fixed: &[u8]) -> Response {
    let (r, s) = fixed.split_at(32);
    let numbers = strings(&[&mpint(r), &mpint(s)]);
    let mut message = vec![SIGN_RESPONSE];
    string(&mut message, &strings(&[b"ecdsa-sha2-nistp256", &numbers]));
    Response::Message(message)
}

fn mpint(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    let sign: &[u8] = if number.first().is_some_and(|byte| byte & 0x80 != 0) {
        &[0]
    } else {
        &[]
    };
    [sign, number].concat()
}

impl FakeAgent {
    /// Offers a key with the comment `work`, and its response to each request to sign is what `sign` returns, given
    /// the message and how many came before.
    pub(super) fn start(
        blob: &[u8],
        sign: impl Fn(&[u8], usize) -> Response + Send + Sync + 'static,
    ) -> FakeAgent {
        FakeAgent::with_keys(&[(blob, "work")], sign)
    }

    pub(super) fn with_keys(
        keys: &[(&[u8], &str)],
        sign: impl Fn(&[u8], usize) -> Response + Send + Sync + 'static,
    ) -> FakeAgent {
        let mut list = vec![IDENTITIES_ANSWER];
        list.extend(u32::try_from(keys.len()).expect("few").to_be_bytes());
        for (blob, comment) in keys {
            list.extend(strings(&[blob, comment.as_bytes()]));
        }
        let directory = TempDir::with_prefix("hallpass-fake-").expect("a directory");
        let socket = directory.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let signed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&signed);
        let sign = Arc::new(sign);
        let list = Arc::new(list);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (count, sign, list) = (count.clone(), sign.clone(), list.clone());
                thread::spawn(move || serve(stream, &list, &count, &*sign));
            }
        });
        FakeAgent {
            socket: socket.to_str().expect("UTF-8").to_owned(),
            signed,
            _directory: directory,
        }
    }
}

fn serve(
    mut stream: UnixStream,
    list: &[u8],
    count: &AtomicUsize,
    sign: &(dyn Fn(&[u8], usize) -> Response + Send + Sync),
) {
    while let Some(request) = read(&mut stream) {
        let response = match request.first() {
            Some(&SIGN_REQUEST) => {
                let key_length = length(&request[1..]);
                let message = &request[5 + key_length..];
                let message = &message[4..4 + length(message)];
                sign(message, count.fetch_add(1, Ordering::SeqCst))
            }
            _ => Response::Message(list.to_vec()),
        };
        match response {
            Response::Message(message) => {
                let mut framed = Vec::new();
                string(&mut framed, &message);
                if stream.write_all(&framed).is_err() {
                    return;
                }
            }
            Response::Hang => {
                // Until the other side gives up.
                let _ = stream.read(&mut [0]);
                return;
            }
            Response::Close => return,
        }
    }
}

fn length(bytes: &[u8]) -> usize {
    let length = bytes.first_chunk().expect("a length");
    usize::try_from(u32::from_be_bytes(*length)).expect("a short one")
}

fn read(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).ok()?];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}
