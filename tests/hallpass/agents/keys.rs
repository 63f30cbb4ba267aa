//! Keys in the formats of OpenSSH.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::material::{Material, openssl};

/// What precedes the 32 bytes of an Ed25519 key in DER (RFC 8410).
const ED25519_PUBLIC: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

pub(super) fn string(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a short string");
    to.extend(length.to_be_bytes());
    to.extend(bytes);
}

pub(super) fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        string(&mut all, part);
    }
    all
}

/// The content of a PEM block.
pub(super) fn der(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).expect("base64")
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64);
    let lines = lines.map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    let lines: String = lines.collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

/// Writes the test's Ed25519 key as OpenSSH does (PROTOCOL.key): this version reads no PKCS #8 of it.
pub(super) fn convert_ed25519(material: &Material) -> String {
    let private = std::fs::read_to_string(material.path("ed25519.pem")).expect("a key");
    let private = der(&private);
    let seed = &private[private.len() - 32..];
    let public = std::fs::read_to_string(material.path("ed25519.pub")).expect("a key");
    let public = der(&public);
    let public = &public[public.len() - 32..];
    let mut content = [[7; 4], [7; 4]].concat();
    content.extend(strings(&[
        b"ssh-ed25519",
        public,
        &[seed, public].concat(),
        b"a comment",
    ]));
    let padding = (8 - content.len() % 8) % 8;
    content.extend((1..).take(padding));
    let mut key = b"openssh-key-v1\0".to_vec();
    key.extend(strings(&[b"none", b"none", b""]));
    key.extend(1_u32.to_be_bytes());
    key.extend(strings(&[&strings(&[b"ssh-ed25519", public]), &content]));
    material.write("ed25519.openssh", &pem("OPENSSH PRIVATE KEY", &key));
    material.argument("ed25519.openssh")
}

/// Writes a public key that OpenSSH printed as PEM, and returns its path.
pub(super) fn public_pem(directory: &Path, line: &str) -> String {
    let kind = line.split(' ').next().expect("a kind");
    let blob = line.split(' ').nth(1).expect("a key");
    let name = directory.join(format!(
        "{}.pem",
        &blob[blob.len() - 12..].replace('/', "_")
    ));
    let text = if kind == "ssh-ed25519" {
        let blob = STANDARD.decode(blob).expect("base64");
        let spki = [ED25519_PUBLIC, &blob[blob.len() - 32..]].concat();
        pem("PUBLIC KEY", &spki)
    } else {
        let file = name.with_extension("pub");
        std::fs::write(&file, line).expect("a file");
        super::programs::output(
            std::process::Command::new("ssh-keygen")
                .args(["-e", "-m", "PKCS8", "-f"])
                .arg(&file),
        )
    };
    std::fs::write(&name, text).expect("a file");
    name.to_str().expect("UTF-8").to_owned()
}

/// The point of a P-256 public key in PEM.
pub(super) fn p256_point(path: &str) -> Vec<u8> {
    let der = der(&openssl(&["pkey", "-pubin", "-in", path, "-pubout"]));
    der[der.len() - 65..].to_vec()
}
