//! Public keys and signatures as SSH writes them (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::types::digest::sha256;

/// The fewest bits of an RSA key.
const FEWEST_RSA_BITS: usize = 2048;

/// The most bits of an RSA key that signatures are verified with.
const MOST_RSA_BITS: usize = 8192;

/// Reads SSH's data types (RFC 4251 §5), one after the other.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub(crate) fn uint32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*bytes))
    }

    pub(crate) fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.uint32()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// A number that is not negative, without leading zeros.
    pub(crate) fn mpint(&mut self) -> Option<&'a [u8]> {
        let bytes = self.string()?;
        let is_negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        (!is_negative).then(|| without_zeros(bytes))
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

/// Appends a string (RFC 4251 §5). What hallpass sends is far below 4 GiB.
pub(crate) fn put_string(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    to.extend(bytes);
}

/// A public key's content.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Content<'a> {
    Rsa {
        modulus: &'a [u8],
        exponent: &'a [u8],
    },
    /// An uncompressed point of P-256.
    P256(&'a [u8]),
    /// An uncompressed point of P-384.
    P384(&'a [u8]),
    Ed25519(&'a [u8]),
}

/// A public key, in SSH's encoding. A settings file has it as OpenSSH writes it: `ssh-ed25519 AAAA...`.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SshPublicKey(Vec<u8>);

impl SshPublicKey {
    pub(crate) fn new(blob: Vec<u8>) -> Self {
        Self(blob)
    }

    /// The encoding of a key that was read from another format.
    pub(crate) fn of(content: Content<'_>) -> Self {
        let mut blob = Vec::new();
        let mut put = |bytes: &[u8]| put_string(&mut blob, bytes);
        match content {
            Content::Rsa { modulus, exponent } => {
                put(b"ssh-rsa");
                put(&mpint(exponent));
                put(&mpint(modulus));
            }
            Content::P256(point) => {
                put(b"ecdsa-sha2-nistp256");
                put(b"nistp256");
                put(point);
            }
            Content::P384(point) => {
                put(b"ecdsa-sha2-nistp384");
                put(b"nistp384");
                put(point);
            }
            Content::Ed25519(key) => {
                put(b"ssh-ed25519");
                put(key);
            }
        }
        Self(blob)
    }

    pub(crate) fn blob(&self) -> &[u8] {
        &self.0
    }

    /// The key type's name, such as `ssh-ed25519`; empty if the encoding is damaged.
    pub(crate) fn kind(&self) -> String {
        let kind = Reader(&self.0).string().unwrap_or_default();
        String::from_utf8_lossy(kind).into_owned()
    }

    /// None for a key that cannot sign what hallpass needs: a certificate, a security key (its
    /// signature covers other data), another curve.
    pub(crate) fn content(&self) -> Option<Content<'_>> {
        let mut reader = Reader(&self.0);
        let content = match reader.string()? {
            b"ssh-rsa" => {
                let exponent = reader.mpint()?;
                let modulus = reader.mpint()?;
                Content::Rsa { modulus, exponent }
            }
            b"ssh-ed25519" => Content::Ed25519(reader.string().filter(|key| key.len() == 32)?),
            b"ecdsa-sha2-nistp256" => {
                reader.string().filter(|curve| *curve == b"nistp256")?;
                Content::P256(reader.string().filter(|point| is_point(point, 32))?)
            }
            b"ecdsa-sha2-nistp384" => {
                reader.string().filter(|curve| *curve == b"nistp384")?;
                Content::P384(reader.string().filter(|point| is_point(point, 48))?)
            }
            _ => return None,
        };
        reader.is_at_end().then_some(content)
    }

    /// Why no assertion can be signed with this key; fit to follow "the key ". None if one can.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let kind = self.kind();
        match self.content() {
            Some(Content::Rsa { modulus, .. }) => match bits(modulus) {
                ..FEWEST_RSA_BITS => Some("is an RSA key of fewer than 2048 bits"),
                FEWEST_RSA_BITS..=MOST_RSA_BITS => None,
                _ => Some("is an RSA key of more than 8192 bits"),
            },
            Some(_) => None,
            None if kind.starts_with("sk-") => {
                Some("is a security key (sk-), which does not sign assertions but its own format")
            }
            None if kind.contains("-cert-") => Some("is an SSH certificate"),
            None if kind == "ssh-dss" => Some("is a DSA key, which cannot sign assertions"),
            None if kind == "ecdsa-sha2-nistp521" => {
                Some("is on the curve P-521, which hallpass does not support")
            }
            None => Some("is of a kind that hallpass does not support"),
        }
    }

    /// As `ssh-add -l` prints it: `SHA256:` and base64 without padding.
    pub(crate) fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(sha256(&self.0)))
    }
}

