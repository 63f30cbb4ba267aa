//! Command lines that programs run all the time, read without clap: to build clap's description of
//! the commands takes four times the instructions of a cached token.
//!
//! A reader accepts only what clap would accept, with the same result, and not everything that clap
//! would. Whatever it does not accept, an error and a request for help among them, clap reads again
//! and explains. `cli` has the tests that compare the two.

use std::ffi::OsString;
use std::slice;

/// The words of a command line after the command's name, in their order.
pub(super) struct Words<'a> {
    rest: slice::Iter<'a, OsString>,
    /// The value that came with the option read last: `--option=value`.
    attached: Option<&'a str>,
}

pub(super) enum Word<'a> {
    /// An option's name, with its dashes.
    Option(&'a str),
    Argument(&'a str),
    /// What follows `--`.
    Rest(&'a [OsString]),
    End,
}

impl<'a> Words<'a> {
    pub(super) fn new(words: &'a [OsString]) -> Self {
        Self {
            rest: words.iter(),
            attached: None,
        }
    }

    /// The next word. None where clap should read the line: also where the last option had a value
    /// that was not taken.
    pub(super) fn next(&mut self) -> Option<Word<'a>> {
        if self.attached.is_some() {
            return None;
        }
        let Some(word) = self.rest.next() else {
            return Some(Word::End);
        };
        let word = word.to_str()?;
        Some(if word == "--" {
            Word::Rest(std::mem::take(&mut self.rest).as_slice())
        } else if !word.starts_with('-') {
            Word::Argument(word)
        } else if word.starts_with("--")
            && let Some((name, value)) = word.split_once('=')
        {
            self.attached = Some(value);
            Word::Option(name)
        } else {
            Word::Option(word)
        })
    }

    /// The value of the option that was just read. None where there is none, or it may be another
    /// option.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        let value = match self.attached.take() {
            Some(value) => value,
            None => self
                .rest
                .next()?
                .to_str()
                .filter(|word| !word.starts_with('-') || *word == "-")?,
        };
        Some(value).filter(|value| !value.is_empty())
    }
}

/// Records what may be given once. None if it was given before.
pub(super) fn once<T>(known: &mut Option<T>, value: T) -> Option<()> {
    known.replace(value).is_none().then_some(())
}

/// The same for an option without a value.
pub(super) fn flag(known: &mut bool) -> Option<()> {
    (!std::mem::replace(known, true)).then_some(())
}
