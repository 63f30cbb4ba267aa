/**
 * Workspaces of an attacker, each opened with and without the user's trust. Nothing is run or sent that the user did not
 * choose: the attacker's programs leave a mark, the attacker's server counts, and each call of hallpass is recorded.
 */

import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Authority } from "./authority.ts";
import { Editor, given, Home, Started, until, type Window } from "./editor.ts";

interface Hostile {
  readonly name: string;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly folder?: string;
  readonly prepare?: (folder: string) => void;
  /** What a user does in the workspace that they trust, and what must come of it. */
  readonly act?: (window: Window) => Promise<void>;
  /** The calls of hallpass that the user chose with that; all others are `status --json`. */
  readonly chosen?: readonly RegExp[];
}

const started = new Started();
let authority: Authority;
let evil: Authority;
let home: Home;
let mark: string;
let calls: string;

function script(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
}

/** A program that must not run. */
function trap(file: string): void {
  script(file, `touch '${mark}'; echo '{"version":1,"profiles":[]}'`);
}

const request = (url: string): Record<string, string> => ({ "a.http": `GET ${url}\n` });

/** No profile is bound, so there is nothing to start. */
async function offersNothing(window: Window, line = 0): Promise<void> {
  const lenses = await window.lenses("a.http", line);
  assert.ok(
    lenses.every((title) => title.startsWith("hallpass: no profile for")),
    lenses.join(),
  );
  await window.command("hallpass.useInRequest", `file://${window.folder}/a.http`, line);
  await until("the refusal", async () => (await window.notifications.innerText()).includes("no profile is bound"));
}

/** The setting is no profile: the status bar says so, and no token is given. */
async function selectsNothing(window: Window): Promise<void> {
  await until("the warning", async () => (await window.statusBar.innerText()).includes("no such profile"));
  assert.match(await window.failure(`return vscode.commands.executeCommand("hallpass.token")`), /profile/);
}

async function keepsItsProfile(window: Window): Promise<void> {
  await until("the profile", async () => (await window.statusBar.innerText()).includes("prod"));
}

/** Starts the workspace's task, once the editor has read it. */
async function startTask(window: Window): Promise<void> {
  const names = `return (await vscode.tasks.fetchTasks()).map(({ name }) => name)`;
  await until("the task", async () => (await window.run<string[]>(names)).includes("it"));
  void window.command("workbench.action.tasks.runTask", "it").catch(() => undefined);
}