impl From<SshPublicKey> for String {
    fn from(key: SshPublicKey) -> Self {
        format!("{} {}", key.kind(), STANDARD.encode(key.blob()))
    }
}

impl TryFrom<String> for SshPublicKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let blob = text.split_whitespace().nth(1);
        let blob = blob.and_then(|blob| STANDARD.decode(blob).ok());
        blob.map(Self).ok_or("not a public key of SSH")
    }
}

impl fmt::Debug for SshPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

/// A number without its leading zeros.
pub(crate) fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// A number without leading zeros as SSH encodes it (RFC 4251 §5): a high bit would be a sign.
fn mpint(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = match number.first() {
        Some(0x80..) => &[0],
        _ => &[],
    };
    [sign, number].concat()
}

/// The size of a number without leading zeros.
fn bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |byte| byte.leading_zeros());
    (8 * number.len()).saturating_sub(unused as usize)
}

fn is_point(bytes: &[u8], length: usize) -> bool {
    bytes.len() == 1 + 2 * length && bytes[0] == 4
}

/// A signature: the algorithm's name in SSH, and what it computed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct SshSignature {
    pub(crate) algorithm: String,
    pub(crate) bytes: Vec<u8>,
}

impl SshSignature {
    pub(crate) fn parse(blob: &[u8]) -> Option<Self> {
        let mut reader = Reader(blob);
        let algorithm = String::from_utf8(reader.string()?.to_vec()).ok()?;
        let bytes = reader.string()?.to_vec();
        reader.is_at_end().then_some(Self { algorithm, bytes })
    }

    /// With ECDSA's two numbers at a fixed length each (RFC 7518 §3.4). Other signatures are returned as they
    /// are.
    pub(crate) fn fixed_length(&self) -> Option<Vec<u8>> {
        let length = match self.algorithm.as_str() {
            "ecdsa-sha2-nistp256" => 32,
            "ecdsa-sha2-nistp384" => 48,
            _ => return Some(self.bytes.clone()),
        };
        let mut reader = Reader(&self.bytes);
        let numbers = [reader.mpint()?, reader.mpint()?];
        let fixed = at_fixed_length(&numbers, length)?;
        reader.is_at_end().then_some(fixed)
    }
}

