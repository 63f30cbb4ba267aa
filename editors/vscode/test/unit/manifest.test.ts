import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";

interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly dependencies?: unknown;
  readonly extensionKind: readonly string[];
  readonly capabilities: { readonly untrustedWorkspaces: { readonly supported: string; readonly restrictedConfigurations: string[] } };
  readonly contributes: {
    readonly configuration: { readonly properties: Readonly<Record<string, { readonly scope: string; readonly pattern?: string }>> };
    readonly commands: readonly { readonly command: string; readonly enablement?: string }[];
  };
}

const root = path.join(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(path.join(root, file), "utf8");
const manifest = JSON.parse(read("package.json")) as Manifest;
const sources = readdirSync(path.join(root, "src"));

test("a workspace can only select a profile", () => {
  const settings = Object.entries(manifest.contributes.configuration.properties);
  const ofWorkspaces = settings.filter(([, { scope }]) => scope !== "machine" && scope !== "application");
  assert.deepEqual(
    ofWorkspaces.map(([name]) => name),
    ["hallpass.profile"],
  );
  assert.deepEqual(manifest.capabilities.untrustedWorkspaces.restrictedConfigurations, ["hallpass.profile"]);
  assert.equal(manifest.capabilities.untrustedWorkspaces.supported, "limited");
});

test("in an untrusted workspace only the commands work that show something", () => {
  const always = manifest.contributes.commands.filter(({ enablement }) => enablement !== "isWorkspaceTrusted");
  assert.deepEqual(
    always.map(({ command }) => command),
    ["hallpass.refresh", "hallpass.showPlace", "hallpass.install"],
  );
});

test("every command of the manifest exists, and the other way round", () => {
  const registered = [...read("src/commands.ts").matchAll(/^\s*(?:vscode\.commands\.registerCommand\()?"(hallpass\.\w+)"[,:]/gm)];
  const names = registered.map((match) => match[1]).sort();
  assert.deepEqual(names, manifest.contributes.commands.map(({ command }) => command).sort());
});

test("it has no dependencies, runs where the workspace is, and has the licence and the version of hallpass", () => {
  assert.equal(manifest.dependencies, undefined);
  assert.deepEqual(manifest.extensionKind, ["workspace"]);
  const cargo = readFileSync(path.join(root, "../../Cargo.toml"), "utf8");
  assert.ok(cargo.includes(`license = "${manifest.license}"`));
  for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) {
    assert.equal(read(licence), read(`../../${licence}`));
  }
});

test("only one file starts programs, none opens a connection, and none writes a file or a log", () => {
  const uses = (pattern: RegExp): string[] => sources.filter((file) => pattern.test(read(`src/${file}`)));
  assert.deepEqual(uses(/child_process/), ["binary.ts"]);
  assert.deepEqual(uses(/node:(http|https|net|tls|dgram|dns)|\bfetch\(|WebSocket/), []);
  assert.deepEqual(uses(/writeFile|appendFile|createWriteStream|workspace\.fs|console\.|SecretStorage|\.secrets\b/), []);
  assert.deepEqual(uses(/readFile|createReadStream/), []);
  assert.deepEqual(uses(/from "vscode"/), ["vscode.ts"]);
  assert.ok(!uses(/from "\.\/vscode\.ts"/).includes("hallpass.ts"));
});
