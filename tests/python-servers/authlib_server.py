"""An authorization server that nobody of this project wrote: PyPI's Authlib, on Flask. Its issuer has a path.

With TRUSTED_ISSUER and TRUSTED_SUBJECT in the environment, it accepts identity tokens of that issuer, for this server
and of that subject: to authenticate the client with that name, and as assertions.
"""

import os
import time
from urllib.parse import urlsplit

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import ClientMixin, InvalidClientError, TokenMixin, grants
from authlib.oauth2.rfc6749.util import list_to_scope, scope_to_list
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion, JWTBearerGrant
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
import requests
from flask import Flask, jsonify
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey

from serving import LIFETIME, MATERIAL, SCHEME, SCOPE, SECRET, serve

TENANT = "/tenant"
ALGORITHMS = ["HS256", "RS256", "PS256", "ES256", "EdDSA"]
TRUSTED_ISSUER = os.environ.get("TRUSTED_ISSUER")
TRUSTED_SUBJECT = os.environ.get("TRUSTED_SUBJECT")
METHODS = ["client_secret_basic", "client_secret_post", JWTBearerClientAssertion.CLIENT_AUTH_METHOD]


class Client(ClientMixin):
    def __init__(self, client_id, method, secret=None, algorithm=None, key=None):
        self.client_id = client_id
        self.method = method
        self.secret = secret
        self.algorithm = algorithm
        self.key = key

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return list_to_scope([word for word in scope_to_list(scope or "") if word in SCOPE.split()])

    def check_client_secret(self, client_secret):
        return client_secret == self.secret

    def check_endpoint_auth_method(self, method, endpoint):
        is_assertion = self.method in ["client_secret_jwt", "private_key_jwt", "federated_jwt"]
        return method == (JWTBearerClientAssertion.CLIENT_AUTH_METHOD if is_assertion else self.method)

    def check_grant_type(self, grant_type):
        is_assertion = self.method == "federated_jwt" and grant_type == JWTBearerGrant.GRANT_TYPE
        return is_assertion or grant_type == "client_credentials"


def with_key(client_id, algorithm, kind, name):
    public = kind.import_key((MATERIAL / name).read_bytes())
    return Client(client_id, "private_key_jwt", algorithm=algorithm, key=public)


JWT_SECRET = "a-secret-that-is-long-enough-for-hmac-sha256-ü"
CLIENTS = {
    client.client_id: client
    for client in [
        Client("basic:client", "client_secret_basic", SECRET),
        Client("post:client", "client_secret_post", SECRET),
        Client("jwt:client", "client_secret_jwt", algorithm="HS256", key=OctKey.import_key(JWT_SECRET)),
        with_key("rs256-client", "RS256", RSAKey, "rsa.pub"),
        with_key("ps256-client", "PS256", RSAKey, "rsa.pub"),
        with_key("es256-client", "ES256", ECKey, "p256.pub"),
        with_key("eddsa-client", "EdDSA", OKPKey, "ed25519.pub"),
        Client("introspector", "client_secret_post", "introspector-secret"),
    ]
}


if TRUSTED_ISSUER:
    CLIENTS[TRUSTED_SUBJECT] = Client(TRUSTED_SUBJECT, "federated_jwt", algorithm="ES256")


def trusted_keys():
    """The keys that the issuer publishes now."""
    metadata = requests.get(TRUSTED_ISSUER + "/.well-known/openid-configuration", timeout=30).json()
    return KeySet.import_key_set(requests.get(metadata["jwks_uri"], timeout=30).json())


class Token(TokenMixin):
    def __init__(self, client, scope, expires_in):
        self.client = client
        self.scope = scope
        self.expires_at = time.time() + expires_in
        self.revoked = False

    def check_client(self, client):
        return self.client is client

    def is_expired(self):
        return self.expires_at < time.time()

    def is_revoked(self):
        return self.revoked


TOKENS = {}


def save_token(token, request):
    TOKENS[token["access_token"]] = Token(request.client, token.get("scope"), token["expires_in"])


class Grant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = METHODS


class Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def query_token(self, token_string, token_type_hint):
        return TOKENS.get(token_string)

    def revoke_token(self, token, request):
        token.revoked = True


