//! Writes all mutants of a file into it, each behind a switch that is looked up while the program runs.
//!
//! Text is only inserted, in front of an expression and behind it, so that mutants can be nested.

use std::collections::HashMap;
use std::ops::Range;

use proc_macro2::LineColumn;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::mutant::{Genre, Mutant};

/// Appended to `src/main.rs`. The number is changed in the finished program, so the environment and the
/// system calls of a test stay as they are.
pub const SWITCH: &str = r#"
pub(crate) mod mutants {
    static CHOSEN: [u8; 12] = *b"MUTANT:00000";

    pub(crate) fn chosen(number: u32) -> bool {
        let digits = &std::hint::black_box(&CHOSEN)[7..];
        number == digits.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
    }
}
"#;

/// Of [`SWITCH`], the text before the number.
pub const MARK: &[u8] = b"MUTANT:";

/// A file with its mutants.
pub struct Switched {
    pub text: String,
    /// Which bytes of the text were inserted for which mutants.
    pub inserted: Vec<(Range<usize>, Vec<usize>)>,
    /// The mutants that need a build of their own.
    pub without_switch: Vec<usize>,
}

/// Text around a part of the file.
struct Wrap {
    range: Range<usize>,
    /// With the mutants that each piece is about.
    before: Vec<(Vec<usize>, String)>,
    after: &'static str,
}

/// # Panics
/// If the file is not Rust.
pub fn write(text: &str, mutants: &[&Mutant]) -> Switched {
    let places = Places::of(text);
    let mut wraps: Vec<Wrap> = Vec::new();
    let mut without_switch = Vec::new();
    for same in mutants.chunk_by(|a, b| a.span == b.span && a.genre == b.genre) {
        match wrap(text, &places, same) {
            Some(wrap) => wraps.push(wrap),
            None => without_switch.extend(same.iter().map(|mutant| mutant.number)),
        }
    }
    let (text, inserted) = insert(text, &wraps);
    Switched {
        text,
        inserted,
        without_switch,
    }
}

/// A file with one mutant.
pub fn replace(text: &str, mutant: &Mutant) -> String {
    let places = Places::of(text);
    let [start, end] = mutant.span.map(|position| places.offset(position));
    format!("{}{}{}", &text[..start], mutant.replacement, &text[end..])
}

/// The switches of the mutants that change the same place.
fn wrap(text: &str, places: &Places, mutants: &[&Mutant]) -> Option<Wrap> {
    let first = mutants[0];
    // A function that returns an `impl Trait` returns one type only.
    let is_other_type = first.genre == Genre::Value && first.return_type.contains("impl ");
    if first.function.is_empty() || is_other_type {
        return None;
    }
    let [start, end] = first.span.map(|position| places.offset(position));
    let all = || mutants.iter().map(|mutant| mutant.number).collect();
    let one = |text: String| vec![(all(), text)];
    let each = |then: &dyn Fn(&str) -> String, last: &str| {
        let piece = |mutant: &&Mutant| {
            (
                vec![mutant.number],
                format!("if {} {{ {} ", chosen(mutant), then(&mutant.replacement)),
            )
        };
        let pieces = mutants.iter().map(piece);
        pieces.chain([(all(), last.to_owned())]).collect()
    };
    let (range, before, after) = match first.genre {
        Genre::Value => (
            start..end,
            each(&|value| format!("return {value}; }}"), ""),
            "",
        ),
        Genre::Binary => {
            let [left, right] = places.operands.get(&start)?.clone();
            let [left_text, right_text] = [&text[left.clone()], &text[right.clone()]];
            let changed = |operator: &str| format!("({left_text} {operator} {right_text}) }} else");
            let mut before: Vec<_> = each(&changed, "{");
            before.insert(0, (all(), "(".to_owned()));
            (left.start..right.end, before, "})")
        }
        Genre::Unary => {
            let operand = places.operand.get(&start)?.clone();
            let without = &text[operand.clone()];
            (
                start..operand.end,
                one(format!("(if {} {{ ({without}) }} else {{", chosen(first))),
                "})",
            )
        }
        Genre::Guard => {
            let of = |value: &str| mutants.iter().find(|mutant| mutant.replacement == value);
            let always = of("true").map(|mutant| format!("{} || ", chosen(mutant)));
            let never = of("false").map(|mutant| format!("!{} && ", chosen(mutant)));
            let [always, never] = [always, never].map(Option::unwrap_or_default);
            (start..end, one(format!("({always}{never}(")), "))")
        }
        Genre::Arm => match places.arms.get(&start)? {
            Arm::Guarded(guard) => (guard.clone(), one(format!("!{} && (", chosen(first))), ")"),
            Arm::Plain(end) => (*end..*end, one(format!(" if !{}", chosen(first))), ""),
        },
        Genre::Other => return None,
    };
    Some(Wrap {
        range,
        before,
        after,
    })
}

