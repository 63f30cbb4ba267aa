import assert from "node:assert/strict";
import { test } from "node:test";
import * as contract from "../../src/contract.ts";
import { reportOf } from "../../src/doctor_report.ts";

const PROFILE = {
  name: "prod",
  is_default: true,
  token_endpoint: "https://login.example/token",
  client_id: "client-one",
  for: ["https://api.example/", { url: "https://other.example/v1/", header: "X-Access-Token" }],
  tokens: [
    { is_default: false, expires_at: "2026-11-28T01:00:00Z" },
    { is_default: true, expires_at: "2026-11-28T02:16:04Z", member: "of a later hallpass" },
  ],
};

function status(...profiles: unknown[]): string {
  return JSON.stringify({ version: 1, profiles });
}

test("a status has its profiles, their URLs and the token that a call without options prints", () => {
  assert.deepEqual(contract.parseStatus(status(PROFILE)), {
    profiles: [
      {
        name: "prod",
        isDefault: true,
        tokenEndpoint: "https://login.example/token",
        clientId: "client-one",
        bindings: [{ url: "https://api.example/" }, { url: "https://other.example/v1/", header: "X-Access-Token" }],
        token: { expiresAt: Date.UTC(2026, 10, 28, 2, 16, 4) },
      },
    ],
    unusable: [],
    selected: undefined,
  });
});

test("a profile that cannot be used has the reason and what helps", () => {
  const parsed = contract.parseStatus(status({ name: "old", error: "broken", hints: ["log in"], exit_code: 2 }));
  assert.deepEqual(parsed.unusable, [{ name: "old", error: "broken", hints: ["log in"] }]);
});

test("output of another version, and output that is no document, is refused without being repeated", () => {
  const cases = [
    '{"version":2,"profiles":[]}',
    '{"profiles":[]}',
    '{"version":1}',
    "[]",
    "null",
    "secret-token",
    "",
    status({ ...PROFILE, for: "https://api.example/" }),
    status({ ...PROFILE, name: 1 }),
    status({ ...PROFILE, tokens: [{ is_default: true, expires_at: "tomorrow" }] }),
  ];
  for (const output of cases) {
    assert.throws(
      () => contract.parseStatus(output),
      (error: Error) => error instanceof contract.ContractError && !error.message.includes("secret-token"),
      output,
    );
  }
});

test("a token is printable ASCII without spaces", () => {
  const token = (access_token: unknown): string =>
    JSON.stringify({ version: 1, access_token, token_type: "Bearer", expires_at: "2026-11-28T02:16:04Z" });
  assert.equal(contract.parseToken(token("a-token")).accessToken, "a-token");
  for (const bad of ["", "a b", "a\nX-Header: b", "tökén", 1, null]) {
    assert.throws(() => contract.parseToken(token(bad)), contract.ContractError, String(bad));
  }
});

test("headers cannot hold a line break", () => {
  assert.deepEqual(contract.parseHeaders('{"Authorization":"Bearer t"}'), { Authorization: "Bearer t" });
  for (const bad of ['{"A":"b\\nC: d"}', '{"A\\n":"b"}', '{"A":1}', '["A"]']) {
    assert.throws(() => contract.parseHeaders(bad), contract.ContractError, bad);
  }
});

test("an address is one of this machine with a key", () => {
  assert.equal(contract.parseAddress("http://127.0.0.1:49152/k-a_B-1/\n"), "http://127.0.0.1:49152/k-a_B-1");
  for (const bad of ["https://evil.example/k-a/", "http://127.0.0.1:1/k-a/?x", "http://127.0.0.1.evil/k-a/", ""]) {
    assert.throws(() => contract.parseAddress(bad), contract.ContractError, bad);
  }
});

test("the report of doctor has a part for this machine and for each profile", () => {
  const doctor = contract.parseDoctor(
    JSON.stringify({
      version: 1,
      ok: false,
      checks: [
        { profile: null, check: "keychain", status: "ok", message: "it runs", fixes: [] },
        { profile: "prod", check: "token", status: "failed", message: "refused", fixes: ["hallpass login prod"] },
        { profile: "prod", check: "new", status: "skipped", message: "not done", fixes: [] },
      ],
    }),
  );
  assert.deepEqual(reportOf(doctor), [
    "this machine",
    "  ok    it runs",
    "",
    "profile prod",
    "  FAIL  refused",
    "          fix: hallpass login prod",
    "  -     not done",
    "",
    "some checks failed",
  ]);
});
