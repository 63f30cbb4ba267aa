//! Text with fonts, and its lines.

/// A font of roff.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Style {
    Plain,
    Bold,
    /// What the reader replaces, underlined.
    Italic,
}

impl Style {
    /// By the letter that roff has for it.
    pub(super) fn of(letter: char) -> Self {
        match letter {
            'B' => Self::Bold,
            'I' => Self::Italic,
            _ => Self::Plain,
        }
    }

    fn sequence(self) -> &'static str {
        match self {
            Self::Plain => "\u{1b}[0m",
            Self::Bold => "\u{1b}[1m",
            Self::Italic => "\u{1b}[4m",
        }
    }
}

/// Characters with their fonts.
pub(super) type Styled = Vec<(char, Style)>;

/// The lines of a paragraph. A word that is too long has a line of its own.
pub(super) fn fill(text: &[(char, Style)], width: usize) -> Vec<Styled> {
    let mut lines = vec![Styled::new()];
    let words = text.split(|(character, _)| *character == ' ');
    for word in words.filter(|word| !word.is_empty()) {
        let Some(line) = lines.last_mut() else {
            break;
        };
        if line.is_empty() {
            line.extend(word);
        } else if line.len() + 1 + word.len() <= width {
            // Underlined only within a text of one font.
            let styles = [line.last(), word.first()].map(|end| end.map(|(_, style)| *style));
            let style = if styles[0] == styles[1] {
                styles[0]
            } else {
                None
            };
            line.push((' ', style.unwrap_or(Style::Plain)));
            line.extend(word);
        } else {
            lines.push(word.to_vec());
        }
    }
    lines
}

/// As a terminal shows it, or without fonts.
pub(super) fn shown(text: &[(char, Style)], has_color: bool) -> String {
    let mut shown = String::new();
    let mut current = Style::Plain;
    for (character, style) in text {
        if has_color && *style != current {
            if current != Style::Plain {
                shown.push_str(Style::Plain.sequence());
            }
            if *style != Style::Plain {
                shown.push_str(style.sequence());
            }
            current = *style;
        }
        shown.push(*character);
    }
    if current != Style::Plain {
        shown.push_str(Style::Plain.sequence());
    }
    shown
}
