//! What goes to the client: JSON on one line.

/// JSON without a line break. There is no other way to standard output.
pub(super) struct Line(Vec<u8>);

impl Line {
    /// Within the strings of JSON there are no line breaks, and between its parts a space is as good.
    pub(super) fn of(json: &str) -> Self {
        let mut line = json.trim().as_bytes().to_vec();
        for byte in &mut line {
            if matches!(*byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        Self(line)
    }

    pub(super) fn batch(lines: &[Self]) -> Self {
        let lines: Vec<_> = lines.iter().map(|line| &line.0[..]).collect();
        Self([b"[", &lines.join(&b","[..])[..], b"]"].concat())
    }

    /// With the line break at its end.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.0.push(b'\n');
        self.0
    }
}
