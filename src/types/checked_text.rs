//! Texts that are checked once, when they are parsed, whether from a file, an option, a variable or an
//! answer.

use std::fmt;
use std::ops::Deref;

/// Declares a kind of text with its check, which returns what is wrong with a text.
macro_rules! checked_text {
    ($($(#[$about:meta])* $name:ident($error:ty): $check:expr;)+) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(String);

        impl $name {
            /// # Errors
            /// What is wrong with it.
            pub(crate) fn parse(text: &str) -> Result<Self, $error> {
                Self::try_from(text.to_owned())
            }

            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                let check: fn(&str) -> Result<(), $error> = $check;
                check(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}
pub(crate) use checked_text;

/// What is wrong with a text, as a sentence without the text: it may be a secret in the wrong place.
type Invalid = &'static str;

checked_text! {
    /// A client identifier (RFC 6749 §2.2), which is sent as it is.
    ClientId(Invalid): |text| if !text.is_empty() && is_one_line(text) {
        Ok(())
    } else {
        Err("the client ID is empty or contains a control character")
    };

    /// A scope (RFC 6749 §3.3), which is sent as it is: most servers expect spaces between the words
    /// of a scope, some expect commas.
    Scope(Invalid): |text| if !text.is_empty() && is_one_line(text) {
        Ok(())
    } else {
        Err("the scope is empty or contains a control character")
    };

    /// A user name that fits into one line of every protocol, and before the colon of Basic
    /// credentials (RFC 7617 §2).
    Username(Invalid): |text| if !text.is_empty() && is_one_line(text) && !text.contains(':') {
        Ok(())
    } else {
        Err("a user name has no colon and no control character")
    };

    /// A resource that the token is for: an absolute URI without a fragment (RFC 8707 §2).
    Resource(Invalid): |text| if is_absolute_uri(text) && !text.contains('#') {
        Ok(())
    } else {
        Err("a resource is an absolute URI without a fragment")
    };
}

fn is_one_line(text: &str) -> bool {
    !text.contains(char::is_control)
}

fn is_absolute_uri(text: &str) -> bool {
    let has_scheme = text.split_once(':').is_some_and(|(scheme, rest)| {
        let fits = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        !rest.is_empty()
            && scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(fits)
    });
    has_scheme && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl Scope {
    /// The scope of a repeatable option or of several answers. Empty values are left out; none is left
    /// if all are empty.
    ///
    /// # Errors
    /// As [`Scope::parse`].
    pub(crate) fn join(values: &[String]) -> Result<Option<Self>, &'static str> {
        let given = values.iter().map(String::as_str);
        let given: Vec<_> = given.filter(|value| !value.is_empty()).collect();
        let text = Some(given.join(" ")).filter(|text| !text.is_empty());
        text.map(Self::try_from).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::{ClientId, Resource, Scope, Username};

    #[test]
    fn no_control_character_is_in_a_checked_text() {
        for text in ["", "a\nb", "\0", "a\u{7f}", "\u{85}", "a\tb", "\u{1b}[m"] {
            assert!(ClientId::parse(text).is_err(), "{text:?}");
            assert!(Scope::parse(text).is_err(), "{text:?}");
            assert!(Username::parse(text).is_err(), "{text:?}");
            let json = serde_json::to_string(text).expect("JSON");
            assert!(serde_json::from_str::<ClientId>(&json).is_err(), "{text:?}");
        }
        for text in ["a", " ", "a:b", "ä b", "read write,all"] {
            assert_eq!(ClientId::parse(text).as_deref(), Ok(text));
            assert_eq!(Scope::parse(text).as_deref(), Ok(text));
            assert_eq!(Username::parse(text).is_ok(), !text.contains(':'));
        }
    }

    #[test]
    fn a_resource_is_an_absolute_uri_without_a_fragment() {
        for text in ["urn:a", "https://a.example/", "api://1"] {
            assert!(Resource::parse(text).is_ok(), "{text}");
        }
        for text in ["", "a", "a:", ":a", "1a:b", "urn:a b", "urn:a#b", "urn:ä"] {
            assert!(Resource::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_words_of_a_scope_are_joined_by_spaces() {
        let join = |values: &[&str]| {
            let values: Vec<_> = values.iter().map(ToString::to_string).collect();
            Scope::join(&values).map(|scope| scope.map(String::from))
        };
        assert_eq!(join(&["a", "", "b c"]), Ok(Some("a b c".to_owned())));
        assert_eq!(join(&["", ""]), Ok(None));
        assert_eq!(join(&[]), Ok(None));
        assert!(join(&["a", "\n"]).is_err());
    }
}
