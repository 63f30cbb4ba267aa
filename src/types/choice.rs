//! Enums whose values have names: each name is written once, for files, options and variables.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// A value out of a few, by its name.
pub(crate) trait Choice: Copy + Send + Sync + 'static {
    const ALL: &'static [Self];
    /// In the order of [`Choice::ALL`].
    const NAMES: &'static [&'static str];

    fn parse(name: &str) -> Option<Self> {
        let index = Self::NAMES.iter().position(|known| *known == name);
        index.and_then(|index| Self::ALL.get(index)).copied()
    }
}

/// Declares an enum with the name of each value.
macro_rules! choice {
    (
        $(#[$about_enum:meta])*
        pub(crate) enum $enum:ident {
            $($(#[$about:meta])* $value:ident = $name:literal,)+
        }
    ) => {
        $(#[$about_enum])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum $enum {
            $($(#[$about])* $value,)+
        }

        impl $enum {
            pub(crate) fn as_str(self) -> &'static str {
                match self {
                    $(Self::$value => $name,)+
                }
            }
        }

        impl $crate::types::choice::Choice for $enum {
            const ALL: &'static [Self] = &[$(Self::$value,)+];
            const NAMES: &'static [&'static str] = &[$($name,)+];
        }

        impl serde::Serialize for $enum {
            fn serialize<S: serde::Serializer>(
                &self,
                serializer: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $enum {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> std::result::Result<Self, D::Error> {
                $crate::types::choice::deserialize(deserializer)
            }
        }
    };
}
pub(crate) use choice;

/// # Errors
/// For a name that no value has, with all names.
pub(crate) fn deserialize<'de, C: Choice, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<C, D::Error> {
    deserializer.deserialize_str(ByName(PhantomData))
}

struct ByName<C>(PhantomData<C>);

impl<C: Choice> Visitor<'_> for ByName<C> {
    type Value = C;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "one of {}", C::NAMES.join(", "))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<C, E> {
        C::parse(name).ok_or_else(|| E::unknown_variant(name, C::NAMES))
    }
}

#[cfg(test)]
mod tests {
    use super::Choice;

    choice! {
        #[derive(Default)]
        pub(crate) enum Letter {
            A = "a",
            #[default]
            B = "letter-b",
        }
    }

    #[test]
    fn each_name_is_read_as_the_value_that_it_is_written_for() {
        for (letter, name) in Letter::ALL.iter().zip(Letter::NAMES) {
            assert_eq!(letter.as_str(), *name);
            assert_eq!(Letter::parse(name), Some(*letter));
            let json = serde_json::to_string(letter).expect("JSON");
            assert_eq!(json, format!("\"{name}\""));
            let read: Letter = serde_json::from_str(&json).expect("a letter");
            assert_eq!(read, *letter);
        }
        assert_eq!(Letter::default(), Letter::B);
        assert_eq!(Letter::parse("B"), None);
        let error = serde_json::from_str::<Letter>("\"c\"").expect_err("no such letter");
        assert!(error.to_string().contains("letter-b"), "{error}");
    }
}
