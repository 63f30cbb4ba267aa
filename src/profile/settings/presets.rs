//! Providers' presets: what is known of a provider, and what only the user knows. Given options take
//! precedence.

use std::collections::BTreeMap;

pub(crate) use super::preset_table::PRESETS;
use super::{AssertionAudience, Setting, Settings};
use crate::profile::identity::IdentityRole;
use crate::profile::{BodyFormat, ClientAuth, JwtAlgorithm, ParameterName, TokenEndpoint};
use crate::types::checked_text::Scope;
use crate::types::web_url::WebUrl;

/// What is known of a provider in advance.
#[derive(Debug)]
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// `{name}` stands for the answer to a question, here and in the other texts.
    pub(crate) token_url: &'static str,
    pub(crate) auth: ClientAuth,
    pub(super) body: BodyFormat,
    pub(super) audience: &'static str,
    pub(super) scope: &'static str,
    pub(super) grant_type: &'static str,
    pub(super) parameters: &'static [(&'static str, &'static str)],
    /// Headers of the token request, by name in lower case.
    pub(super) headers: &'static [(&'static str, &'static str)],
    /// How assertions are made, if the client has a private key: algorithm, `aud`, `typ`.
    pub(super) assertion: Option<(JwtAlgorithm, &'static str, &'static str)>,
    /// Whether tokens are bound to a key (RFC 9449).
    pub(super) dpop: bool,
    /// What the identity token is in the request, if the client presents one.
    pub(super) identity: Option<IdentityRole>,
    /// What only the user knows; each `{name}` above is one of these.
    pub(crate) questions: &'static [PresetQuestion],
    /// What the user has to set at the provider for this to work.
    pub(crate) note: &'static str,
}

/// A question of a preset.
#[derive(Debug)]
pub(crate) struct PresetQuestion {
    /// Its name for `--set`.
    pub(crate) name: &'static str,
    /// Its text at a terminal.
    pub(crate) label: &'static str,
    pub(crate) example: &'static str,
    kind: Kind,
}

