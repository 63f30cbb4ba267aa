import assert from "node:assert/strict";
import { test } from "node:test";
import type { Profile, Status } from "../../src/contract.ts";
import { timeLeft } from "../../src/duration.ts";
import { isProfileName } from "../../src/profile_name.ts";
import { select } from "../../src/selection.ts";

function status(names: readonly string[], more: Partial<Status> & { default?: string } = {}): Status {
  const profiles = names.map(
    (name): Profile => ({
      name,
      isDefault: name === more.default,
      tokenEndpoint: "https://login.example/",
      clientId: null,
      bindings: [],
      token: null,
    }),
  );
  return { profiles, unusable: more.unusable ?? [], selected: more.selected };
}

test("the setting comes first, then the environment, then the choice of hallpass", () => {
  const all = status(["a", "b", "c", "d"], { default: "c", selected: "d" });
  const name = (setting: unknown, variable?: string, of = all): unknown => {
    const selection = select({ setting, variable }, of);
    return selection.kind === "profile" ? selection.name : selection.kind;
  };
  assert.equal(name("a", "b"), "a");
  assert.equal(name("", "b"), "b");
  assert.equal(name(undefined, ""), "d");
  assert.equal(name("", undefined, status(["a", "b"], { default: "b" })), "b");
  assert.equal(name("", undefined, status(["a"])), "a");
  assert.equal(name("", undefined, status(["a", "b"])), "none");
  assert.equal(name("", undefined, status([])), "none");
  const broken = { name: "b", error: "broken", hints: [] };
  assert.equal(name("", undefined, status(["a"], { unusable: [broken] })), "none");
});

test("what a workspace writes is a name of a profile that exists, or an error that does not repeat it", () => {
  const bad = ["--refresh", "-", "../a", "a b", "A", "a\nb", "$(key)", "${command:hallpass.token}", "a".repeat(65), 1, {}];
  for (const setting of bad) {
    const selection = select({ setting, variable: undefined }, status(["a"]));
    const reason = "the setting hallpass.profile is not the name of a profile";
    assert.deepEqual(selection, { kind: "invalid", reason }, JSON.stringify(setting));
  }
  const unknown = select({ setting: "b", variable: undefined }, status(["a"]));
  assert.deepEqual(unknown, { kind: "invalid", reason: "no profile named b (the setting hallpass.profile)" });
});

test("names are those that hallpass takes", () => {
  for (const name of ["a", "0", "a.b_c-d", "a".repeat(64)]) assert.ok(isProfileName(name), name);
  for (const name of ["", "-a", ".a", "_environment", "é", "inspect", "a\n", null]) assert.ok(!isProfileName(name));
});

test("the time left is short", () => {
  const cases: [number, string][] = [
    [-1, "expired"],
    [0, "expired"],
    [59, "59 s"],
    [60, "1 min"],
    [3599, "59 min"],
    [3600, "1 h"],
    [86_340, "23 h 59 min"],
    [172_800, "2 d"],
  ];
  for (const [seconds, text] of cases) assert.equal(timeLeft(seconds * 1000, 0), text);
});
