//! Tables of texts for people: columns with two spaces between them.

use std::borrow::Cow;
use std::iter;

use unicode_width::UnicodeWidthStr as _;

use crate::message;
use crate::platform::Screen;

/// The narrowest that a column is made to fit a terminal.
const NARROWEST: usize = 8;

/// What stands for a part that was cut off.
const CUT: &str = "…";

/// A row of titles, and rows of cells.
pub(super) struct Columns<const N: usize> {
    pub(super) titles: [&'static str; N],
    pub(super) rows: Vec<[String; N]>,
    /// Which columns are cut, the widest first, if the terminal is too narrow for all.
    pub(super) can_be_cut: [bool; N],
}

impl<const N: usize> Columns<N> {
    /// For this terminal. Without one, nothing is cut.
    pub(super) fn text(&self, screen: Option<Screen>) -> String {
        let widths = self.widths(screen.map(|screen| screen.width));
        let mut text = String::new();
        let titles = self.titles.map(str::to_owned);
        let is_bold = screen.is_some_and(|screen| screen.has_color);
        let titles = line(&titles, &widths);
        let titles = if is_bold {
            message::bold(&titles)
        } else {
            titles
        };
        text.extend([&titles, "\n"]);
        for row in &self.rows {
            text.extend([&line(row, &widths), "\n"]);
        }
        text
    }

    fn widths(&self, screen: Option<usize>) -> [usize; N] {
        let mut widths = self.titles.map(str::len);
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        let Some(screen) = screen else {
            return widths;
        };
        loop {
            let total = widths.iter().sum::<usize>() + 2 * (N - 1);
            let cut = (0..N).filter(|column| self.can_be_cut[*column]);
            let widest = cut.max_by_key(|column| widths[*column]);
            match widest {
                Some(widest) if total > screen && widths[widest] > NARROWEST => {
                    widths[widest] -= 1;
                }
                _ => return widths,
            }
        }
    }
}

/// One line, without spaces at its end.
fn line<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let mut line = String::new();
    for (cell, width) in cells.iter().zip(widths) {
        let shown = fitting(cell, *width);
        line.push_str(&shown);
        // A wide character can be cut although one column is left.
        line.extend(iter::repeat_n(' ', width + 2 - shown.width()));
    }
    line.truncate(line.trim_end().len());
    line
}

/// As much of a cell as fits in so many columns of the terminal.
fn fitting(cell: &str, width: usize) -> Cow<'_, str> {
    if cell.width() <= width {
        return cell.into();
    }
    let mut end = cell.len();
    while cell[..end].width() > width - 1 {
        end = cell[..end]
            .char_indices()
            .next_back()
            .map_or(0, |(at, _)| at);
    }
    [&cell[..end], CUT].concat().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns<3> {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        Columns {
            titles: ["NAME", "CLIENT", "SERVER"],
            rows: vec![
                row(["a", "a-client-with-a-long-name", "login.example"]),
                row(["a-profile", "ü", ""]),
            ],
            can_be_cut: [false, true, true],
        }
    }

    fn width(text: &str) -> usize {
        let widths = text.lines().map(|line| line.chars().count());
        widths.max().unwrap_or_default()
    }

    #[test]
    fn without_a_terminal_nothing_is_cut() {
        assert_eq!(
            columns().text(None),
            "NAME       CLIENT                     SERVER\n\
             a          a-client-with-a-long-name  login.example\n\
             a-profile  ü\n"
        );
    }

    #[test]
    fn a_table_fits_the_terminal_as_far_as_columns_can_be_cut() {
        for wanted in [30, 40, 45, 200] {
            let screen = Screen {
                width: wanted,
                has_color: false,
            };
            let text = columns().text(Some(screen));
            assert!(width(&text) <= wanted.max(29), "{text}");
            assert!(text.contains("a-profile  ü"), "{text}");
            assert_eq!(text.contains('…'), wanted < 51, "{text}");
        }
    }

    #[test]
    fn a_column_is_as_wide_as_a_terminal_shows_its_characters() {
        let row = |cells: [&str; 2]| cells.map(str::to_owned);
        let columns = Columns {
            titles: ["CLIENT", "SERVER"],
            rows: vec![row(["日本語クライアント", "a"]), row(["e\u{301}", "b"])],
            can_be_cut: [true, false],
        };
        let shown = |width| {
            columns.text(Some(Screen {
                width,
                has_color: false,
            }))
        };
        let whole =
            "CLIENT              SERVER\n日本語クライアント  a\ne\u{301}                   b\n";
        assert_eq!(columns.text(None), whole);
        assert_eq!(shown(26), whole);
        assert_eq!(
            shown(20),
            "CLIENT        SERVER\n日本語クラ…   a\ne\u{301}             b\n"
        );
    }

    #[test]
    fn titles_are_bold_where_there_is_color() {
        let screen = Screen {
            width: 80,
            has_color: true,
        };
        let text = columns().text(Some(screen));
        let titles = text.lines().next().unwrap_or_default();
        assert!(titles.starts_with("\u{1b}[1mNAME") && titles.ends_with("\u{1b}[0m"));
        assert_eq!(text.matches('\u{1b}').count(), 2);
    }
}
