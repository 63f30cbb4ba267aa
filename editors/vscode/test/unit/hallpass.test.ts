import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import path from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout } from "node:timers/promises";
import { ContractError } from "../../src/contract.ts";
import { Hallpass, HallpassError } from "../../src/hallpass.ts";
import { Servers } from "../../src/servers.ts";
import { directory, program } from "./programs.ts";

/** A program that prints this, and its arguments on standard error. */
function hallpass(context: TestContext, stdout: string, code = 0, env: NodeJS.ProcessEnv = {}): Hallpass {
  const said = `"hallpass: error: " + process.argv.slice(2).join("|") + "|" + (process.env.HALLPASS_PROFILE ?? "none")`;
  const source = `process.stdout.write(${JSON.stringify(stdout)}); console.error(${said}); process.exitCode = ${String(code)};`;
  return new Hallpass(program(context, source), "/", { ...process.env, ...env });
}

async function argumentsOf(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => assert.fail("it fails"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof HallpassError);
  return error.message;
}

test("each call has its arguments, and the profile of the environment is not passed on", async (context) => {
  const failing = hallpass(context, "", 5, { HALLPASS_PROFILE: "other" });
  assert.equal(await argumentsOf(failing.status()), "status|--json|none");
  assert.equal(await argumentsOf(failing.token("prod")), "token|--json|prod|none");
  assert.equal(await argumentsOf(failing.token("_environment")), "token|--json|none");
  assert.equal(await argumentsOf(failing.authorization("prod", "bearer")), "token|--format|bearer|prod|none");
  const url = "https://api.example/";
  assert.equal(await argumentsOf(failing.headersFor(url)), `token|--format|headers-json|--url|${url}|none`);
  assert.equal(await argumentsOf(failing.bind("prod", url)), `bind|prod|${url}|none`);
  assert.equal(await argumentsOf(failing.doctor("prod", new AbortController().signal)), "doctor|--json|prod|none");
});

test("what is no name of a profile never becomes an argument", async (context) => {
  const any = hallpass(context, "{}");
  for (const name of ["--refresh", "-v", "", "a b", "inspect", "../a"]) {
    await assert.rejects(any.token(name), /invalid profile name/, name);
    await assert.rejects(any.bind(name, "https://api.example/"), /invalid profile name/, name);
    await assert.rejects(any.serve(name, "https://api.example/"), /invalid profile name/, name);
  }
});

test("an error has the exit status, and output that does not fit is no error of hallpass", async (context) => {
  await assert.rejects(hallpass(context, "", 6).token("prod"), { name: "HallpassError", code: 6 });
  await assert.rejects(hallpass(context, "no JSON").token("prod"), ContractError);
  await assert.rejects(hallpass(context, "Bearer a\nb\n").authorization("prod", "bearer"), ContractError);
  const report = '{"version":1,"ok":false,"checks":[]}';
  assert.equal((await hallpass(context, report, 1).doctor(undefined, new AbortController().signal)).ok, false);
});

/** Runs its command with an address, as `hallpass serve` does. */
const SERVES = `
const [file, ...args] = process.argv.slice(process.argv.indexOf("--") + 1);
const env = { ...process.env, HALLPASS_URL: "http://127.0.0.1:1/k-KEY/" };
require("node:child_process").spawn(file, args, { env, stdio: "inherit" }).once("exit", (code) => {
  if (env.ENDED) require("node:fs").writeFileSync(env.ENDED, "");
  process.exit(code);
});
`;

test("an address is in the environment as long as its server runs", async (context) => {
  const serving = new Hallpass(program(context, SERVES), "/", process.env);
  const env: NodeJS.ProcessEnv = {};
  const ended: string[] = [];
  const servers = new Servers(env, (url, reason) => ended.push(`${url} ${String(reason)}`));
  const url = "https://api.example/";
  const variables = await Promise.all([servers.start(serving, "prod", url), servers.start(serving, "prod", url)]);
  assert.deepEqual(variables, ["VIA_HALLPASS_API_EXAMPLE", "VIA_HALLPASS_API_EXAMPLE"]);
  assert.deepEqual(env, { VIA_HALLPASS_API_EXAMPLE: "http://127.0.0.1:1/k-KEY" });
  assert.ok(servers.isRunning(url));
  await servers.stop(url);
  assert.deepEqual(env, {});
  assert.deepEqual(ended, [`${url} undefined`]);
  assert.ok(!servers.isRunning(url));
});

test("a server that ends by itself gives the reason, and its address is removed", async (context) => {
  const source = `console.log("http://127.0.0.1:1/k-KEY/"); console.error("hallpass: error: no such profile");`;
  const env: NodeJS.ProcessEnv = {};
  const url = "https://api.example/";
  const ended = new Promise((resolve) => {
    const servers = new Servers(env, (...end) => {
      resolve(end);
    });
    void servers.start(new Hallpass(program(context, source), "/", process.env), "prod", url);
  });
  assert.deepEqual(await ended, [url, "no such profile"]);
  assert.deepEqual(env, {});
});

test("a server ends with the process that started it, even if that is killed", { timeout: 60_000 }, async (context) => {
  const source = `
    import { Hallpass } from ${JSON.stringify(path.join(import.meta.dirname, "../../src/hallpass.ts"))};
    const server = await new Hallpass(process.env.SERVES, "/", process.env).serve("prod", "https://api.example/");
    console.log(server.address);
  `;
  const ended = path.join(directory(context), "ended");
  const env = { ...process.env, SERVES: program(context, SERVES), ENDED: ended };
  const parent = spawn(process.execPath, ["--input-type=module", "-e", source], { env, stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(parent.stdout.setEncoding("utf8"), "data")) as [string];
  assert.equal(line, "http://127.0.0.1:1/k-KEY\n");
  assert.ok(!existsSync(ended));
  parent.kill("SIGKILL");
  while (!existsSync(ended)) await setTimeout(20);
});

test("a server that does not start says why, and leaves nothing", async (context) => {
  const env: NodeJS.ProcessEnv = {};
  const servers = new Servers(env, () => assert.fail("it did not start"));
  await assert.rejects(servers.start(hallpass(context, "", 2), "prod", "https://api.example/"), /serve\|prod\|--url/);
  const foreign = hallpass(context, "https://evil.example/\n");
  await assert.rejects(servers.start(foreign, "prod", "https://api.example/"), ContractError);
  assert.deepEqual(env, {});
  assert.ok(!servers.isRunning("https://api.example/"));
});
