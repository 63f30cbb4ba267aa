// A client for the conformance suite that knows only the server's URL, its client ID and its credential:
// hallpass finds the authorization server, gets the token, and this program uses it.
//
//   node client.mjs HALLPASS DIRECTORY URL
//
// MCP_CONFORMANCE_CONTEXT has the client ID and the credential. The home directory is DIRECTORY/home.

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const [hallpass, directory, url] = process.argv.slice(2);
// Not every scenario has a client: that one gets as far as the metadata.
const unknown = '{"client_id": "client", "client_secret": "secret"}';
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? unknown);

function run(args) {
  const env = { PATH: process.env.PATH, HOME: join(directory, "home"), XDG_RUNTIME_DIR: directory };
  const ended = spawnSync(hallpass, args, { env, encoding: "utf8" });
  process.stderr.write(ended.stderr);
  return ended;
}

function fail(text) {
  console.error(text);
  process.exit(1);
}

const file = join(directory, "credential");
writeFileSync(file, context.private_key_pem ?? context.client_secret, { mode: 0o600 });
const credential = context.private_key_pem ? "--jwt-key" : "--secret-file";
const login = ["login", "conformance", "--mcp", url, "--client-id", context.client_id, credential, file];

// There is no terminal: the first attempt names the authorization server that has to be confirmed.
const first = run(login);
const issuer = first.stderr.match(/ --issuer (\S+) /)?.[1];
if (first.status !== 2 || !issuer) fail(`exit code ${first.status} without an issuer`);
if (run([...login, "--issuer", issuer]).status !== 0) fail("no login");
const headers = run(["token", "conformance", "--format", "headers-json"]);
if (headers.status !== 0) fail("no token");

async function send(message) {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      ...JSON.parse(headers.stdout),
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
    },
    body: JSON.stringify({ jsonrpc: "2.0", ...message }),
  });
  const text = await response.text();
  if (!response.ok) fail(`${message.method}: ${response.status} ${text}`);
}

const clientInfo = { name: "conformance-client", version: "1" };
const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
await send({ id: 1, method: "initialize", params });
await send({ method: "notifications/initialized" });
await send({ id: 2, method: "tools/list", params: {} });
