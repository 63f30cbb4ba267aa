// An authorization server that nobody of this project wrote: npm's `oidc-provider`, on any free port of 127.0.0.1.
// Prints its issuer as the first line, and ends when its standard input does.
//
// Takes the directory with the test's keys and certificates, and `http` or `https`; without them it speaks http, and
// knows no client with a key. `GET /requests` counts POSTs. Clients that prove themselves by TLS have a port of their
// own, which the metadata names (RFC 8705, section 5): no other one asks for a certificate.
//
// With TRUSTED_ISSUER and TRUSTED_SUBJECT in the environment, it grants tokens for identity tokens of that issuer, for
// this server and of that subject: as assertions (RFC 7523, section 2.1) and to exchange (RFC 8693).
import { createPublicKey, randomBytes, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';
import { join } from 'node:path';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

const [material, scheme = 'http'] = process.argv.slice(2);
const { TRUSTED_ISSUER, TRUSTED_SUBJECT } = process.env;
// Each grant, and the parameter that has the identity token.
const IDENTITY_GRANTS = {
  'urn:ietf:params:oauth:grant-type:jwt-bearer': 'assertion',
  'urn:ietf:params:oauth:grant-type:token-exchange': 'subject_token',
};
const SCOPE = 'api:read api:write';
const RESOURCE = 'https://api.example/';
// Its tokens are JWTs, which dpop_api.mjs verifies.
const RESOURCE_WITH_JWT = 'https://jwt.example/';
const LIFETIME = 3600;

// RFC 6749 allows the characters 0x20-0x7E in a secret, and this server refuses to start with others.
const CLIENTS = [
  client('post-client', 'client_secret_post', { client_secret: 'another-s%cr+t:&=/ "#?~' }),
  client('basic-client', 'client_secret_basic', { client_secret: 's%cr+t:&=/ "#?~' }),
  // It must send proofs of possession (RFC 9449), with nonces.
  client('dpop-client', 'client_secret_basic', { client_secret: 's3cret', dpop_bound_access_tokens: true }),
  client('jwt-client', 'client_secret_jwt', { client_secret: 'a-secret-that-is-long-enough-for-hmac-sha256' }),
];
if (material) {
  CLIENTS.push(
    clientWithKey('rs256-client', 'RS256', 'rsa.pub'),
    clientWithKey('ps256-client', 'PS256', 'rsa.pub'),
    clientWithKey('es256-client', 'ES256', 'p256.pub'),
    clientWithKey('eddsa-client', 'EdDSA', 'ed25519.pub'),
  );
}
if (TRUSTED_ISSUER) {
  CLIENTS.push(client('federated-client', 'none', { grant_types: Object.keys(IDENTITY_GRANTS) }));
}
if (scheme === 'https') {
  const bound = { tls_client_certificate_bound_access_tokens: true };
  CLIENTS.push(
    client('tls-client', 'tls_client_auth', { tls_client_auth_san_dns: 'client.example', ...bound }),
    // RFC 8705, section 3: a certificate beside a secret or an assertion.
    client('basic-bound-client', 'client_secret_basic', { client_secret: 's%cr+t:&=/ "#?~', ...bound }),
    { ...clientWithKey('es256-bound-client', 'ES256', 'p256.pub'), ...bound },
    client('self-signed-client', 'self_signed_tls_client_auth', { jwks: { keys: [selfSigned()] }, ...bound }),
  );
}

const main = listen({});
const mtls = scheme === 'https' ? listen({ requestCert: true, rejectUnauthorized: false, ca: read('ca.crt') }) : main;
const [origin, mtlsOrigin] = await Promise.all([main, mtls].map(originOf));
const provider = new Provider(origin, {
  clients: CLIENTS,
  // The metadata lists them in this order.
  clientAuthMethods: [...new Set(CLIENTS.map((client) => client.token_endpoint_auth_method))],
  discovery: {
    mtls_endpoint_aliases: {
      token_endpoint: `${mtlsOrigin}/token`,
      revocation_endpoint: `${mtlsOrigin}/token/revocation`,
    },
  },
  scopes: SCOPE.split(' '),
  ttl: { ClientCredentials: LIFETIME },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    introspection: { enabled: true },
    mTLS: {
      enabled: scheme === 'https',
      certificateBoundAccessTokens: true,
      selfSignedTlsClientAuth: true,
      tlsClientAuth: true,
      getCertificate: ({ socket }) => socket.getPeerX509Certificate?.(),
      certificateAuthorized: ({ socket }) => socket.authorized,
      certificateSubjectMatches: ({ socket }, property, expected) =>
        property === 'tls_client_auth_san_dns'
        && socket.getPeerX509Certificate().subjectAltName === `DNS:${expected}`,
    },
    resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
    revocation: { enabled: true },
  },
});
if (TRUSTED_ISSUER) {
  await trustIssuer();
}
let posts = 0;
for (const server of new Set([main, mtls])) {
  server.on('request', counting(provider.callback()));
}
console.log(origin);
process.stdin.on('end', () => process.exit()).resume();