class Introspection(IntrospectionEndpoint):
    CLIENT_AUTH_METHODS = METHODS

    def check_permission(self, token, client, request):
        return client.client_id == "introspector"

    def query_token(self, token_string, token_type_hint):
        return TOKENS.get(token_string)

    def introspect_token(self, token):
        return {"client_id": token.client.client_id, "scope": token.scope}


class Assertion(JWTBearerClientAssertion):
    """Takes only the issuer as the audience, as draft-ietf-oauth-rfc7523bis wants it."""

    def __init__(self, issuer):
        super().__init__()
        self.issuer = issuer
        self.seen = set()

    def get_audiences(self):
        return [self.issuer]

    def resolve_client_public_key(self, client):
        # Of the algorithms, the library itself takes only those that it recommends.
        self.algorithm = client.algorithm
        self.is_federated = client.method == "federated_jwt"
        return trusted_keys() if self.is_federated else client.key

    def process_assertion_claims(self, assertion, resolve_key):
        try:
            token = jwt.decode(assertion, resolve_key, algorithms=[self.algorithm])
        except Exception as error:
            raise InvalidClientError(description="The assertion does not hold.") from error
        self.verify_claims(token.claims)
        return token.claims

    def verify_claims(self, claims):
        if not self.is_federated:
            return super().verify_claims(claims)
        # Another party issued it, so `iss` is not the client.
        expected = {"iss": TRUSTED_ISSUER, "sub": TRUSTED_SUBJECT, "aud": self.issuer}
        required = {name: {"essential": True, "value": value} for name, value in expected.items()}
        try:
            jwt.JWTClaimsRegistry(leeway=self.leeway, exp={"essential": True}, **required).validate(claims)
        except JoseError as error:
            raise InvalidClientError(description=error.description) from error

    def validate_jti(self, claims, jti):
        is_new = jti not in self.seen
        self.seen.add(jti)
        return is_new


def assertion_grant(issuer):
    class AssertionGrant(JWTBearerGrant):
        def resolve_issuer_client(self, claimed):
            return CLIENTS[TRUSTED_SUBJECT] if claimed == TRUSTED_ISSUER else None

        def resolve_client_public_key(self, client):
            return trusted_keys()

        def get_audiences(self):
            return [issuer]

        def authenticate_user(self, subject):
            return subject if subject == TRUSTED_SUBJECT else None

        def has_granted_permission(self, client, user):
            return True

    return AssertionGrant


def application(url):
    issuer = url + TENANT
    app = Flask(__name__)
    app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"client_credentials": LIFETIME}
    app.config["OAUTH2_SCOPES_SUPPORTED"] = SCOPE.split()
    server = AuthorizationServer(app, CLIENTS.get, save_token)
    server.register_client_auth_method(Assertion.CLIENT_AUTH_METHOD, Assertion(issuer))
    server.register_grant(Grant)
    if TRUSTED_ISSUER:
        server.register_grant(assertion_grant(issuer))
    server.register_endpoint(Revocation)
    server.register_endpoint(Introspection)
    metadata = AuthorizationServerMetadata(
        issuer=issuer,
        token_endpoint=issuer + "/token",
        revocation_endpoint=issuer + "/revoke",
        introspection_endpoint=issuer + "/introspect",
        grant_types_supported=["client_credentials"],
        response_types_supported=["none"],
        scopes_supported=SCOPE.split(),
        # In this order: a client takes the first that fits it.
        token_endpoint_auth_methods_supported=["private_key_jwt", "client_secret_post", "client_secret_basic", "client_secret_jwt"],
        token_endpoint_auth_signing_alg_values_supported=["HS256", "PS256", "ES256", "EdDSA"],
    )
    if SCHEME == "https":
        metadata["jwks_uri"] = issuer + "/jwks"
        metadata.validate()
    app.get("/.well-known/oauth-authorization-server" + urlsplit(issuer).path)(lambda: jsonify(metadata))
    app.post(TENANT + "/token", endpoint="token")(server.create_token_response)
    for endpoint, path in [("revocation", "/revoke"), ("introspection", "/introspect")]:
        app.post(TENANT + path, endpoint=endpoint)(lambda endpoint=endpoint: server.create_endpoint_response(endpoint))
    return app


serve(application)
