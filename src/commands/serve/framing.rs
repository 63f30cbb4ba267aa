//! Where each request of a connection ends, and whether its head is written as RFC 9112 says.
//!
//! hyper accepts more: line ends without a CR, a length beside chunks. Where two servers read a message
//! differently, a second request can be hidden in it, so such a message is refused before hyper sees it.

use super::rejection::Rejection;

/// The longest head of a request, and of a line of chunks, in bytes.
const HEAD_LIMIT: usize = 32 * 1024;
const CHUNK_LINE_LIMIT: usize = 256;

/// How many headers may follow a body, and how long each may be.
const TRAILERS_LIMIT: usize = 8;
const TRAILER_LIMIT: usize = 1024;

const HEADERS_LIMIT: usize = 100;

/// What comes next on a connection.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Framing {
    Head,
    /// So many bytes of a body.
    Sized(u64),
    /// The line with the size of a chunk.
    ChunkSize,
    /// So many bytes of a chunk.
    ChunkData(u64),
    ChunkEnd,
    /// The headers after the last chunk, of which there were so many, or the empty line that ends them.
    /// hyper reads them, and they are not sent on.
    Trailers(usize),
    /// Another protocol: a WebSocket.
    Upgraded,
}

impl Framing {
    /// How many of the bytes that were received can be passed on. 0 if more of them are needed.
    pub(super) fn next(&mut self, received: &[u8]) -> Result<usize, Rejection> {
        let all = received.len();
        match *self {
            Self::Upgraded => Ok(all),
            Self::Head => {
                let Some(end) = head_end(received)? else {
                    return Ok(0);
                };
                *self = body_after(&received[..end])?;
                Ok(end)
            }
            Self::Sized(left) => {
                let (passed, left) = part(all, left);
                *self = if left == 0 {
                    Self::Head
                } else {
                    Self::Sized(left)
                };
                Ok(passed)
            }
            Self::ChunkData(left) => {
                let (passed, left) = part(all, left);
                *self = if left == 0 {
                    Self::ChunkEnd
                } else {
                    Self::ChunkData(left)
                };
                Ok(passed)
            }
            Self::ChunkSize => {
                let Some(line) = line(received, CHUNK_LINE_LIMIT)? else {
                    return Ok(0);
                };
                *self = match chunk_size(line)? {
                    0 => Self::Trailers(0),
                    size => Self::ChunkData(size),
                };
                Ok(line.len() + 2)
            }
            Self::ChunkEnd => match received {
                [b'\r', b'\n', ..] => {
                    *self = Self::ChunkSize;
                    Ok(2)
                }
                [] | [b'\r'] => Ok(0),
                _ => Err(Rejection::Malformed),
            },
            Self::Trailers(count) => {
                let Some(line) = line(received, TRAILER_LIMIT)? else {
                    return Ok(0);
                };
                if line.is_empty() {
                    *self = Self::Head;
                } else if count < TRAILERS_LIMIT {
                    header(line)?;
                    *self = Self::Trailers(count + 1);
                } else {
                    return Err(Rejection::HeadTooLarge);
                }
                Ok(line.len() + 2)
            }
        }
    }
}

/// How much of what is left was received, and what is left after it.
fn part(received: usize, left: u64) -> (usize, u64) {
    let passed = usize::try_from(left).map_or(received, |left| left.min(received));
    (passed, left - passed as u64)
}

/// The end of a head, after its empty line.
fn head_end(received: &[u8]) -> Result<Option<usize>, Rejection> {
    let mut start = 0;
    loop {
        let rest = received.get(start..).unwrap_or_default();
        let Some(line) = line(rest, HEAD_LIMIT.saturating_sub(start))? else {
            return Ok(None);
        };
        start += line.len() + 2;
        if line.is_empty() {
            return Ok(Some(start));
        }
    }
}

/// The bytes up to the next CR LF. None if it was not received yet.
fn line(received: &[u8], limit: usize) -> Result<Option<&[u8]>, Rejection> {
    let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    match received.iter().position(is_end) {
        Some(end) if end > limit => Err(Rejection::HeadTooLarge),
        None if received.len() > limit => Err(Rejection::HeadTooLarge),
        None => Ok(None),
        Some(end) => match &received[end..] {
            [b'\r', b'\n', ..] => Ok(Some(&received[..end])),
            [b'\r'] => Ok(None),
            _ => Err(Rejection::Malformed),
        },
    }
}

/// The size of a chunk in hexadecimal digits, and extensions, which have no meaning here.
fn chunk_size(line: &[u8]) -> Result<u64, Rejection> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let is_valid = (1..=15).contains(&digits.len())
        && digits.iter().all(u8::is_ascii_hexdigit)
        && line.iter().all(|byte| (b' '..=b'~').contains(byte));
    let text = str::from_utf8(digits).ok().filter(|_| is_valid);
    let size = text.and_then(|text| u64::from_str_radix(text, 16).ok());
    size.ok_or(Rejection::Malformed)
}