/// Numbers without leading zeros, each padded to this length in bytes. None if one is longer.
pub(crate) fn at_fixed_length(numbers: &[&[u8]], length: usize) -> Option<Vec<u8>> {
    let mut fixed = Vec::with_capacity(numbers.len() * length);
    for number in numbers {
        fixed.resize(fixed.len() + length.checked_sub(number.len())?, 0);
        fixed.extend(*number);
    }
    Some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(base64: &str) -> SshPublicKey {
        SshPublicKey::new(STANDARD.decode(base64).expect("base64"))
    }

    fn strings(parts: &[&[u8]]) -> Vec<u8> {
        let mut blob = Vec::new();
        for part in parts {
            put_string(&mut blob, part);
        }
        blob
    }

    #[test]
    fn a_key_is_read_and_its_fingerprint_is_the_one_that_ssh_prints() {
        let key = key("AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f");
        assert_eq!(key.kind(), "ssh-ed25519");
        let Some(Content::Ed25519(bytes)) = key.content() else {
            panic!("{key:?}");
        };
        assert_eq!(bytes, (0..32).collect::<Vec<u8>>());
        assert_eq!(
            key.fingerprint(),
            "SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA"
        );
    }

    #[test]
    fn a_key_keeps_its_encoding_through_settings() {
        let point = [&[4][..], &[7; 64]].concat();
        let longer = [&[4][..], &[7; 96]].concat();
        for content in [
            Content::Rsa {
                modulus: &[0x80; 256],
                exponent: &[1, 0, 1],
            },
            Content::P256(&point),
            Content::P384(&longer),
            Content::Ed25519(&[9; 32]),
        ] {
            let key = SshPublicKey::of(content);
            assert_eq!(key.content(), Some(content));
            assert_eq!(key.fault(), None);
            let json = serde_json::to_string(&key).expect("JSON");
            assert_eq!(serde_json::from_str::<SshPublicKey>(&json).ok(), Some(key));
        }
        for text in ["", "ssh-ed25519", "ssh-ed25519 !"] {
            assert!(SshPublicKey::try_from(text.to_owned()).is_err());
        }
    }

    #[test]
    fn a_key_that_cannot_sign_has_a_reason() {
        let short = SshPublicKey::of(Content::Rsa {
            modulus: &[&[0x7f][..], &[1; 255]].concat(),
            exponent: &[1, 0, 1],
        });
        assert!(short.fault().is_some_and(|it| it.contains("2048")));
        for (kind, reason) in [
            ("sk-ssh-ed25519@openssh.com", "security key"),
            ("ssh-ed25519-cert-v01@openssh.com", "certificate"),
            ("ssh-dss", "DSA"),
            ("ecdsa-sha2-nistp521", "P-521"),
            ("ssh-unknown", "does not support"),
        ] {
            let key = SshPublicKey::new(strings(&[kind.as_bytes()]));
            let fault = key.fault();
            assert!(fault.is_some_and(|it| it.contains(reason)), "{kind}");
        }
    }

    #[test]
    fn a_damaged_key_has_no_content() {
        let point = [&[4][..], &[7; 64]].concat();
        let whole = strings(&[b"ecdsa-sha2-nistp256", b"nistp256", &point]);
        assert_eq!(
            SshPublicKey::new(whole.clone()).content(),
            Some(Content::P256(&point))
        );
        for length in 0..whole.len() {
            let key = SshPublicKey::new(whole[..length].to_vec());
            assert_eq!(key.content(), None, "{length} bytes");
        }
        let longer = [&whole[..], b"x"].concat();
        assert_eq!(SshPublicKey::new(longer).content(), None);
        let other_curve = strings(&[b"ecdsa-sha2-nistp256", b"nistp384", &point]);
        assert_eq!(SshPublicKey::new(other_curve).content(), None);
        let compressed = strings(&[b"ecdsa-sha2-nistp256", b"nistp256", &[2; 33]]);
        assert_eq!(SshPublicKey::new(compressed).content(), None);
    }

    #[test]
    fn ecdsa_numbers_of_any_length_get_a_fixed_one() {
        for (r, s) in [
            (&[1; 32][..], &[2; 32][..]),
            (&[0, 0x80, 1][..], &[5][..]),
            (&[7; 31][..], &[9; 30][..]),
        ] {
            let bytes = strings(&[r, s]);
            let blob = strings(&[b"ecdsa-sha2-nistp256", &bytes]);
            let signature = SshSignature::parse(&blob).expect("a signature");
            let fixed = signature.fixed_length().expect("two numbers");
            assert_eq!(fixed.len(), 64);
            assert_eq!(without_zeros(&fixed[..32]), without_zeros(r));
            assert_eq!(without_zeros(&fixed[32..]), without_zeros(s));
        }
        for bad in [
            strings(&[&[1; 33], &[2; 32]]),
            strings(&[&[0x80], &[2; 32]]),
            strings(&[&[1; 32]]),
            strings(&[&[1; 32], &[2; 32], &[3]]),
        ] {
            let signature = SshSignature {
                algorithm: "ecdsa-sha2-nistp256".to_owned(),
                bytes: bad,
            };
            assert_eq!(signature.fixed_length(), None);
        }
    }
}