/// What an answer must be, and how it is normalised.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A host, with or without a port. A URL without a path means the same.
    Host,
    /// One part of a host's name.
    Label,
    /// One segment of a URL's path.
    Segment,
    /// An https URL without its last slashes and without this end; `https://` may be left out.
    Base(&'static str),
    /// Any text, exactly as it is.
    Text,
    /// Any text, exactly as it is but for this end, which the preset adds.
    TextWithout(&'static str),
}

pub(super) const fn question(
    name: &'static str,
    label: &'static str,
    example: &'static str,
    kind: Kind,
) -> PresetQuestion {
    PresetQuestion {
        name,
        label,
        example,
        kind,
    }
}

impl PresetQuestion {
    /// The answer as the preset's texts need it.
    ///
    /// # Errors
    /// What is wrong with it, fit to follow its name.
    pub(crate) fn read(&self, answer: &str) -> Result<String, String> {
        if answer.contains(char::is_control) {
            return Err("has a control character".to_owned());
        }
        let text = answer.trim();
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        match self.kind {
            Kind::Text => Ok(answer.to_owned()),
            Kind::TextWithout(end) => Ok(answer.strip_suffix(end).unwrap_or(answer).to_owned()),
            Kind::Host => {
                let url = self.url(text)?;
                if url.path() == "/" && !url.has_query() {
                    Ok(url.origin()["https://".len()..].to_owned())
                } else {
                    Err(self.not("is not a host name"))
                }
            }
            Kind::Base(end) => {
                let url = self.url(text)?;
                if url.has_query() {
                    return Err("must not have a query (?)".to_owned());
                }
                let base = url.as_str().trim_end_matches('/');
                Ok(base.strip_suffix(end).unwrap_or(base).to_owned())
            }
            Kind::Label => {
                let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
                if text.chars().all(fits) {
                    Ok(text.to_ascii_lowercase())
                } else {
                    Err(self.not("may contain only letters, digits and -"))
                }
            }
            Kind::Segment => {
                let fits = |c: char| c.is_ascii_alphanumeric() || "-._~%".contains(c);
                if text.chars().all(fits) {
                    Ok(text.to_owned())
                } else {
                    Err(self.not("has a character that a URL path cannot contain"))
                }
            }
        }
    }

    fn url(&self, text: &str) -> Result<WebUrl, String> {
        let with_scheme = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        match WebUrl::parse(&with_scheme) {
            Ok(url) if url.is_https() => Ok(url),
            Ok(_) => Err("must use https".to_owned()),
            Err(fault) => Err(self.not(fault)),
        }
    }

    fn not(&self, fault: &str) -> String {
        format!("{fault}; an example is {}", self.example)
    }
}

impl Preset {
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.name == name)
    }

    /// Whether its clients present an identity token.
    pub(crate) fn presents_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// The question that `--set NAME=...` answers.
    pub(crate) fn question(&self, name: &str) -> Option<&'static PresetQuestion> {
        self.questions.iter().find(|question| question.name == name)
    }

    /// Answers that were given by name, each of its kind.
    ///
    /// # Errors
    /// For one that the preset does not ask for, or that cannot be what it should, without its value.
    pub(crate) fn answers(
        &self,
        given: &[(String, String)],
    ) -> Result<BTreeMap<&'static str, String>, String> {
        let answer = |(name, answer): &(String, String)| {
            let question = self
                .question(name)
                .ok_or_else(|| self.unknown_question(name))?;
            let answer = question.read(answer);
            let answer = answer.map_err(|fault| format!("{}: {fault}", question.name))?;
            Ok((question.name, answer))
        };
        given.iter().map(answer).collect()
    }

    fn unknown_question(&self, name: &str) -> String {
        let names: Vec<_> = self.questions.iter().map(|known| known.name).collect();
        let takes = match names.as_slice() {
            [] => "it takes none".to_owned(),
            names => format!("it takes {}", names.join(" and ")),
        };
        format!("preset {} has no setting \"{name}\"; {takes}", self.name)
    }

    /// The questions whose answers are needed, where these settings are given.
    pub(crate) fn needed(&self, given: &Settings) -> Vec<&'static PresetQuestion> {
        let mut texts = Vec::new();
        if given.token_endpoint.is_unset() && given.issuer.is_unset() {
            texts.push(self.token_url);
        }
        if given.audience.is_unset() {
            texts.push(self.audience);
        }
        if given.scope.is_unset() {
            texts.push(self.scope);
        }
        let not_given =
            |(name, _): &&(&str, _)| given.parameters.keys().all(|it| it.as_str() != *name);
        let parameters = self.parameters.iter().filter(not_given);
        texts.extend(parameters.map(|(_, value)| *value));
        let needed = |question: &&PresetQuestion| {
            let mark = format!("{{{}}}", question.name);
            texts.iter().any(|text| text.contains(&mark))
        };
        self.questions.iter().filter(needed).collect()
    }

    /// The preset's layer of settings. What an answer is missing for is left out.
    ///
    /// # Errors
    /// What is wrong with the token URL, fit to follow "the token URL ".
    pub(crate) fn settings(
        &self,
        answers: &BTreeMap<&str, String>,
    ) -> Result<Settings, &'static str> {
        let fill = |template: &str| {
            let fill = |text: String, (name, answer): (&&str, &String)| {
                text.replace(&format!("{{{name}}}"), answer)
            };
            let filled = answers.iter().fold(template.to_owned(), fill);
            let known = self.questions.iter().all(|question| {
                answers.contains_key(question.name)
                    || !template.contains(&format!("{{{}}}", question.name))
            });
            Some(filled).filter(|text| known && !text.is_empty())
        };
        let url = fill(self.token_url).map(|url| TokenEndpoint::parse(&url));
        let parameters = self.parameters.iter();
        let parameters = parameters.filter_map(|(name, value)| {
            Some((ParameterName::parse(name).ok()?, Setting::Set(fill(value)?)))
        });
        let headers = self.headers.iter();
        let headers =
            headers.map(|(name, value)| ((*name).to_owned(), Setting::Set((*value).to_owned())));
        let assertion = self.assertion.as_ref();
        // An answer has no control character.
        let scope = fill(self.scope);
        Ok(Settings {
            token_endpoint: url.transpose()?.into(),
            client_auth: Setting::Set(self.auth),
            body: Setting::Set(self.body),
            audience: fill(self.audience).into(),
            scope: scope.and_then(|text| Scope::try_from(text).ok()).into(),
            grant_type: fill(self.grant_type).into(),
            parameters: parameters.collect(),
            headers: headers.collect(),
            jwt_algorithm: assertion.map(|(algorithm, ..)| *algorithm).into(),
            jwt_audience: assertion
                .map(|(_, audience, _)| AssertionAudience::parse(audience))
                .into(),
            identity_role: self.identity.into(),
            dpop: self.dpop.then_some(()).into(),
            jwt_type: assertion.map(|(.., typ)| (*typ).to_owned()).into(),
            ..Settings::default()
        })
    }
}