fn chosen(mutant: &Mutant) -> String {
    format!("crate::mutants::chosen({})", mutant.number)
}

/// Inserts the wraps, the outer ones outside.
fn insert(text: &str, wraps: &[Wrap]) -> (String, Vec<(Range<usize>, Vec<usize>)>) {
    // At the same offset: first what ends, the shorter first; then what begins, the longer first. Of two
    // with the same range, the one that cargo-mutants lists first is outside.
    let mut events: Vec<(usize, bool, [usize; 2], &Wrap)> = Vec::new();
    for (index, wrap) in wraps.iter().enumerate() {
        let length = wrap.range.len();
        events.push((wrap.range.end, false, [length, usize::MAX - index], wrap));
        events.push((wrap.range.start, true, [usize::MAX - length, index], wrap));
    }
    events.sort_by_key(|(offset, begins, order, _)| (*offset, *begins, *order));
    let (mut result, mut inserted, mut done) = (String::new(), Vec::new(), 0);
    for (offset, begins, _, wrap) in events {
        result.push_str(&text[done..offset]);
        done = offset;
        if !begins {
            result.push_str(wrap.after);
            continue;
        }
        for (numbers, piece) in &wrap.before {
            let start = result.len();
            result.push_str(piece);
            inserted.push((start..result.len(), numbers.clone()));
        }
    }
    result.push_str(&text[done..]);
    (result, inserted)
}

enum Arm {
    /// Where the guard is.
    Guarded(Range<usize>),
    /// Where the pattern ends.
    Plain(usize),
}

/// The expressions of a file, by where their operator or pattern begins.
#[derive(Default)]
struct Places {
    lines: Vec<(usize, String)>,
    operands: HashMap<usize, [Range<usize>; 2]>,
    operand: HashMap<usize, Range<usize>>,
    arms: HashMap<usize, Arm>,
}

impl Places {
    fn of(text: &str) -> Self {
        let mut places = Self::default();
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            places.lines.push((offset, line.to_owned()));
            offset += line.len();
        }
        places.visit_file(&syn::parse_file(text).expect("a file of the program"));
        places
    }

    /// Line and column from 1.
    fn offset(&self, (line, column): (usize, usize)) -> usize {
        let (start, line) = &self.lines[line - 1];
        let before = line.char_indices().nth(column - 1);
        start + before.map_or(line.len(), |(offset, _)| offset)
    }

    fn range(&self, span: proc_macro2::Span) -> Range<usize> {
        let at = |LineColumn { line, column }| self.offset((line, column + 1));
        at(span.start())..at(span.end())
    }
}

impl<'ast> Visit<'ast> for Places {
    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let operator = self.range(binary.op.span()).start;
        let operands = [&binary.left, &binary.right].map(|operand| self.range(operand.span()));
        if !is_let(&binary.left) && !is_let(&binary.right) {
            self.operands.insert(operator, operands);
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let operator = self.range(unary.op.span()).start;
        let operand = self.range(unary.expr.span());
        self.operand.insert(operator, operand);
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_match(&mut self, matched: &'ast syn::ExprMatch) {
        let is_rest = |arm: &syn::Arm| match &arm.pat {
            syn::Pat::Wild(_) => true,
            // Not `None`.
            syn::Pat::Ident(name) => name.ident.to_string().starts_with(char::is_lowercase),
            _ => false,
        };
        // Without an arm for the rest, each arm is needed.
        if matched.arms.iter().any(is_rest) {
            for arm in &matched.arms {
                let pattern = self.range(arm.pat.span());
                let kind = match &arm.pat {
                    syn::Pat::Guard(guarded) => Arm::Guarded(self.range(guarded.guard.span())),
                    _ => Arm::Plain(pattern.end),
                };
                self.arms.insert(pattern.start, kind);
            }
        }
        visit::visit_expr_match(self, matched);
    }
}

/// Whether it is a part of a chain such as `a && let Some(b) = c`, which parentheses would break.
fn is_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => is_let(&binary.left) || is_let(&binary.right),
        _ => false,
    }
}
