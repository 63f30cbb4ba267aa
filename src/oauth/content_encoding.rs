//! Compressed bodies. hallpass does not ask for them, but some servers and proxies still compress.

use std::io::Read;

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::json::{Json, in_utf8};

/// Why a body cannot be decoded.
#[derive(Debug, PartialEq)]
pub(super) enum CodingFault {
    TooLarge,
    /// What follows "the response from URL ".
    Unreadable(String),
}

/// Reverses the codings that a `Content-Encoding` header lists, in the order in which they were applied.
///
/// # Errors
/// `TooLarge` when a result would have more than `limit` bytes: a small body can stand for gigabytes.
pub(super) fn decode(
    codings: &str,
    mut body: Vec<u8>,
    limit: usize,
) -> Result<Vec<u8>, CodingFault> {
    // Some servers send the header for a body that is not compressed.
    if body.is_empty() || is_json_object(&body) {
        return Ok(body);
    }
    for coding in codings.rsplit(',') {
        body = match coding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => body,
            "gzip" | "x-gzip" => inflate(MultiGzDecoder::new(&*body), limit)?,
            // Some servers leave out the wrapper that RFC 9110 §8.4.1.2 requires.
            "deflate" => match inflate(ZlibDecoder::new(&*body), limit) {
                Err(CodingFault::Unreadable(_)) => inflate(DeflateDecoder::new(&*body), limit)?,
                decoded => decoded?,
            },
            other => {
                let name = other.split(|c: char| !c.is_ascii_alphanumeric()).next();
                return Err(CodingFault::Unreadable(format!(
                    "is compressed with {}, which hallpass neither asks for nor supports",
                    name.filter(|name| !name.is_empty())
                        .unwrap_or("an unknown method")
                )));
            }
        };
    }
    Ok(body)
}

fn inflate(compressed: impl Read, limit: usize) -> Result<Vec<u8>, CodingFault> {
    let mut decoded = Vec::new();
    let mut limited = compressed.take(limit as u64 + 1);
    match limited.read_to_end(&mut decoded) {
        _ if decoded.len() > limit => Err(CodingFault::TooLarge),
        // A complete object needs no checksum.
        Err(_) if !is_json_object(&decoded) => Err(CodingFault::Unreadable(
            "is compressed and damaged".to_owned(),
        )),
        _ => Ok(decoded),
    }
}

/// Whether this is one complete JSON object, with any content of its members.
pub(super) fn is_json_object(body: &[u8]) -> bool {
    let body = in_utf8(body);
    starts_object(&body) && Json::document(&body).is_some_and(|json| json.members().is_some())
}

/// Whether this could be the beginning of a JSON object.
pub(super) fn starts_object(body: &[u8]) -> bool {
    let body = in_utf8(body);
    body.trim_ascii_start().starts_with(b"{")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = br#"{"access_token": "t"}"#;
    const LIMIT: usize = 1024;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn raw(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn compressed_bodies_are_read() {
        let mut longer = gzip(TEXT);
        longer.extend_from_slice(b"garbage");
        for (codings, body) in [
            ("", TEXT.to_vec()),
            ("identity", TEXT.to_vec()),
            ("gzip", gzip(TEXT)),
            ("GZip", gzip(TEXT)),
            ("x-gzip", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("deflate", raw(TEXT)),
            ("deflate, gzip", gzip(&zlib(TEXT))),
            ("gzip,identity", gzip(TEXT)),
            // The header or the end is wrong, and the object is whole.
            ("gzip", TEXT.to_vec()),
            ("br", TEXT.to_vec()),
            ("gzip", longer),
            ("gzip", gzip(TEXT)[..gzip(TEXT).len() - 4].to_vec()),
        ] {
            assert_eq!(
                decode(codings, body, LIMIT).as_deref(),
                Ok(TEXT),
                "{codings}"
            );
        }
        assert_eq!(decode("gzip", Vec::new(), LIMIT), Ok(Vec::new()));
    }

    #[test]
    fn a_body_that_is_too_large_or_damaged_is_refused() {
        let bomb = gzip(&vec![b' '; 1_000_000]);
        assert_eq!(
            decode("gzip", bomb.clone(), LIMIT),
            Err(CodingFault::TooLarge)
        );
        let twice = gzip(&bomb);
        assert_eq!(
            decode("gzip, gzip", twice, LIMIT),
            Err(CodingFault::TooLarge)
        );
        for (codings, body) in [
            ("gzip", &gzip(TEXT)[..15]),
            ("gzip", b"<html>"),
            ("deflate", b"<html>"),
            ("br", b"\x0b\x02\x80"),
            ("zstd\x1b[31m", b"x"),
        ] {
            let decoded = decode(codings, body.to_vec(), LIMIT);
            let Err(CodingFault::Unreadable(fault)) = decoded else {
                panic!("{codings}: {decoded:?}")
            };
            assert!(!fault.contains('\x1b'), "{fault}");
        }
    }
}
