//! Templates: text with fields of a token, such as `Bearer {token}`.
//!
//! A template that begins with `{` or `[` is JSON. There, only a field's name between braces is a field,
//! and all other braces are JSON's own. In other templates, and in JSON that begins with `{{`, a brace that
//! belongs to no field is written twice.

use serde_json::Value;

use super::obtain::Obtained;
use crate::message;
use crate::types::token::{CachedToken, Timestamp};
use crate::types::web_url::encode_all_reserved;

/// What a template can contain of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Field {
    Token,
    /// With percent encoding, for URLs.
    TokenPercent,
    Type,
    ExpiresAt,
    ExpiresIn,
    ExpiresUnix,
    Scope,
}

const FIELDS: [(&str, Field); 7] = [
    ("token", Field::Token),
    ("token_percent", Field::TokenPercent),
    ("type", Field::Type),
    ("expires_at", Field::ExpiresAt),
    ("expires_in", Field::ExpiresIn),
    ("expires_unix", Field::ExpiresUnix),
    ("scope", Field::Scope),
];

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Text(String),
    Field(Field, Context),
}

/// Where a field is, which decides how its value is escaped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Context {
    Text,
    /// Between the quotes of a string.
    JsonString,
    /// Outside quotes: the field is the whole value.
    JsonValue,
}

/// A template that was checked: whatever the values are, the result of a JSON template is JSON.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Template(Vec<Piece>);

/// The values of the fields.
pub(super) struct Values<'a> {
    pub(super) token: &'a CachedToken,
    pub(super) scope: Option<&'a str>,
    pub(super) now: Timestamp,
}

impl<'a> Values<'a> {
    pub(super) fn of(obtained: &'a Obtained) -> Self {
        Self {
            token: &obtained.token,
            scope: obtained.scope(),
            now: Timestamp::now(),
        }
    }

    fn value(&self, field: Field) -> Value {
        let token = self.token;
        match field {
            Field::Token => token.access_token.expose().into(),
            Field::TokenPercent => encode_all_reserved(token.access_token.expose()).into(),
            Field::Type => token.token_type.as_str().into(),
            Field::ExpiresAt => token.expires_at.rfc3339().into(),
            Field::ExpiresIn => token.expires_at.since(self.now).as_secs().into(),
            Field::ExpiresUnix => token.expires_at.seconds().into(),
            Field::Scope => self.scope.into(),
        }
    }
}

impl Template {
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let start = text.trim_start();
        let begins_with_field =
            matches!(name_between_braces(start), Some((name, _)) if !name.is_empty());
        let is_json = start.starts_with(['{', '[']) && !begins_with_field;
        let is_doubled = !is_json || start.starts_with("{{");
        let template = Self(split(text, is_json, is_doubled)?);
        if !template
            .0
            .iter()
            .any(|piece| matches!(piece, Piece::Field(..)))
        {
            return Err(
                "it has no field: write one as {token}, with nothing else between the braces"
                    .to_owned(),
            );
        }
        if is_json {
            template.check_json()?;
        }
        Ok(template)
    }

    /// Checks the result with values that no text next to them makes a part of: an empty string, and null.
    fn check_json(&self) -> Result<(), String> {
        let sample = self.write(|_, context| match context {
            Context::JsonValue => "null".to_owned(),
            Context::JsonString | Context::Text => String::new(),
        });
        match serde_json::from_str::<Value>(&sample) {
            Ok(_) => Ok(()),
            Err(_) => Err("it begins with { or [ as JSON does, but is not valid JSON; put something else before it for another format".to_owned()),
        }
    }

    pub(super) fn fill(&self, values: &Values<'_>) -> String {
        self.write(|field, context| {
            let value = values.value(field);
            match context {
                Context::JsonValue => message::visible_json(value.to_string()),
                Context::JsonString => {
                    let string = message::visible_json(Value::from(text(value)).to_string());
                    string[1..string.len() - 1].to_owned()
                }
                Context::Text => message::clean(&text(value), usize::MAX),
            }
        })
    }

    fn write(&self, value: impl Fn(Field, Context) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(field, context) => value(*field, *context),
        };
        self.0.iter().map(piece).collect()
    }
}

fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        number => number.to_string(),
    }
}

/// Splits a template into text and fields.
fn split(mut rest: &str, is_json: bool, is_doubled: bool) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut literal) = (Vec::new(), String::new());
    let (mut in_string, mut after_backslash) = (false, false);
    while let Some(c) = rest.chars().next() {
        let is_pair = is_doubled && (rest.starts_with("{{") || rest.starts_with("}}"));
        if !is_pair
            && !after_backslash
            && let Some((name, after)) = name_between_braces(rest)
        {
            let context = match (is_json, in_string) {
                (false, _) => Context::Text,
                (true, true) => Context::JsonString,
                (true, false) => Context::JsonValue,
            };
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
            let found = field(name).map_err(|fault| match context {
                Context::Text => fault,
                _ => format!("{fault}; in JSON, \\u007b is a brace that begins no field"),
            });
            pieces.push(Piece::Field(found?, context));
            rest = after;
            continue;
        }
        if is_doubled && !is_pair && matches!(c, '{' | '}') {
            return Err("write a brace that belongs to no field twice".to_owned());
        }
        literal.push(c);
        rest = &rest[c.len_utf8() * if is_pair { 2 } else { 1 }..];
        if after_backslash {
            after_backslash = false;
        } else if c == '"' {
            in_string = !in_string;
        } else {
            after_backslash = is_json && in_string && c == '\\';
        }
    }
    pieces.push(Piece::Text(literal));
    Ok(pieces)
}

/// The name at the start of `{name}...`, and what follows.
fn name_between_braces(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('{')?.split_once('}')?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_name.then_some((name, after))
}

fn field(name: &str) -> Result<Field, String> {
    let known = FIELDS.iter().find(|(known, _)| *known == name);
    known.map(|(_, field)| *field).ok_or_else(|| {
        let names: Vec<_> = FIELDS
            .iter()
            .map(|(name, _)| format!("{{{name}}}"))
            .collect();
        format!("unknown field {{{name}}}; use {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests;
