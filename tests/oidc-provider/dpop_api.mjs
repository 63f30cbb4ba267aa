// An API that takes only tokens that are bound to a key (RFC 9449), as npm's `oauth4webapi` verifies them, on any free
// port of 127.0.0.1. Takes the issuer. Prints its URL as the first line, and ends when its standard input does.
//
// A proof needs the current nonce, which changes with every third request that is accepted, and is never accepted
// twice. `GET /log` counts what was accepted, and tells why the rest was not. A WebSocket handshake is verified, too.
//
// With the word `htu`, it prints the `htu` that oauth4webapi itself sends for each URL on its standard input.
import * as http from 'node:http';
import { createInterface } from 'node:readline';
import * as oauth from 'oauth4webapi';

const [issuer] = process.argv.slice(2);
const insecure = { [oauth.allowInsecureRequests]: true };
if (issuer === 'htu') {
  await printTargets();
  process.exit();
}
const found = await oauth.discoveryRequest(new URL(issuer), insecure);
const server = await oauth.processDiscoveryResponse(new URL(issuer), found);
const log = { accepted: 0, nonces: 0, refused: [] };
const seen = new Set();

const api = http.createServer(async (request, response) => {
  if (request.url === '/log') {
    response.end(JSON.stringify(log));
    return;
  }
  let body = '';
  for await (const chunk of request) {
    body += chunk;
  }
  const refusal = await refuse(request);
  const headers = { 'DPoP-Nonce': nonce() };
  if (refusal) {
    response.writeHead(401, { ...headers, 'WWW-Authenticate': refusal });
    response.end();
    return;
  }
  response.writeHead(200, headers);
  response.end(`${request.method} ${request.url} ${body}`);
});
api.on('upgrade', async (request, socket) => {
  const refusal = await refuse(request);
  const head = refusal
    ? ['401 Unauthorized', `WWW-Authenticate: ${refusal}`, 'Content-Length: 0']
    : ['101 Switching Protocols', 'Connection: Upgrade', 'Upgrade: websocket'];
  socket.write(`HTTP/1.1 ${head.join('\r\n')}\r\nDPoP-Nonce: ${nonce()}\r\n\r\n`);
  if (refusal) {
    socket.end();
  } else {
    socket.pipe(socket);
  }
});
await new Promise((listening) => { api.listen(0, '127.0.0.1', listening); });
console.log(`http://127.0.0.1:${api.address().port}/`);
process.stdin.on('end', () => process.exit()).resume();

function nonce() {
  return `nonce-${Math.floor(log.accepted / 3)}`;
}

// The challenge for a request that is not accepted.
async function refuse(request) {
  const url = `http://${request.headers.host}${request.url}`;
  const { method, headers: { authorization, dpop } } = request;
  try {
    const headers = { authorization, dpop };
    await oauth.validateJwtAccessToken(server, new Request(url, { method, headers }), 'https://jwt.example/', {
      ...insecure,
      requireDPoP: true,
    });
    const claims = JSON.parse(Buffer.from(dpop.split('.')[1], 'base64url'));
    if (seen.has(claims.jti)) {
      throw new Error('a proof was sent twice');
    }
    seen.add(claims.jti);
    if (claims.nonce !== nonce()) {
      log.nonces += 1;
      return 'DPoP error="use_dpop_nonce", error_description="use the nonce"';
    }
  } catch (error) {
    log.refused.push(`${method} ${url}: ${error.message} ${error.cause?.message ?? ''}`);
    return 'DPoP error="invalid_token"';
  }
  log.accepted += 1;
  return undefined;
}

async function printTargets() {
  const keys = await oauth.generateKeyPair('ES256');
  for await (const url of createInterface({ input: process.stdin })) {
    let proof;
    await oauth.protectedResourceRequest('token', 'GET', new URL(url), undefined, undefined, {
      ...insecure,
      DPoP: oauth.DPoP({ client_id: 'c' }, keys),
      [oauth.customFetch]: async (_url, options) => {
        proof = new Headers(options.headers).get('dpop');
        return new Response();
      },
    });
    console.log(JSON.parse(Buffer.from(proof.split('.')[1], 'base64url')).htu);
  }
}