/// The body that follows a head (RFC 9112 §6.3).
fn body_after(head: &[u8]) -> Result<Framing, Rejection> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let mut lines = lines
        .by_ref()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    check_request_line(lines.next().unwrap_or_default())?;
    let (mut length, mut is_chunked, mut count) = (None, false, 0);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = header(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let number = digits(value).ok_or(Rejection::Malformed)?;
            if length.replace(number).is_some() {
                return Err(Rejection::Malformed);
            }
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Rejection::Malformed);
            }
            is_chunked = true;
        }
        count += 1;
    }
    match (length, is_chunked) {
        _ if count > HEADERS_LIMIT => Err(Rejection::HeadTooLarge),
        (Some(_), true) => Err(Rejection::Malformed),
        (None, true) => Ok(Framing::ChunkSize),
        (None | Some(0), false) => Ok(Framing::Head),
        (Some(length), false) => Ok(Framing::Sized(length)),
    }
}

fn check_request_line(line: &[u8]) -> Result<(), Rejection> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Rejection::Malformed);
    };
    if method.is_empty() || !method.iter().copied().all(is_of_token) {
        return Err(Rejection::Malformed);
    }
    // Not an absolute URL, which would name another server, nor `*`, nor HOST:PORT for CONNECT.
    let is_path = target.first() == Some(&b'/');
    let is_visible = target.iter().all(|byte| (b'!'..=b'~').contains(byte));
    if !is_path || !is_visible || target.contains(&b'#') {
        return Err(Rejection::Malformed);
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => Ok(()),
        _ => Err(Rejection::Malformed),
    }
}

/// The name and the value of a header. A line that begins with a space would continue the one before.
fn header(line: &[u8]) -> Result<(&[u8], &[u8]), Rejection> {
    let colon = line.iter().position(|byte| *byte == b':');
    let (name, value) = line.split_at(colon.ok_or(Rejection::Malformed)?);
    let is_in_value = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if name.is_empty() || !name.iter().copied().all(is_of_token) || !value.iter().all(is_in_value) {
        return Err(Rejection::Malformed);
    }
    Ok((name, value[1..].trim_ascii()))
}

/// Whether a method or the name of a header may have this byte (RFC 9110 §5.6.2).
fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn digits(text: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(text).ok().filter(|_| is_number)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Framing, Rejection};

    /// What is passed on of these bytes, if they arrive in pieces of this size.
    fn pass(bytes: &[u8], piece: usize) -> Result<Vec<u8>, Rejection> {
        let mut framing = Framing::Head;
        let (mut passed, mut waiting) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            waiting.extend_from_slice(piece);
            loop {
                let count = framing.next(&waiting)?;
                if count == 0 {
                    break;
                }
                passed.extend(waiting.drain(..count));
                if waiting.is_empty() {
                    break;
                }
            }
        }
        Ok(passed)
    }

    #[test]
    fn messages_are_passed_on_whole_however_they_arrive() {
        let requests = b"GET /a HTTP/1.1\r\nHost: x\r\nA:\xfc\r\n\r\n\
            POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nGET /\
            PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nab\r\nc\r\n0\r\nA: b\r\nC: d\r\n\r\n\
            GET /d?{} HTTP/1.0\r\n\r\n";
        for piece in [1, 2, 3, 7, 50, 1000] {
            assert_eq!(
                pass(requests, piece).as_deref(),
                Ok(&requests[..]),
                "{piece}"
            );
        }
    }

    #[test]
    fn what_two_servers_could_read_differently_is_refused() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let body = |body: &str| [chunked, body].concat();
        for request in [
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
            "GET / HTTP/1.1\r\nA\r\n\r\n",
            "GET / HTTP/1.1\n\n",
            "\r\nGET / HTTP/1.1\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "GET / HTTP/2.0\r\n\r\n",
            "GET /#a HTTP/1.1\r\n\r\n",
            "GET http://x/ HTTP/1.1\r\n\r\n",
            "CONNECT x:1 HTTP/1.1\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\n\r\n",
            &body("x\r\n"),
            &body("0x1\r\na\r\n"),
            &body("1\na\r\n"),
            &body("1\r\nab\r\n"),
            &body("0\r\nA\r\n\r\n"),
            &body("0\r\nA: b\r\n c\r\n\r\n"),
            &body("0\r\nA: b\n\r\n"),
            &body("ffffffffffffffff\r\n"),
        ] {
            for piece in [1, 1000] {
                let passed = pass(request.as_bytes(), piece);
                assert_eq!(passed, Err(Rejection::Malformed), "{request:?}");
            }
        }
        let long = format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(40_000));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
        let trailers = body(&format!("0\r\n{}\r\n", "A: b\r\n".repeat(9)));
        for request in [long, many, trailers] {
            let passed = pass(request.as_bytes(), 1000);
            assert_eq!(passed, Err(Rejection::HeadTooLarge));
        }
    }
}