function workspaces(): Hostile[] {
  const { origin } = authority;
  const bound = `${origin}/api`;
  const task = (more: object, top: object = {}): Record<string, string> => ({
    ".vscode/tasks.json": JSON.stringify({
      version: "2.0.0",
      tasks: [{ label: "it", type: "shell", command: "true", problemMatcher: [], ...more }],
      ...top,
    }),
  });
  const input = (command: string, args: unknown): Record<string, string> =>
    task({ command: "true ${input:i}" }, { inputs: [{ id: "i", type: "command", command, args }] });
  const names = ["--refresh", "../../other", "${command:hallpass.copyToken}", "$(touch mark)", "inspect"];
  return [
    ...names.map((name) => ({
      name: `the profile ${name}`,
      settings: { "hallpass.profile": name },
      act: selectsNothing,
    })),
    {
      name: "a profile that is no text",
      settings: { "hallpass.profile": { name: "prod", toString: "prod" } },
      act: selectsNothing,
    },
    {
      name: "a profile with Markdown, icons and a command in a megabyte",
      settings: { "hallpass.profile": `$(key) [x](command:hallpass.copyToken)\n${"x".repeat(1_000_000)}` },
      act: selectsNothing,
    },
    {
      name: "the path of a program in the workspace",
      settings: { "hallpass.path": "WORKSPACE/hallpass", "hallpass.profile": "prod" },
      prepare: (folder) => {
        trap(path.join(folder, "hallpass"));
      },
      act: keepsItsProfile,
    },
    {
      name: "a relative path, and PATH for terminals",
      settings: {
        "hallpass.path": "./hallpass",
        "hallpass.profile": "prod",
        "terminal.integrated.env.linux": { PATH: "WORKSPACE" },
      },
      prepare: (folder) => {
        trap(path.join(folder, "hallpass"));
        trap(path.join(folder, "node_modules/.bin/hallpass"));
      },
      act: keepsItsProfile,
    },
    {
      name: "an MCP server of the workspace's settings",
      settings: { "hallpass.profile": "prod", "hallpass.mcpServers": [`${evil.origin}/mcp`, `${bound}/mcp`] },
      act: async (window) => {
        void window.command("workbench.mcp.listServer").catch(() => undefined);
        await until("the list", async () => (await window.quickInput.innerText()).includes("Add Server"));
        assert.ok(!(await window.quickInput.innerText()).includes("/mcp"));
      },
    },
    {
      name: "a .hallpass.toml with an option, and a link to a secret",
      settings: { "hallpass.profile": "prod" },
      files: { "sub/.hallpass.toml": 'profile = "--refresh"\n' },
      prepare: (folder) => {
        symlinkSync(path.join(home.root, "prod.secret"), path.join(folder, ".hallpass.toml"));
      },
      act: keepsItsProfile,
    },
    {
      name: "a host behind a user name that looks like the bound host",
      files: request(`${bound.replace("http://", "http://127.0.0.1:80@")}/x`.replace(/@.*?\//, `@${new URL(evil.origin).host}/`)),
      act: async (window) => {
        assert.deepEqual(await window.lenses("a.http", 0), []);
      },
    },
    {
      name: "a variable that first has the bound host and then another one",
      files: { "a.http": `@host = ${bound}\n@host = ${evil.origin}\nGET {{host}}/x\n` },
      act: (window) => offersNothing(window, 2),
    },
    { name: "a path that leaves the bound one", files: request(`${bound}/../token`), act: offersNothing },
    { name: "a path that leaves it in percent encoding", files: request(`${bound}/%2e%2e/token`), act: offersNothing },
    { name: "a path that only begins like the bound one", files: request(`${bound}-evil/x`), act: offersNothing },
    {
      name: "the bound URL in another URL",
      files: request(`${evil.origin}/?${bound}/x#${bound}`),
      act: offersNothing,
    },
    {
      name: "names of files and folders that are commands",
      folder: "$(touch mark); `touch mark` %PATH%",
      files: { "a$(touch mark).http": `GET ${bound}/x\n`, "--refresh.http": `GET ${bound}/x\n`, "`touch mark`.rest": "" },
      act: async (window) => {
        const file = "a$(touch mark).http";
        await window.command("hallpass.useInRequest", String(await window.run(`return ${window.uri(file)}.toString()`)), 0);
        assert.match((await window.lenses(file, 0))[0] ?? "", /serving as prod/);
        await window.command("hallpass.stopServing", `${bound}/`);
      },
      chosen: [/^serve prod --url \S+\/api\/ -- \S+\/node -e process\.stdout\.write\(process\.env\.HALLPASS_URL\+os\.EOL\);process\.stdin\.resume\(\)$/],
    },
    {
      name: "a file of 100,000 requests",
      files: { "a.http": `GET ${bound}/x\n###\n`.repeat(100_000), "b.http": `GET ${"{{a}}".repeat(100_000)}\n` },
      act: async (window) => {
        assert.ok((await window.lenses("a.http", 0)).length <= 2);
        assert.deepEqual(await window.lenses("b.http", 0), []);
      },
    },
    {
      name: "a task that binds the attacker's host",
      files: input("hallpass.bind", evil.origin),
      act: async (window) => {
        await startTask(window);
        await until("the question", async () => (await window.quickInput.innerText()).includes(evil.origin));
        await window.page.keyboard.press("Escape");
        assert.ok(!home.hallpass("status", "--json").includes(evil.origin));
      },
    },
    {
      name: "a task that adds an MCP server",
      files: input("hallpass.addMcpServer", { profile: { name: "prod" }, binding: { url: `${evil.origin}/mcp` } }),
      act: async (window) => {
        await startTask(window);
        await until("the refusal", async () => (await window.notifications.innerText()).includes("no profile is bound"));
      },
    },
    {
      name: "a task that serves the attacker's host",
      files: input("hallpass.serve", evil.origin),
      act: async (window) => {
        await startTask(window);
        await until("the refusal", async () => (await window.notifications.innerText()).includes("no profile is bound"));
      },
    },
    {
      name: "a task whose profile is an option",
      files: input("hallpass.token", "--template={token}"),
      act: async (window) => {
        await startTask(window);
        await until("the refusal", async () => (await window.page.locator(".monaco-workbench").innerText()).includes("not the name of a profile"));
      },
    },
  ];
}

/** Opens each workspace, and looks at what happened. */
async function openAll(args: readonly string[], settings: object, isTrusted: boolean): Promise<void> {
  const editor = await Editor.start(home, settings, {}, args);
  try {
    for (const [number, hostile] of workspaces().entries()) {
      const name = hostile.folder ?? `hostile-${String(number)}`;
      const folder = home.folder(isTrusted ? `trusted/${name}` : name, hostile.files);
      if (hostile.settings !== undefined) {
        const text = JSON.stringify(hostile.settings).replaceAll("WORKSPACE", folder);
        mkdirSync(path.join(folder, ".vscode"), { recursive: true });
        writeFileSync(path.join(folder, ".vscode/settings.json"), text);
      }
      hostile.prepare?.(folder);
      writeFileSync(calls, "");
      const before = authority.issued.length;
      const window = await editor.open(folder);
      await until("the status", async () => (await window.statusBar.innerText()).trim() !== "hallpass");
      try {
        if (isTrusted) await hostile.act?.(window);
        else await refusesEverything(window);
      } catch (error) {
        throw new Error(hostile.name, { cause: error });
      }
      await window.command("hallpass.refresh");
      await window.close();
      const unexpected = readFileSync(calls, "utf8")
        .trim()
        .split("\n")
        .filter((call) => call !== "status --json" && !(isTrusted && hostile.chosen?.some((pattern) => pattern.test(call))));
      assert.deepEqual(unexpected, [], hostile.name);
      assert.ok(!existsSync(mark) && !existsSync(path.join(folder, "mark")), hostile.name);
      // hallpass serve, which the user started, gets one.
      const wanted = isTrusted && hostile.chosen !== undefined ? 1 : 0;
      assert.ok(authority.issued.length - before <= wanted, hostile.name);
      assert.deepEqual([evil.received, evil.issued], [[], []], hostile.name);
      console.log(`${isTrusted ? "trusted" : "untrusted"}: ${hostile.name}`);
    }
  } finally {
    await editor.stop();
  }
}

/** Commands do nothing, and nothing is shown but the status. */
async function refusesEverything(window: Window): Promise<void> {
  for (const command of ["hallpass.token", "hallpass.authorization"]) {
    assert.match(await window.failure(`return vscode.commands.executeCommand("${command}", "prod")`), /do not trust/);
  }
  for (const command of ["hallpass.copyToken", "hallpass.doctor", "hallpass.login", "hallpass.switchProfile"]) {
    await window.command(command);
  }
  await window.command("hallpass.serve", `${authority.origin}/api/`);
  const session = `await vscode.authentication.getSession("hallpass", ["prod"], { silent: true })`;
  assert.equal(await window.run(`return (${session}) === undefined`), true);
}

// In a suite: its hooks run only if one of its tests does.
describe("hostile workspaces", () => {
  before(async () => {
    authority = started.add(await Authority.start());
    evil = started.add(await Authority.start());
    home = new Home(path.join(given("WORK"), "hostile"), false);
    mark = path.join(home.root, "mark");
    calls = path.join(home.root, "calls");
    home.login("prod", authority.origin, authority.secret, "--for", `${authority.origin}/api/`);
    home.login("other", authority.origin, authority.secret);
    script(path.join(home.root, "bin/hallpass"), `echo "$@" >>'${calls}'; exec '${given("HALLPASS")}' "$@"`);
  });

  after(() => started.stop());

  test("in a window that trusts them, nothing happens that the user did not choose", async () => {
    assert.ok(workspaces().length >= 20);
    await openAll(["--disable-workspace-trust"], {}, true);
  });

  test("in a window that does not trust them, hallpass shows only the status", async () => {
    await openAll([], { "security.workspace.trust.startupPrompt": "never", "security.workspace.trust.banner": "never" }, false);
  });
});
