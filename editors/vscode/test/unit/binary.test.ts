import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { findBinary, findHere, run, type Search } from "../../src/binary.ts";
import { directory, program } from "./programs.ts";

function find(programs: readonly string[], more: Partial<Search> = {}): string {
  const isProgram = (file: string): boolean => programs.includes(file);
  const found = findBinary({ setting: "", env: {}, platform: "linux", home: "/home/u", isProgram, ...more });
  return found.kind === "found" ? found.file : found.kind;
}

test("the setting comes first, then PATH, then the usual places", () => {
  const all = ["/s/hp", "/p/hallpass", "/q/hallpass", "/home/u/.cargo/bin/hallpass", "/home/u/hp"];
  const env = { PATH: "/nothing:/p:/q" };
  assert.equal(find(all, { setting: "/s/hp", env }), "/s/hp");
  assert.equal(find(all, { setting: "~/hp", env }), "/home/u/hp");
  assert.equal(find(all, { env }), "/p/hallpass");
  assert.equal(find(all), "/home/u/.cargo/bin/hallpass");
  assert.equal(find([]), "missing");
});

test("a setting that cannot be used is not replaced by another program", () => {
  for (const setting of ["hallpass", "./hallpass", "bin/hallpass", "/nothing/hallpass"]) {
    assert.equal(find(["hallpass", "./hallpass", "bin/hallpass", "/p/hallpass"], { setting, env: { PATH: "/p" } }), "unusable");
  }
});

test("entries of PATH that depend on the current directory are not used", () => {
  const programs = ["hallpass", "./hallpass", "bin/hallpass", "/hallpass"];
  assert.equal(find(programs, { env: { PATH: "::.:./:bin:node_modules/.bin" } }), "missing");
});

test("on Windows it is an .exe file", () => {
  const env = { Path: "C:\\a;;b;C:\\p", LOCALAPPDATA: "C:\\Users\\u\\AppData\\Local" };
  const windows = { platform: "win32", home: "C:\\Users\\u", env } as const;
  assert.equal(find(["C:\\p\\hallpass.exe", "C:\\p\\hallpass.cmd"], windows), "C:\\p\\hallpass.exe");
  assert.equal(find(["C:\\a\\hallpass.cmd", "C:\\a\\hallpass"], windows), "missing");
  const links = "C:\\Users\\u\\AppData\\Local\\Microsoft\\WinGet\\Links\\hallpass.exe";
  assert.equal(find([links], windows), links);
});

test("a directory, and a file that cannot be run, is no program", (context) => {
  const root = directory(context);
  mkdirSync(path.join(root, "directory"));
  writeFileSync(path.join(root, "text"), "", { mode: 0o644 });
  writeFileSync(path.join(root, "program"), "", { mode: 0o755 });
  chmodSync(path.join(root, "text"), 0o644);
  assert.equal(findHere(path.join(root, "directory")).kind, "unusable");
  assert.equal(findHere(path.join(root, "text")).kind, "unusable");
  assert.equal(findHere(path.join(root, "program")).kind, "found");
});

test("no shell reads the arguments, and there is no input", async (context) => {
  const file = program(
    context,
    `let input = ""; process.stdin.on("data", (it) => input += it).on("end", () => {
      console.log(JSON.stringify({ args: process.argv.slice(2), cwd: process.cwd(), input, variable: process.env.V }));
      console.error("for people"); process.exit(4);
    });`,
  );
  const cwd = directory(context);
  const args = ["$(id)", "a b", "`id`", "'\"", "--", "%PATH%", "*"];
  const output = await run(file, args, { cwd, env: { V: "1" }, timeout: 60_000 });
  assert.deepEqual(JSON.parse(output.stdout), { args, cwd, input: "", variable: "1" });
  assert.equal(output.stderr, "for people\n");
  assert.equal(output.code, 4);
});

test("a program that prints without end, or does not end, is ended", async (context) => {
  const endless = program(context, `setInterval(() => process.stdout.write("x".repeat(1 << 20)), 1);`);
  const options = { cwd: "/", env: process.env, timeout: 60_000 };
  const output = await run(endless, [], options);
  assert.equal(output.code, null);
  assert.ok(output.stdout.length <= 4 * 1024 * 1024);
  const silent = program(context, `setInterval(() => {}, 1000); console.log("started");`);
  assert.equal((await run(silent, [], { ...options, timeout: 10 })).code, null);
  assert.equal((await run(silent, [], { ...options, signal: AbortSignal.abort() })).code, null);
  await assert.rejects(run("/nothing/hallpass", [], options), /ENOENT/);
});
