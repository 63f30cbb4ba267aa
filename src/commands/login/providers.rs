//! Providers' presets: data alone, a row each. A preset says what to ask for; what is given wins.

use crate::profile::{BodyFormat, ClientAuth, JwtAlgorithm};

/// What is known of a provider before anybody is asked.
#[derive(Debug)]
pub(super) struct Provider {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// `{name}` stands for the answer to a question.
    pub(super) token_url: &'static str,
    pub(super) auth: ClientAuth,
    pub(super) body: BodyFormat,
    pub(super) audience: &'static str,
    pub(super) scope: &'static str,
    pub(super) grant_type: &'static str,
    pub(super) parameters: &'static [(&'static str, &'static str)],
    /// How its assertions are made, where a private key is used: algorithm, `aud`, `typ`.
    pub(super) assertion: Option<(JwtAlgorithm, &'static str, &'static str)>,
    /// Names and examples of what only the user knows; each `{name}` above is one.
    pub(super) asks: &'static [(&'static str, &'static str)],
}

/// What a provider is like who does nothing unusual.
const PLAIN: Provider = Provider {
    name: "",
    title: "",
    token_url: "",
    auth: ClientAuth::ClientSecretBasic,
    body: BodyFormat::Form,
    audience: "",
    scope: "",
    grant_type: "",
    parameters: &[],
    assertion: None,
    asks: &[],
};

