//! Names for values that must not be confused: SHA-256 over fields with their lengths.

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Result};

/// A SHA-256 in the making. Every field is preceded by its length, so that `("ab", "c")` and
/// `("a", "bc")` are two things, and the first field says what kind of thing is named.
pub(crate) struct Digest(Sha256);

impl Digest {
    pub(crate) fn of(kind: &str) -> Self {
        Self(Sha256::new()).field(kind)
    }

    pub(crate) fn field(mut self, field: impl AsRef<[u8]>) -> Self {
        let field = field.as_ref();
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
        self
    }

    /// A list, preceded by its length.
    pub(crate) fn fields<T: AsRef<[u8]>>(self, fields: impl ExactSizeIterator<Item = T>) -> Self {
        let counted = self.field((fields.len() as u64).to_be_bytes());
        fields.fold(counted, Self::field)
    }

    /// An absent field is something else than an empty one.
    pub(crate) fn optional(self, field: Option<impl AsRef<[u8]>>) -> Self {
        self.fields(field.into_iter().collect::<Vec<_>>().into_iter())
    }

    /// 64 hexadecimal digits.
    pub(crate) fn hex(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Plain SHA-256, where a standard says so.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A random ID of 128 bits, in hexadecimal digits.
///
/// # Errors
/// `Broken` when the system has no randomness.
pub(crate) fn unique() -> Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| Error::broken("the system has no randomness").because(error))?;
    Ok(hex(&random))
}

/// Two digits a byte. The general formatter takes more instructions than all the rest of a cached
/// token.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = vec![0; 2 * bytes.len()];
    for (two, byte) in text.chunks_exact_mut(2).zip(bytes) {
        two[0] = DIGITS[usize::from(byte >> 4)];
        two[1] = DIGITS[usize::from(byte & 15)];
    }
    String::from_utf8(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Digest;

    #[test]
    fn fields_do_not_run_together() {
        let digest = |a, b| Digest::of("test").field(a).field(b).hex();
        assert_ne!(digest("ab", "c"), digest("a", "bc"));
        assert_eq!(digest("ab", "c").len(), 64);
    }

    #[test]
    fn an_absent_field_is_not_an_empty_one() {
        let digest = |field: Option<&str>| Digest::of("test").optional(field).hex();
        assert_ne!(digest(None), digest(Some("")));
    }
}
