// An authorization server that nobody of this project wrote: npm's `oidc-provider`, on any free port of 127.0.0.1.
// Prints its issuer as the first line, and ends when its standard input does.
import { createServer } from 'node:http';
import Provider, { errors } from 'oidc-provider';

const SCOPE = 'api:read api:write';
const RESOURCE = 'https://api.example/';
const LIFETIME = 3600;

// RFC 6749 allows the characters 0x20-0x7E in a secret, and this server refuses to start with others.
const CLIENTS = [
  client('basic-client', 'client_secret_basic', 's%cr+t:&=/ "#?~'),
  client('post-client', 'client_secret_post', 'another-s%cr+t:&=/ "#?~'),
  client('jwt-client', 'client_secret_jwt', 'a-secret-that-is-long-enough-for-hmac-sha256'),
];

const CONFIGURATION = {
  clients: CLIENTS,
  clientAuthMethods: CLIENTS.map((client) => client.token_endpoint_auth_method),
  scopes: SCOPE.split(' '),
  ttl: { ClientCredentials: LIFETIME },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: resourceServer },
    revocation: { enabled: true },
  },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(issuer, CONFIGURATION).callback());
  console.log(issuer);
});
process.stdin.on('end', () => process.exit()).resume();

function client(id, authMethod, secret) {
  return {
    client_id: id,
    client_secret: secret,
    token_endpoint_auth_method: authMethod,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    scope: SCOPE,
  };
}

function resourceServer(_context, resource) {
  if (resource !== RESOURCE) {
    throw new errors.InvalidTarget();
  }
  return { scope: SCOPE, audience: resource, accessTokenTTL: LIFETIME, accessTokenFormat: 'opaque' };
}
