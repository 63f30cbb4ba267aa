import assert from "node:assert/strict";
import { test } from "node:test";
import { boundByVariable, covers, difference, httpUrl, lookup, variableOf } from "../../src/bindings.ts";
import type { Profile } from "../../src/contract.ts";

function profile(name: string, ...urls: string[]): Profile {
  const bindings = urls.map((url) => ({ url }));
  return { name, isDefault: false, tokenEndpoint: "https://login.example/", clientId: null, bindings, token: null };
}

function url(text: string): URL {
  const parsed = httpUrl(text);
  assert.ok(parsed, text);
  return parsed;
}

test("a bound URL covers whole segments of the same scheme, host and port", () => {
  const bound = "https://api.example/v1/";
  for (const covered of ["https://api.example/v1", "https://API.example:443/v1/a?b#c", "https://api.example/v1/a%20b"]) {
    assert.ok(covers(bound, url(covered)), covered);
  }
  const others = [
    "http://api.example/v1/",
    "https://api.example:8443/v1/",
    "https://api.example/v10",
    "https://api.example/V1/",
    "https://api.example/",
    "https://api.example/v1/../admin",
    "https://api.example/v1/%2e%2e/admin",
    "https://api.example/v1/a%2Fb",
    "https://api.example.evil.example/v1/",
    "https://evil.example/https://api.example/v1/",
  ];
  for (const other of others) assert.ok(!covers(bound, url(other)), other);
});

test("a URL with a user name, without a host or with another scheme is none", () => {
  const cases = [
    "https://api.example@evil.example/",
    "https://a:b@api.example/",
    "https:///path",
    "https:\\\\api.example\\",
    "ftp://api.example/",
    "javascript:alert(1)",
    "command:workbench.action.quit",
    "//api.example/",
    "--refresh",
    "https://a b/",
    "",
  ];
  for (const text of cases) assert.equal(httpUrl(text), undefined, text);
});

test("the longest bound URL counts, and a bound URL of the same host is named if none covers", () => {
  const all = profile("all", "https://api.example/", "https://api.example:8443/");
  const one = profile("one", "https://api.example/v1/");
  const found = lookup(url("https://api.example/v1/x"), [all, one]);
  assert.equal(found.kind === "bound" && found.bound.profile.name, "one");
  const missing = lookup(url("http://api.example/"), [all, one]);
  assert.ok(missing.kind === "unbound");
  assert.deepEqual(
    missing.near.map(({ binding }) => difference(binding.url, missing.url)),
    ["another scheme", "another scheme", "another scheme"],
  );
  assert.equal(difference("https://api.example:8443/", url("https://api.example/")), "another port");
  assert.equal(difference("https://api.example/v1/", url("https://api.example/v2")), "another path");
});

test("a variable is named after the bound URL, in characters that REST Client takes", () => {
  const names = {
    "https://api.example/": "VIA_HALLPASS_API_EXAMPLE",
    "https://acme.blooma.ai/api/": "VIA_HALLPASS_ACME_BLOOMA_AI_API",
    "http://127.0.0.1:8080/a%20b/": "VIA_HALLPASS_HTTP_127_0_0_1_8080_A_20B",
    "https://[::1]/": "VIA_HALLPASS__1_",
  };
  for (const [bound, name] of Object.entries(names)) {
    assert.equal(variableOf(bound), name);
    assert.match(name, /^\w+$/);
  }
});

test("a variable that could mean two bound URLs means none", () => {
  const both = [profile("a", "https://a-b.example/"), profile("b", "https://a.b.example/")];
  assert.equal(boundByVariable("VIA_HALLPASS_A_B_EXAMPLE", both), undefined);
  assert.equal(boundByVariable("VIA_HALLPASS_A_B_EXAMPLE", both.slice(1))?.profile.name, "b");
  assert.equal(boundByVariable("VIA_HALLPASS_OTHER", both), undefined);
});