/// Every preset, a block each, with what it needs to know.
pub(crate) fn list() -> String {
    let block = |preset: &Preset| {
        let questions = preset.questions.iter();
        let questions: String = questions
            .flat_map(|question| [" --set ", question.name, "=", question.example])
            .collect();
        let note = match preset.note {
            "" => String::new(),
            note => format!("{:<16}{note}\n", ""),
        };
        format!(
            "{:<16}{}\n{:<16}{}{questions}\n{note}",
            preset.name,
            preset.title,
            "",
            preset.auth.as_str(),
        )
    };
    PRESETS.iter().map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_asks_for_what_it_needs_and_no_more() {
        for preset in PRESETS {
            let parameters = preset.parameters.iter().map(|(_, value)| *value);
            let texts = [preset.token_url, preset.audience, preset.scope];
            let all: String = texts.into_iter().chain(parameters).collect();
            assert!(preset.token_url.starts_with("https://"), "{}", preset.name);
            for question in preset.questions {
                let mark = format!("{{{}}}", question.name);
                assert!(all.contains(&mark), "{} {}", preset.name, question.name);
            }
            assert_eq!(all.matches('{').count(), preset.questions.len());
        }
        assert!(PRESETS.is_sorted_by_key(|preset| preset.name));
    }

    #[test]
    fn every_preset_makes_the_token_url_of_its_provider() {
        let urls = PRESETS.iter().map(|preset| {
            let questions = preset.questions.iter();
            let answers = questions
                .map(|question| {
                    (
                        question.name,
                        question.read(question.example).expect("an answer"),
                    )
                })
                .collect();
            let settings = preset.settings(&answers).expect("a token URL");
            assert_eq!(settings.parameters.len(), preset.parameters.len());
            let url = settings
                .token_endpoint
                .value()
                .expect("a token URL")
                .clone();
            format!("{} {}", preset.name, url.as_str())
        });
        assert_eq!(
            urls.collect::<Vec<_>>(),
            [
                "adobe https://ims-na1.adobelogin.com/ims/token/v3",
                "anthropic-wif https://api.anthropic.com/v1/oauth/token",
                "auth0 https://acme.eu.auth0.com/oauth/token",
                "blooma https://login.blooma.ai/oauth/token",
                "cognito https://acme.auth.eu-central-1.amazoncognito.com/oauth2/token",
                "databricks-wif https://acme.cloud.databricks.com/oidc/v1/token",
                "entra https://login.microsoftonline.com/acme.onmicrosoft.com/oauth2/v2.0/token",
                "google-wif https://sts.googleapis.com/v1/token",
                "keycloak https://sso.acme.example/realms/acme/protocol/openid-connect/token",
                "okta https://acme.okta.com/oauth2/default/v1/token",
                "okta-org https://acme.okta.com/oauth2/v1/token",
                "openai-wif https://auth.openai.com/oauth/token",
                "paypal https://api-m.paypal.com/v1/oauth2/token",
                "salesforce https://acme.my.salesforce.com/services/oauth2/token",
                "sap https://acme.authentication.eu10.hana.ondemand.com/oauth/token",
                "spotify https://accounts.spotify.com/api/token",
                "x https://api.x.com/oauth2/token",
                "zoom https://zoom.us/oauth/token",
            ]
        );
    }

    #[test]
    fn an_answer_is_normalised_by_its_kind() {
        let read = |preset: &str, name: &str, answer: &str| {
            let preset = Preset::find(preset).expect("a preset");
            preset.question(name).expect("a question").read(answer)
        };
        for answer in [
            "acme.blooma.ai",
            "acme.blooma.ai/",
            "https://acme.blooma.ai",
            "https://acme.blooma.ai/",
            "https://acme.blooma.ai/api",
            "HTTPS://ACME.blooma.ai/api/",
        ] {
            let base = read("blooma", "base_url", answer);
            assert_eq!(base.as_deref(), Ok("https://acme.blooma.ai"), "{answer}");
        }
        for (preset, name, answer, expected) in [
            (
                "auth0",
                "domain",
                "https://Acme.eu.auth0.com/",
                Some("acme.eu.auth0.com"),
            ),
            ("auth0", "domain", "acme.eu.auth0.com/oauth", None),
            ("auth0", "domain", "acme eu", None),
            ("auth0", "domain", "", None),
            ("auth0", "domain", "http://acme.eu.auth0.com", None),
            (
                "keycloak",
                "host",
                "sso.acme.example:8443",
                Some("sso.acme.example:8443"),
            ),
            ("keycloak", "realm", "a/b", None),
            (
                "auth0",
                "audience",
                "https://api.acme.example/",
                Some("https://api.acme.example/"),
            ),
            ("auth0", "audience", " ", None),
            (
                "entra",
                "resource",
                "https://a.example/",
                Some("https://a.example/"),
            ),
            ("entra", "resource", "api://1/.default", Some("api://1")),
            ("sap", "region", "EU10", Some("eu10")),
            ("sap", "subdomain", "acme.evil.example/", None),
            ("blooma", "base_url", "http://acme.blooma.ai", None),
            ("blooma", "base_url", "https://acme.blooma.ai?x", None),
        ] {
            assert_eq!(
                read(preset, name, answer).ok().as_deref(),
                expected,
                "{name} {answer}"
            );
        }
    }
}
