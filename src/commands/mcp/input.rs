//! Standard input: one message on each line. A thread reads it, because a read cannot be interrupted.

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::thread;

use hyper::body::Bytes;
use tokio::sync::mpsc;

use super::jsonrpc::{BYTE_ORDER_MARK, Id, id_of_request};
use crate::error::{Error, Result};
use crate::platform;

/// The longest message, in bytes: a file of 48 MB in Base64. The client and the server keep each of them in
/// memory, so longer ones are not usual.
pub(super) const MESSAGE_LIMIT: usize = 64 * 1024 * 1024;

/// How many messages wait until they can be sent.
const QUEUE_LENGTH: usize = 4;

/// What was read.
pub(super) enum Input {
    Line(Bytes),
    /// A message over the limit. The id is that of a request.
    TooLong(Option<Id>),
}

/// Reads lines until the end of the input. The channel then ends.
///
/// # Errors
/// There can be no more threads.
pub(super) fn start() -> Result<mpsc::Receiver<Input>> {
    let (sender, lines) = mpsc::channel(QUEUE_LENGTH);
    let read = move || {
        let mut input = BufReader::with_capacity(64 * 1024, platform::standard_input());
        while let Some(line) = next(&mut input, MESSAGE_LIMIT) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    };
    let thread = thread::Builder::new().spawn(read);
    thread.map_err(|error| Error::broken("cannot start a thread").because(error))?;
    Ok(lines)
}

/// The next line that is not empty. None at the end, or if the input cannot be read.
fn next(input: &mut impl BufRead, limit: usize) -> Option<Input> {
    loop {
        let mut line = Vec::new();
        let mut beginning = input.take(limit as u64 + 1);
        beginning.read_until(b'\n', &mut line).ok()?;
        if line.is_empty() {
            return None;
        }
        let is_too_long = line.len() > limit && !line.ends_with(b"\n");
        let mark = BYTE_ORDER_MARK.to_string();
        if line.starts_with(mark.as_bytes()) {
            line.drain(..mark.len());
        }
        if is_too_long {
            return Some(Input::TooLong(id_of_long(line, input)));
        }
        line.truncate(line.trim_ascii_end().len());
        if !line.is_empty() {
            return Some(Input::Line(line.into()));
        }
    }
}

/// Reads the rest of a long line, and finds the id of a request, wherever it is. None if the line is no
/// request.
fn id_of_long(start: Vec<u8>, input: &mut impl BufRead) -> Option<Id> {
    let mut rest = RestOfLine {
        input,
        is_read: false,
    };
    let line = BufReader::new(Cursor::new(start).chain(&mut rest));
    let id = id_of_request(line);
    let _ = io::copy(&mut rest, &mut io::sink());
    id
}

/// What comes before the next line break.
struct RestOfLine<'a, R> {
    input: &'a mut R,
    is_read: bool,
}

impl<R: BufRead> Read for RestOfLine<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_read {
            return Ok(0);
        }
        let available = self.input.fill_buf()?;
        let end = available.iter().position(|byte| *byte == b'\n');
        let count = end.unwrap_or(available.len()).min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.is_read = end == Some(count) || available.is_empty();
        self.input.consume(count + usize::from(end == Some(count)));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_long_ones_only_for_their_id() {
        let long = "x".repeat(40);
        let text = format!(
            "{{\"id\":1}}\n\r\n \n{{\"id\":2}}\r\n{{\"params\":\"{long}\",\"method\":\"m\",\"id\":\"3\"}}\n\
             {{\"result\":\"{long}\",\"id\":4}}\n{{\"method\":\"m\",\"id\":5,\"p\":\"{long}\"\n{{\"id\":6}}"
        );
        for size in [1, 7, 1000] {
            let mut input = BufReader::with_capacity(size, text.as_bytes());
            let mut seen = Vec::new();
            while let Some(read) = next(&mut input, 30) {
                seen.push(match read {
                    Input::Line(line) => String::from_utf8_lossy(&line).trim().to_owned(),
                    Input::TooLong(id) => format!("too long: {:?}", id.map(|id| id.to_string())),
                });
            }
            let expected = [
                "{\"id\":1}",
                "{\"id\":2}",
                "too long: Some(\"\\\"3\\\"\")",
                "too long: None",
                "too long: None",
                "{\"id\":6}",
            ];
            assert_eq!(seen, expected, "{size}");
        }
    }
}