pub(super) const PROVIDERS: &[Provider] = &[
    // IMS answers only to comma-separated scopes:
    // https://developer.adobe.com/developer-console/docs/guides/authentication/ServerToServerAuthentication/ims
    Provider {
        name: "adobe",
        title: "Adobe IMS, OAuth server-to-server",
        token_url: "https://ims-na1.adobelogin.com/ims/token/v3",
        auth: ClientAuth::ClientSecretPost,
        scope: "{scopes}",
        asks: &[("scopes", "openid,AdobeID,read_organizations")],
        ..PLAIN
    },
    // https://auth0.com/docs/get-started/authentication-and-authorization-flow/client-credentials-flow/call-your-api-using-the-client-credentials-flow
    Provider {
        name: "auth0",
        title: "Auth0",
        token_url: "https://{domain}/oauth/token",
        auth: ClientAuth::ClientSecretPost,
        audience: "{audience}",
        asks: &[
            ("domain", "acme.eu.auth0.com"),
            ("audience", "https://api.acme.example/"),
        ],
        ..PLAIN
    },
    // The Blooma API documentation, chapter Authentication: an Auth0-style endpoint that takes JSON.
    Provider {
        name: "blooma",
        title: "Blooma API",
        token_url: "https://login.blooma.ai/oauth/token",
        auth: ClientAuth::ClientSecretPost,
        body: BodyFormat::Json,
        audience: "{base_url}/api/",
        asks: &[("base_url", "https://acme.blooma.ai")],
        ..PLAIN
    },
    // https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
    Provider {
        name: "cognito",
        title: "Amazon Cognito user pool",
        token_url: "https://{domain}/oauth2/token",
        asks: &[("domain", "acme.auth.eu-central-1.amazoncognito.com")],
        ..PLAIN
    },
    // The scope is the resource's with /.default; certificates sign PS256, `aud` the token endpoint:
    // https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
    // https://learn.microsoft.com/en-us/entra/identity-platform/certificate-credentials
    Provider {
        name: "entra",
        title: "Microsoft Entra ID",
        token_url: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        auth: ClientAuth::ClientSecretPost,
        scope: "{resource}/.default",
        assertion: Some((JwtAlgorithm::PS256, "token_endpoint", "JWT")),
        asks: &[
            ("tenant", "acme.onmicrosoft.com"),
            ("resource", "https://graph.microsoft.com"),
        ],
        ..PLAIN
    },
    // https://www.keycloak.org/securing-apps/oidc-layers#_token_endpoint
    Provider {
        name: "keycloak",
        title: "Keycloak",
        token_url: "https://{host}/realms/{realm}/protocol/openid-connect/token",
        assertion: Some((JwtAlgorithm::RS256, "token_endpoint", "JWT")),
        asks: &[("host", "sso.acme.example"), ("realm", "acme")],
        ..PLAIN
    },
    // A custom authorization server: https://developer.okta.com/docs/guides/implement-grant-type/clientcreds/main/
    Provider {
        name: "okta",
        title: "Okta, custom authorization server",
        token_url: "https://{domain}/oauth2/{server}/v1/token",
        scope: "{scopes}",
        asks: &[
            ("domain", "acme.okta.com"),
            ("server", "default"),
            ("scopes", "orders.read"),
        ],
        ..PLAIN
    },
    // The org server takes private_key_jwt alone:
    // https://developer.okta.com/docs/guides/implement-oauth-for-okta-serviceapp/main/
    Provider {
        name: "okta-org",
        title: "Okta, the org's own APIs",
        token_url: "https://{domain}/oauth2/v1/token",
        auth: ClientAuth::PrivateKeyJwt,
        scope: "{scopes}",
        assertion: Some((JwtAlgorithm::RS256, "token_endpoint", "JWT")),
        asks: &[("domain", "acme.okta.com"), ("scopes", "okta.users.read")],
        ..PLAIN
    },
    // https://developer.paypal.com/api/rest/authentication/
    Provider {
        name: "paypal",
        title: "PayPal",
        token_url: "https://{host}/v1/oauth2/token",
        asks: &[("host", "api-m.paypal.com")],
        ..PLAIN
    },
    // No expires_in; the answer's instance_url says where the API is:
    // https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_client_credentials_flow.htm
    Provider {
        name: "salesforce",
        title: "Salesforce",
        token_url: "https://{domain}/services/oauth2/token",
        auth: ClientAuth::ClientSecretPost,
        asks: &[("domain", "acme.my.salesforce.com")],
        ..PLAIN
    },
    // https://help.sap.com/docs/btp/sap-business-technology-platform/oauth-2-0-client-credentials
    Provider {
        name: "sap",
        title: "SAP BTP (XSUAA)",
        token_url: "https://{subdomain}.authentication.{region}.hana.ondemand.com/oauth/token",
        asks: &[("subdomain", "acme"), ("region", "eu10")],
        ..PLAIN
    },
    // https://developer.spotify.com/documentation/web-api/tutorials/client-credentials-flow
    Provider {
        name: "spotify",
        title: "Spotify",
        token_url: "https://accounts.spotify.com/api/token",
        ..PLAIN
    },
    // App-only tokens without an end: https://docs.x.com/fundamentals/authentication/oauth-2-0/application-only
    Provider {
        name: "x",
        title: "X, app-only",
        token_url: "https://api.x.com/oauth2/token",
        ..PLAIN
    },
    // Its own grant, with the account's number: https://developers.zoom.us/docs/internal-apps/s2s-oauth/
    Provider {
        name: "zoom",
        title: "Zoom, server-to-server",
        token_url: "https://zoom.us/oauth/token",
        grant_type: "account_credentials",
        parameters: &[("account_id", "{account_id}")],
        asks: &[("account_id", "from the app's page")],
        ..PLAIN
    },
];

/// Every preset, a line each, with what it needs to know.
pub(super) fn list() -> String {
    let line = |provider: &Provider| {
        let asks = provider
            .asks
            .iter()
            .map(|(name, example)| format!(" --set {name}={example}"));
        format!(
            "{:<12}{}\n{:<12}{}{}\n",
            provider.name,
            provider.title,
            "",
            provider.auth.as_str(),
            asks.collect::<String>()
        )
    };
    PROVIDERS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_asks_for_what_it_needs_and_no_more() {
        for provider in PROVIDERS {
            let parameters = provider.parameters.iter().map(|(_, value)| *value);
            let texts: Vec<_> = [provider.token_url, provider.audience, provider.scope]
                .into_iter()
                .chain(parameters)
                .collect();
            let all = texts.join(" ");
            assert!(
                provider.token_url.starts_with("https://"),
                "{}",
                provider.name
            );
            for (name, _) in provider.asks {
                assert!(
                    all.contains(&format!("{{{name}}}")),
                    "{} asks for {name} in vain",
                    provider.name
                );
            }
            assert_eq!(
                all.matches('{').count(),
                provider.asks.len(),
                "{}",
                provider.name
            );
        }
        assert!(PROVIDERS.is_sorted_by_key(|provider| provider.name));
    }
}
