//! Parses the arguments of frequent commands without clap: building clap's commands takes four times
//! the instructions of a cached token.
//!
//! A parser accepts only what clap would accept, with the same result, but not everything. If it accepts
//! nothing, clap parses the arguments again, and reports errors or prints help. The tests of `cli`
//! compare the two.

use std::ffi::OsString;
use std::slice;

/// The words of a command line after the command's name.
pub(super) struct Words<'a> {
    rest: slice::Iter<'a, OsString>,
    /// The value of the last option, if it was `--option=value`.
    attached: Option<&'a str>,
}

pub(super) enum Word<'a> {
    /// The name of an option, with its dashes.
    Option(&'a str),
    Argument(&'a str),
    /// The words after `--`.
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

    /// The next word. None if clap must parse the line, for example because the last option takes no
    /// value but was given one.
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

    /// The value of the last option. None if there is none, or if it looks like another option.
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

/// Sets a value that may be given once. None if it was given before.
pub(super) fn once<T>(known: &mut Option<T>, value: T) -> Option<()> {
    known.replace(value).is_none().then_some(())
}

/// The same for an option without a value.
pub(super) fn flag(known: &mut bool) -> Option<()> {
    (!std::mem::replace(known, true)).then_some(())
}
