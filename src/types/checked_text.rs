//! Texts that are checked once, when they are parsed, whether from a file, an option, a variable or an
//! answer.

use std::fmt;
use std::ops::Deref;

/// Declares a text with what is wrong with others, as a sentence without the text, which may be a
/// secret in the wrong place.
macro_rules! checked_text {
    ($($(#[$about:meta])* $name:ident: $is_valid:expr, $fault:literal;)+) => {$(
        $(#[$about])*
        #[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, serde::Deserialize, serde::Serialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(String);

        impl $name {
            /// # Errors
            /// What is wrong with it.
            pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, &'static str> {
                let is_valid: fn(&str) -> bool = $is_valid;
                if is_valid(&text) { Ok(Self(text)) } else { Err($fault) }
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

checked_text! {
    /// A client identifier (RFC 6749 §2.2), which is sent as it is.
    ClientId: |text| !text.is_empty() && is_one_line(text),
        "the client ID is empty or contains a control character";

    /// A scope (RFC 6749 §3.3), which is sent as it is: most servers expect spaces between the words
    /// of a scope, some expect commas.
    Scope: |text| !text.is_empty() && is_one_line(text),
        "the scope is empty or contains a control character";

    /// A user name that fits into one line of every protocol, and before the colon of Basic
    /// credentials (RFC 7617 §2).
    Username: |text| !text.is_empty() && is_one_line(text) && !text.contains(':'),
        "a user name has no colon and no control character";
}

fn is_one_line(text: &str) -> bool {
    !text.contains(char::is_control)
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
    use super::{ClientId, Scope, Username};

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
