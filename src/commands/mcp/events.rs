//! Server-sent events (HTML, section 9.2.6), read from pieces of any size.

use std::time::Duration;

use hyper::header::HeaderValue;

/// Where a stream can be resumed, and when.
#[derive(Default)]
pub(super) struct Position {
    pub(super) last_event_id: Option<HeaderValue>,
    /// How long the server wants a client to wait before it connects again.
    pub(super) retry: Option<Duration>,
    /// How many events there were, with an id or a message.
    pub(super) events: u64,
}

/// The data of an event is longer than the limit.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct TooLong;

/// Puts events together.
pub(super) struct EventParser {
    /// In bytes, of the data of an event.
    limit: usize,
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    /// The name of the event, if it is not `message`.
    is_other: bool,
    id: Option<Vec<u8>>,
    is_after_cr: bool,
    is_at_start: bool,
}

impl EventParser {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            data: None,
            is_other: false,
            id: None,
            is_after_cr: false,
            is_at_start: true,
        }
    }

    /// Reads the next piece, and adds the data of its messages to the list.
    ///
    /// # Errors
    /// An event is too long. Nothing after it can be read.
    pub(super) fn read(
        &mut self,
        mut bytes: &[u8],
        position: &mut Position,
        messages: &mut Vec<Vec<u8>>,
    ) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.is_after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let part = &bytes[..end.unwrap_or(bytes.len())];
            let data_length = self.data.as_ref().map_or(0, Vec::len);
            if self.line.len() + data_length + part.len() > self.limit {
                // The stream can go on after it.
                self.keep_id(position);
                return Err(TooLong);
            }
            self.line.extend_from_slice(part);
            let Some(end) = end else { break };
            self.is_after_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.line);
            messages.extend(self.read_line(&line, position));
            self.line = line;
            self.line.clear();
        }
        Ok(())
    }

    /// Reads a line, and returns the data of a message that ends with it.
    fn read_line(&mut self, mut line: &[u8], position: &mut Position) -> Option<Vec<u8>> {
        if std::mem::take(&mut self.is_at_start) {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        if line.is_empty() {
            return self.end_event(position);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                None => self.data = Some(value.to_vec()),
            },
            b"event" => self.is_other = !matches!(value, b"" | b"message"),
            b"id" if !value.contains(&0) => self.id = Some(value.to_vec()),
            b"retry" => {
                let digits = str::from_utf8(value).ok();
                let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
                if let Some(milliseconds) = digits.and_then(|text| text.parse().ok()) {
                    position.retry = Some(Duration::from_millis(milliseconds));
                }
            }
            _ => {}
        }
        None
    }

    fn keep_id(&mut self, position: &mut Position) {
        if let Some(id) = self.id.take() {
            // An empty one takes the last one back. One that no header can have cannot be sent back.
            let id = Some(id).filter(|id| !id.is_empty());
            position.last_event_id = id.and_then(|id| HeaderValue::from_bytes(&id).ok());
            position.events += 1;
        }
    }

    fn end_event(&mut self, position: &mut Position) -> Option<Vec<u8>> {
        self.keep_id(position);
        let data = self.data.take();
        let is_other = std::mem::take(&mut self.is_other);
        // One without data says only where the stream is.
        let data = data.filter(|data| !is_other && !data.is_empty())?;
        position.events += 1;
        Some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The messages, and the last id.
    fn read(pieces: &[&[u8]]) -> (Vec<String>, Option<String>, Option<Duration>) {
        let mut parser = EventParser::new(100);
        let (mut position, mut messages) = (Position::default(), Vec::new());
        for piece in pieces {
            let read = parser.read(piece, &mut position, &mut messages);
            assert_eq!(read, Ok(()), "{piece:?}");
        }
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let id = position.last_event_id.as_ref();
        let id = id.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        (messages.iter().map(text).collect(), id, position.retry)
    }

    #[test]
    fn events_are_read_with_every_end_of_line_and_from_pieces_of_any_size() {
        let stream = "\u{feff}: comment\nevent: message\ndata: a\ndata:b\nid: 1\n\nevent: ping\ndata: x\n\n\
                      id: ü2\nretry: 1500\ndata:\n\ndata: c\nretry: x\nignored: y\n\ndata: no end\nid: 3\n";
        let expected = (
            vec!["a\nb".to_owned(), "c".to_owned()],
            Some("ü2".to_owned()),
            Some(Duration::from_millis(1500)),
        );
        for end in ["\n", "\r\n", "\r"] {
            let bytes = stream.replace('\n', end).into_bytes();
            assert_eq!(read(&[&bytes]), expected, "{end:?}");
            for size in [1, 2, 3, 7] {
                let pieces: Vec<_> = bytes.chunks(size).collect();
                assert_eq!(read(&pieces), expected, "{end:?} {size}");
            }
        }
    }

    #[test]
    fn an_id_that_cannot_be_sent_back_is_none() {
        assert_eq!(read(&[b"id: 1\n\nid\n\n"]).1, None);
        assert_eq!(read(&[b"id: 1\n\nid: a\x01\n\n"]).1, None);
        assert_eq!(read(&[b"id: 1\n\nid: a\0\n\n"]).1.as_deref(), Some("1"));
    }

    #[test]
    fn an_event_has_a_limit() {
        let mut parser = EventParser::new(10);
        let (mut position, mut messages) = (Position::default(), Vec::new());
        let mut read = |bytes: &[u8]| parser.read(bytes, &mut position, &mut messages);
        assert_eq!(read(b"data:1234\n\ndata:12345\n\n"), Ok(()));
        assert_eq!(read(b"data:12\ndata:3"), Ok(()));
        assert_eq!(read(b"456"), Err(TooLong));
        assert_eq!(messages.len(), 2);
        let mut parser = EventParser::new(10);
        let read = parser.read(b"id: 7\ndata:12345678", &mut position, &mut messages);
        assert_eq!(read, Err(TooLong));
        let id = position.last_event_id.expect("an id");
        assert_eq!(id, "7", "the stream goes on after it");
    }
}
