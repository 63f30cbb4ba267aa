//! Finds the texts for users in the program's source.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ExprMethodCall, ImplItem, Item, LitStr, Macro, Meta};

/// The string literals of a file that have words and belong to no test, no attribute and no
/// message of a panic.
pub(super) fn texts(source: &str) -> BTreeSet<String> {
    let file = syn::parse_file(source).expect("a source file");
    let mut finder = Finder::default();
    finder.visit_file(&file);
    finder.found
}

/// The parts of a text between its placeholders, in their order.
pub(super) fn parts(text: &str) -> Vec<String> {
    let text = text.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let pieces = text.split('{').enumerate();
    let pieces = pieces.map(|(number, piece)| match piece.split_once('}') {
        Some((_, rest)) if number > 0 => rest,
        _ => piece,
    });
    let plain = pieces.map(|piece| piece.replace('\u{1}', "{").replace('\u{2}', "}"));
    plain.filter(|piece| !piece.trim().is_empty()).collect()
}

/// Whether a line has these parts, one after the other.
pub(super) fn has_parts(line: &str, parts: &[String]) -> bool {
    let mut rest = line;
    parts.iter().all(|part| match rest.split_once(part.trim()) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[derive(Default)]
struct Finder {
    found: BTreeSet<String>,
}

impl Finder {
    fn add(&mut self, text: &str) {
        let bytes = text.trim().as_bytes();
        let is_word = |byte: u8| byte.is_ascii_lowercase();
        let is_before = |byte: u8| is_word(byte) || b",:;)`}\"'".contains(&byte);
        let is_after = |byte: u8| is_word(byte) || b"(`{\"'".contains(&byte);
        let has_words = bytes
            .windows(3)
            .any(|w| w[1] == b' ' && is_before(w[0]) && is_after(w[2]));
        let has_letters = parts(text).iter().any(|part| {
            let letters = part.chars().filter(char::is_ascii_lowercase);
            letters.count() > 2
        });
        if has_words && has_letters && !text.trim().contains('\n') {
            self.found.insert(text.trim().to_owned());
        }
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        let is_comment =
            |token: &TokenTree| matches!(token, TokenTree::Ident(name) if name == "doc");
        let mut tokens = tokens.into_iter().peekable();
        if tokens.peek().is_some_and(is_comment) {
            return;
        }
        for token in tokens {
            match token {
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                TokenTree::Literal(literal) => {
                    if let Ok(text) = syn::parse2::<LitStr>(TokenTree::from(literal).into()) {
                        self.add(&text.value());
                    }
                }
                _ => {}
            }
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Const(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if is_for_tests(&function.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_lit_str(&mut self, text: &'ast LitStr) {
        self.add(&text.value());
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if call.method == "expect" {
            self.visit_expr(&call.receiver);
        } else {
            visit::visit_expr_method_call(self, call);
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        let is_for_bugs = [
            "unreachable",
            "panic",
            "assert",
            "debug_assert",
            "assert_eq",
        ]
        .iter()
        .any(|name| call.path.is_ident(name));
        if !is_for_bugs {
            self.add_tokens(call.tokens.clone());
        }
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let Meta::List(list) = &attribute.meta else {
            return false;
        };
        let condition = list.tokens.to_string().replace(' ', "");
        list.path.is_ident("cfg") && (condition == "test" || condition.starts_with("all(test,"))
    })
}