function client(id, authMethod, more) {
  return {
    client_id: id,
    token_endpoint_auth_method: authMethod,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: SCOPE,
    ...more,
  };
}

function clientWithKey(id, algorithm, name) {
  const key = createPublicKey(read(name)).export({ format: 'jwk' });
  return client(id, 'private_key_jwt', { jwks: { keys: [key] }, token_endpoint_auth_signing_alg: algorithm });
}

function selfSigned() {
  const certificate = new X509Certificate(read('self-signed.crt'));
  return { ...certificate.publicKey.export({ format: 'jwk' }), x5c: [certificate.raw.toString('base64')] };
}

async function trustIssuer() {
  const metadata = await fetch(`${TRUSTED_ISSUER}/.well-known/openid-configuration`);
  const { jwks_uri } = await metadata.json();
  // A key that was not seen before is looked for at once.
  const keys = createRemoteJWKSet(new URL(jwks_uri), { cooldownDuration: 0 });
  for (const [grant, parameter] of Object.entries(IDENTITY_GRANTS)) {
    const parameters = [parameter, 'subject_token_type', 'scope'];
    provider.registerGrantType(grant, async (context, next) => {
      const { client, params } = context.oidc;
      const expected = { issuer: TRUSTED_ISSUER, subject: TRUSTED_SUBJECT, audience: origin };
      await jwtVerify(params[parameter], keys, expected).catch((error) => {
        throw new errors.InvalidGrant(error.message);
      });
      const token = new provider.ClientCredentials({ client, scope: params.scope });
      const access_token = await token.save();
      context.body = { access_token, expires_in: token.expiration, token_type: token.tokenType, scope: token.scope };
      await next();
    }, parameters);
  }
}

function listen(options) {
  const server = scheme === 'https'
    ? https.createServer({ cert: read('server.crt'), key: read('server.key'), ...options })
    : http.createServer();
  return server.listen(0, '127.0.0.1');
}

async function originOf(server) {
  await new Promise((listening) => { server.once('listening', listening); });
  return `${scheme}://127.0.0.1:${server.address().port}`;
}

function counting(answer) {
  return (request, response) => {
    if (request.url === '/requests') {
      response.end(JSON.stringify(posts));
      return;
    }
    posts += request.method === 'POST' ? 1 : 0;
    answer(request, response);
  };
}

function read(name) {
  return readFileSync(join(material, name));
}

function resourceServer(_context, resource) {
  if (![RESOURCE, RESOURCE_WITH_JWT].includes(resource)) {
    throw new errors.InvalidTarget();
  }
  const accessTokenFormat = resource === RESOURCE_WITH_JWT ? 'jwt' : 'opaque';
  return { scope: SCOPE, audience: resource, accessTokenTTL: LIFETIME, accessTokenFormat };
}
