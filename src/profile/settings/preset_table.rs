//! The providers, a row each: only data.

use super::presets::{Kind, Preset, question};
use crate::profile::identity::IdentityRole;
use crate::profile::{BodyFormat, ClientAuth, JwtAlgorithm};

/// A provider that needs nothing unusual.
const PLAIN: Preset = Preset {
    name: "",
    title: "",
    token_url: "",
    auth: ClientAuth::ClientSecretBasic,
    body: BodyFormat::Form,
    audience: "",
    scope: "",
    grant_type: "",
    parameters: &[],
    headers: &[],
    assertion: None,
    dpop: false,
    identity: None,
    questions: &[],
    note: "",
};

pub(crate) const PRESETS: &[Preset] = &[
    // IMS answers only to comma-separated scopes:
    // https://developer.adobe.com/developer-console/docs/guides/authentication/ServerToServerAuthentication/ims
    Preset {
        name: "adobe",
        title: "Adobe IMS, OAuth server-to-server",
        token_url: "https://ims-na1.adobelogin.com/ims/token/v3",
        auth: ClientAuth::ClientSecretPost,
        scope: "{scopes}",
        questions: &[question(
            "scopes",
            "Scopes, with commas between them",
            "openid,AdobeID,read_organizations",
            Kind::Text,
        )],
        ..PLAIN
    },
    // With the header of the anthropic packages: https://platform.claude.com/docs/en/build-with-claude/workload-identity-federation
    Preset {
        name: "anthropic-wif",
        title: "Anthropic, workload identity federation",
        token_url: "https://api.anthropic.com/v1/oauth/token",
        auth: ClientAuth::None,
        body: BodyFormat::Json,
        identity: Some(IdentityRole::Assertion),
        parameters: &[
            ("federation_rule_id", "{rule}"),
            ("organization_id", "{organization}"),
            ("service_account_id", "{service_account}"),
        ],
        headers: &[(
            "anthropic-beta",
            "oauth-2025-04-20,oidc-federation-2026-04-01",
        )],
        questions: &[
            question("rule", "Federation rule ID", "fdrl_0123", Kind::Text),
            question(
                "organization",
                "Organization ID",
                "from the console",
                Kind::Text,
            ),
            question(
                "service_account",
                "Service account ID",
                "svac_0123",
                Kind::Text,
            ),
        ],
        note: "requests to the API need the header `anthropic-beta: oauth-2025-04-20`; if the rule covers several workspaces, add --param workspace_id=ID",
        ..PLAIN
    },
    // https://auth0.com/docs/get-started/authentication-and-authorization-flow/client-credentials-flow/call-your-api-using-the-client-credentials-flow
    Preset {
        name: "auth0",
        title: "Auth0",
        token_url: "https://{domain}/oauth/token",
        auth: ClientAuth::ClientSecretPost,
        audience: "{audience}",
        questions: &[
            question("domain", "Auth0 domain", "acme.eu.auth0.com", Kind::Host),
            question(
                "audience",
                "Audience, exactly as the API has it",
                "https://api.acme.example/",
                Kind::Text,
            ),
        ],
        ..PLAIN
    },
    // The Blooma API documentation, chapter Authentication: an Auth0-style endpoint that takes JSON.
    Preset {
        name: "blooma",
        title: "Blooma API",
        token_url: "https://login.blooma.ai/oauth/token",
        auth: ClientAuth::ClientSecretPost,
        body: BodyFormat::Json,
        audience: "{base_url}/api/",
        questions: &[question(
            "base_url",
            "Blooma URL",
            "https://acme.blooma.ai",
            Kind::Base("/api"),
        )],
        ..PLAIN
    },
    // https://docs.aws.amazon.com/cognito/latest/developerguide/token-endpoint.html
    Preset {
        name: "cognito",
        title: "Amazon Cognito user pool",
        token_url: "https://{domain}/oauth2/token",
        questions: &[question(
            "domain",
            "Cognito domain",
            "acme.auth.eu-central-1.amazoncognito.com",
            Kind::Host,
        )],
        ..PLAIN
    },
    // Federation of service principals: https://docs.databricks.com/aws/en/dev-tools/auth/oauth-federation-exchange
    Preset {
        name: "databricks-wif",
        title: "Databricks, workload identity federation",
        token_url: "https://{host}/oidc/v1/token",
        auth: ClientAuth::None,
        scope: "all-apis",
        identity: Some(IdentityRole::SubjectToken),
        questions: &[question(
            "host",
            "Databricks host",
            "acme.cloud.databricks.com",
            Kind::Host,
        )],
        note: "with the federation policy of a service principal, add --client-id with its ID",
        ..PLAIN
    },
    // The scope is the resource's with /.default; certificates sign PS256, `aud` the token endpoint:
    // https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-client-creds-grant-flow
    // https://learn.microsoft.com/en-us/entra/identity-platform/certificate-credentials
    Preset {
        name: "entra",
        title: "Microsoft Entra ID",
        token_url: "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        auth: ClientAuth::ClientSecretPost,
        scope: "{resource}/.default",
        assertion: Some((JwtAlgorithm::PS256, "token_endpoint", "JWT")),
        questions: &[
            question(
                "tenant",
                "Tenant, by its domain or id",
                "acme.onmicrosoft.com",
                Kind::Segment,
            ),
            question(
                "resource",
                "Resource, exactly as the API has it",
                "https://graph.microsoft.com",
                Kind::TextWithout("/.default"),
            ),
        ],
        ..PLAIN
    },
    // https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token
    Preset {
        name: "google-wif",
        title: "Google Cloud, workload identity federation",
        token_url: "https://sts.googleapis.com/v1/token",
        auth: ClientAuth::None,
        audience: "//iam.googleapis.com/projects/{project}/locations/global/workloadIdentityPools/{pool}/providers/{provider}",
        scope: "https://www.googleapis.com/auth/cloud-platform",
        identity: Some(IdentityRole::SubjectToken),
        parameters: &[(
            "requested_token_type",
            "urn:ietf:params:oauth:token-type:access_token",
        )],
        questions: &[
            question("project", "Project number", "123456789012", Kind::Segment),
            question("pool", "Workload identity pool", "ci", Kind::Segment),
            question("provider", "Provider in the pool", "github", Kind::Segment),
        ],
        ..PLAIN
    },
    // https://www.keycloak.org/securing-apps/oidc-layers#_token_endpoint
    Preset {
        name: "keycloak",
        title: "Keycloak",
        token_url: "https://{host}/realms/{realm}/protocol/openid-connect/token",
        assertion: Some((JwtAlgorithm::RS256, "token_endpoint", "JWT")),
        questions: &[
            question("host", "Keycloak host", "sso.acme.example", Kind::Host),
            question("realm", "Realm", "acme", Kind::Segment),
        ],
        ..PLAIN
    },
    // A custom authorization server: https://developer.okta.com/docs/guides/implement-grant-type/clientcreds/main/
    Preset {
        name: "okta",
        title: "Okta, custom authorization server",
        token_url: "https://{domain}/oauth2/{server}/v1/token",
        scope: "{scopes}",
        questions: &[
            question("domain", "Okta domain", "acme.okta.com", Kind::Host),
            question("server", "Authorization server", "default", Kind::Segment),
            question("scopes", "Scopes", "orders.read", Kind::Text),
        ],
        ..PLAIN
    },
    // The org server accepts only private_key_jwt, and new apps require DPoP:
    // https://developer.okta.com/docs/guides/implement-oauth-for-okta-serviceapp/main/
    // https://developer.okta.com/docs/guides/dpop/oktaresourceserver/main/
    Preset {
        name: "okta-org",
        title: "Okta, the org's own APIs",
        token_url: "https://{domain}/oauth2/v1/token",
        auth: ClientAuth::PrivateKeyJwt,
        scope: "{scopes}",
        assertion: Some((JwtAlgorithm::RS256, "token_endpoint", "JWT")),
        dpop: true,
        questions: &[
            question("domain", "Okta domain", "acme.okta.com", Kind::Host),
            question("scopes", "Scopes", "okta.users.read", Kind::Text),
        ],
        note: "Okta's new apps require DPoP, so tokens are bound to a key: use them with `hallpass serve` or `hallpass token --request`; for bearer tokens, turn off \"Require Demonstrating Proof of Possession (DPoP) header in token requests\" in the app's settings, and add --no-dpop",
        ..PLAIN
    },
    // As the openai packages request it: https://platform.openai.com/docs/guides/workload-identity-federation
    Preset {
        name: "openai-wif",
        title: "OpenAI, workload identity federation",
        token_url: "https://auth.openai.com/oauth/token",
        auth: ClientAuth::None,
        body: BodyFormat::Json,
        identity: Some(IdentityRole::SubjectToken),
        parameters: &[
            ("identity_provider_id", "{identity_provider}"),
            ("service_account_id", "{service_account}"),
        ],
        questions: &[
            question(
                "identity_provider",
                "Identity provider ID",
                "idp_0123",
                Kind::Text,
            ),
            question(
                "service_account",
                "Service account ID",
                "from the organization's settings",
                Kind::Text,
            ),
        ],
        ..PLAIN
    },
    // https://developer.paypal.com/api/rest/authentication/
    Preset {
        name: "paypal",
        title: "PayPal",
        token_url: "https://{host}/v1/oauth2/token",
        questions: &[question(
            "host",
            "PayPal host",
            "api-m.paypal.com",
            Kind::Host,
        )],
        ..PLAIN
    },
    // No expires_in; the answer's instance_url says where the API is:
    // https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_client_credentials_flow.htm
    Preset {
        name: "salesforce",
        title: "Salesforce",
        token_url: "https://{domain}/services/oauth2/token",
        auth: ClientAuth::ClientSecretPost,
        questions: &[question(
            "domain",
            "Salesforce domain",
            "acme.my.salesforce.com",
            Kind::Host,
        )],
        ..PLAIN
    },
    // https://help.sap.com/docs/btp/sap-business-technology-platform/oauth-2-0-client-credentials
    Preset {
        name: "sap",
        title: "SAP BTP (XSUAA)",
        token_url: "https://{subdomain}.authentication.{region}.hana.ondemand.com/oauth/token",
        questions: &[
            question("subdomain", "Subdomain", "acme", Kind::Label),
            question("region", "Region", "eu10", Kind::Label),
        ],
        ..PLAIN
    },
    // https://developer.spotify.com/documentation/web-api/tutorials/client-credentials-flow
    Preset {
        name: "spotify",
        title: "Spotify",
        token_url: "https://accounts.spotify.com/api/token",
        ..PLAIN
    },
    // App-only tokens without an end: https://docs.x.com/fundamentals/authentication/oauth-2-0/application-only
    Preset {
        name: "x",
        title: "X, app-only",
        token_url: "https://api.x.com/oauth2/token",
        ..PLAIN
    },
    // Its own grant, with the account's number: https://developers.zoom.us/docs/internal-apps/s2s-oauth/
    Preset {
        name: "zoom",
        title: "Zoom, server-to-server",
        token_url: "https://zoom.us/oauth/token",
        grant_type: "account_credentials",
        parameters: &[("account_id", "{account_id}")],
        questions: &[question(
            "account_id",
            "Account ID",
            "from the app's page",
            Kind::Text,
        )],
        ..PLAIN
    },
];
