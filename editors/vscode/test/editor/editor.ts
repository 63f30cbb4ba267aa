/** A VS Code on this machine, in a browser, and what a user does in it. */

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { chromium, type Browser, type BrowserContext, type Locator, type Page } from "playwright-core";

/** The limit of each wait. It is long because other programs may use this machine; what works takes a second or two. */
export const LIMIT = 180_000;
/** How much of the end of an output a message shows. */
const SHOWN = 4000;

/** What the script that starts the tests gives them. */
export function given(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} is not set; use test/editor/run`);
  return value;
}

/** What a test file started. All of it is stopped, also if the start of something failed. */
export class Started {
  private readonly running: { stop(): unknown }[] = [];

  add<Resource extends { stop(): unknown }>(resource: Resource): Resource {
    this.running.unshift(resource);
    return resource;
  }

  async stop(): Promise<void> {
    for (const resource of this.running.splice(0)) await resource.stop();
  }
}

/** A home directory, in which hallpass has its profiles. */
export class Home {
  readonly root: string;
  readonly env: NodeJS.ProcessEnv;
  /** What runs the editor. */
  readonly wrapper: readonly string[];

  constructor(root: string, withHallpass = true, wrapper: readonly string[] = []) {
    this.root = root;
    this.wrapper = wrapper;
    mkdirSync(path.join(root, "bin"), { recursive: true });
    // The editor takes its environment from a login shell.
    writeFileSync(path.join(root, ".profile"), 'PATH="$HOME/bin:$PATH"\n');
    if (withHallpass) symlinkSync(given("HALLPASS"), path.join(root, "bin/hallpass"));
    this.env = {
      HOME: root,
      PATH: `${root}/bin:${given("PATH")}`,
      SHELL: "/bin/sh",
      LANG: "C.UTF-8",
      NODE_USE_SYSTEM_CA: "1",
    };
  }

  hallpass(...args: string[]): string {
    return runToEnd(`hallpass ${args.join(" ")}`, given("HALLPASS"), args, { env: this.env, cwd: this.root });
  }

  /** Without a token request. */
  login(profile: string, origin: string, secret: string, ...more: string[]): void {
    const file = path.join(this.root, `${profile}.secret`);
    writeFileSync(file, secret);
    chmodSync(file, 0o600);
    const client = ["--token-url", `${origin}/token`, "--client-id", profile, "--secret-file", file];
    this.hallpass("login", profile, ...client, "--no-verify", ...more);
  }

  /** A folder with these files. */
  folder(name: string, files: Readonly<Record<string, string>> = {}): string {
    const folder = path.join(this.root, "work", name);
    mkdirSync(folder, { recursive: true });
    for (const [file, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, file)), { recursive: true });
      writeFileSync(path.join(folder, file), text);
    }
    return folder;
  }
}

/** Runs a program, and returns what it prints. */
function runToEnd(what: string, file: string, args: readonly string[], options: { env: NodeJS.ProcessEnv; cwd?: string }): string {
  const ran = spawnSync(file, args, { ...options, encoding: "utf8", timeout: LIMIT, killSignal: "SIGKILL" });
  if (ran.status === 0) return ran.stdout;
  const reason = ran.error?.message ?? `exit code ${String(ran.status)}, signal ${String(ran.signal)}`;
  throw new Error(`${what}: ${reason}\n${ran.stdout}${ran.stderr}`);
}

/** A program that runs until the test ends it, with what it prints. */
class Program {
  /** The end of both outputs. */
  output = "";
  private readonly child: ChildProcess;
  private readonly ended: Promise<void>;
  private hasEnded = false;

  constructor(command: readonly string[], env: NodeJS.ProcessEnv, cwd: string) {
    const [file = "", ...args] = command;
    // A group of its own, so that all of it ends with the test.
    this.child = spawn(file, args, { env, cwd, stdio: ["ignore", "pipe", "pipe"], detached: true });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output = (this.output + text).slice(-10 * SHOWN);
      });
    }
    this.ended = new Promise((resolve) => {
      const end = (what: string): void => {
        this.output += `\n(${what})\n`;
        this.hasEnded = true;
        resolve();
      };
      this.child.once("error", (error) => {
        end(error.message);
      });
      this.child.once("exit", (code, signal) => {
        end(`it ended: exit code ${String(code)}, signal ${String(signal)}`);
      });
    });
  }

  /** Waits until its output matches. */
  async prints(pattern: RegExp): Promise<string> {
    await until(`the output has ${String(pattern)}`, () => this.hasEnded || pattern.test(this.output));
    const found = pattern.exec(this.output)?.[1];
    if (found === undefined) throw new Error(`it ended before its output had ${String(pattern)}`);
    return found;
  }

  async stop(): Promise<void> {
    if (this.child.pid === undefined) return;
    endGroup(this.child.pid, "SIGTERM");
    const timer = setTimeout(endGroup, 10_000, this.child.pid, "SIGKILL");
    await this.ended;
    clearTimeout(timer);
  }
}

function endGroup(id: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-id, signal);
  } catch (error) {
    // All of it has ended.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** code-server, with the extension and the tests' own one. */
export class Editor {
  private readonly home: Home;
  private readonly server: Program;
  private readonly browser: Browser;
  private readonly ports: Map<string, number>;
  private readonly url: string;
  private readonly started: Started;

  private constructor(home: Home, server: Program, browser: Browser, ports: Map<string, number>, url: string, started: Started) {
    this.home = home;
    this.server = server;
    this.browser = browser;
    this.ports = ports;
    this.url = url;
    this.started = started;
  }

  /** With settings of the user, and of the machine on which it runs. */
  static async start(home: Home, settings: object, machine: object, args: readonly string[] = []): Promise<Editor> {
    const data = path.join(home.root, "vscode");
    const extensions = path.join(data, "extensions");
    mkdirSync(path.join(data, "User"), { recursive: true });
    mkdirSync(extensions, { recursive: true });
    const common = { "telemetry.telemetryLevel": "off", "workbench.startupEditor": "none", "workbench.secondarySideBar.defaultVisibility": "hidden", "extensions.autoUpdate": false };
    writeFileSync(path.join(data, "User/settings.json"), JSON.stringify({ ...common, ...settings }, null, 2));
    mkdirSync(path.join(data, "Machine"), { recursive: true });
    writeFileSync(path.join(data, "Machine/settings.json"), JSON.stringify(machine));
    const program = path.join(given("NODE_MODULES"), "code-server/out/node/entry.js");
    const options = ["--extensions-dir", extensions, "--user-data-dir", data, "--config", `${data}/config.yaml`];
    for (const extension of [given("VSIX"), given("DRIVER")]) {
      runToEnd(`code-server installs ${extension}`, process.execPath, [program, ...options, "--install-extension", extension], { env: home.env });
    }
    const started = new Started();
    try {
      const { port, ports } = await startRegister(started);
      const quiet = ["--auth", "none", "--disable-telemetry", "--disable-update-check", "--bind-addr", "127.0.0.1:0"];
      const command = [...home.wrapper, process.execPath, program, ...options, ...quiet, ...args];
      const server = started.add(new Program(command, { ...home.env, DRIVER_PORT: String(port) }, home.root));
      const url = await explained("code-server starts", home, server, server.prints(/HTTP server listening on (http:\/\/127\.0\.0\.1:\d+)/));
      const browser = await chromium.launch({
        executablePath: given("CHROMIUM"),
        timeout: LIMIT,
        args: ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"],
      });
      started.add({ stop: () => browser.close() });
      return new Editor(home, server, browser, ports, url, started);
    } catch (error) {
      await started.stop();
      throw error;
    }
  }

  /** A window with this folder, in which both extensions run. */
  async open(folder: string): Promise<Window> {
    this.ports.delete(folder);
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 } });
    context.setDefaultTimeout(LIMIT);
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: this.url });
    const page = await context.newPage();
    const opened = async (): Promise<Window> => {
      await page.goto(`${this.url}/?folder=${encodeURIComponent(folder)}`);
      await page.locator(".monaco-workbench").waitFor();
      await until("the tests' own extension starts", () => this.ports.has(folder));
      return new Window(context, page, folder, this.ports.get(folder) ?? 0);
    };
    return explained(`a window opens with ${folder}`, this.home, this.server, opened());
  }

  stop(): Promise<void> {
    return this.started.stop();
  }
}

/** Where the tests' own extension says on which port it listens, for each folder. */
async function startRegister(started: Started): Promise<{ port: number; ports: Map<string, number> }> {
  const ports = new Map<string, number>();
  const server = createServer((request, response) => {
    const query = new URL(request.url ?? "/", "http://127.0.0.1").searchParams;
    ports.set(query.get("folder") ?? "", Number(query.get("port")));
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  started.add({
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  });
  return { port: (server.address() as AddressInfo).port, ports };
}

/** An error says what was waited for, and what the editor printed. */
async function explained<Value>(what: string, home: Home, server: Program, waited: Promise<Value>): Promise<Value> {
  try {
    return await waited;
  } catch (error) {
    const said = [`code-server printed:\n${server.output.slice(-SHOWN)}`, ...extensionHostLogs(home)].join("\n");
    throw new Error(`failed: ${what}: ${(error as Error).message}\n${said}`, { cause: error });
  }
}

function extensionHostLogs(home: Home): string[] {
  const logs = path.join(home.root, "vscode/logs");
  if (!existsSync(logs)) return [];
  const files = readdirSync(logs, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith("remoteexthost.log"));
  return files.map((file) => `${file}:\n${readFileSync(path.join(logs, file), "utf8").slice(-SHOWN)}`);
}

export class Window {
  readonly page: Page;
  readonly folder: string;
  private readonly context: BrowserContext;
  private readonly port: number;

  constructor(context: BrowserContext, page: Page, folder: string, port: number) {
    this.context = context;
    this.page = page;
    this.folder = folder;
    this.port = port;
  }

  /** Runs the body of a function in the tests' own extension, with `vscode` and `require`. */
  async run<Value = unknown>(body: string): Promise<Value> {
    const signal = AbortSignal.timeout(LIMIT);
    const response = await fetch(`http://127.0.0.1:${String(this.port)}/`, { method: "POST", body, signal }).catch((error: unknown) => {
      throw new Error(`no result from the extension host (limit ${String(LIMIT / 1000)} s) of: ${body.trim()}`, { cause: error });
    });
    const result = (await response.json()) as { value?: Value; error?: string };
    if (result.error !== undefined) throw new Error(result.error);
    return result.value as Value;
  }

  /** The error that it ends with. */
  async failure(body: string): Promise<string> {
    return this.run(body).then(
      (value) => `no error: ${JSON.stringify(value)}`,
      (error: unknown) => (error as Error).message,
    );
  }

  /** The path of a file of the folder, as an expression for the driver. */
  uri(file: string): string {
    return `vscode.Uri.file(${JSON.stringify(path.join(this.folder, file))})`;
  }

  async show(file: string, line = 0, column = 0): Promise<void> {
    const selection = `new vscode.Range(${[line, column, line, column].join(", ")})`;
    await this.run(`await vscode.window.showTextDocument(${this.uri(file)}, { selection: ${selection} })`);
  }

  /** The titles of the lenses above a line. */
  lenses(file: string, line: number): Promise<string[]> {
    return this.run(`
      await vscode.workspace.openTextDocument(${this.uri(file)});
      const lenses = await vscode.commands.executeCommand("vscode.executeCodeLensProvider", ${this.uri(file)}, 100);
      return lenses.filter((lens) => lens.range.start.line === ${String(line)}).map((lens) => lens.command.title);
    `);
  }

  /** What a hover says, without the escapes of Markdown. */
  async hover(file: string, line: number, column: number): Promise<string> {
    const position = `new vscode.Position(${String(line)}, ${String(column)})`;
    const texts = await this.run<string[]>(`
      const hovers = await vscode.commands.executeCommand("vscode.executeHoverProvider", ${this.uri(file)}, ${position});
      return hovers.flatMap((hover) => hover.contents.map((content) => content.value));
    `);
    return texts.join("\n").replace(/\\(.)/g, "$1");
  }

  command<Value = unknown>(name: string, ...args: unknown[]): Promise<Value> {
    const list = [name, ...args].map((argument) => JSON.stringify(argument)).join(", ");
    return this.run<Value>(`return vscode.commands.executeCommand(${list})`);
  }

  get statusBar(): Locator {
    return this.page.locator('[id="hallpass.hallpass.hallpass.profile"]');
  }

  get notifications(): Locator {
    return this.page.locator(".notifications-toasts");
  }

  /** The text of the terminal that is shown. */
  async terminal(): Promise<string> {
    const texts = await this.page.locator(".xterm-rows").allInnerTexts();
    return texts.join("\n").replaceAll("\u00a0", " ");
  }

  get quickInput(): Locator {
    return this.page.locator(".quick-input-widget");
  }

  get dialog(): Locator {
    return this.page.locator(".monaco-dialog-box");
  }

  async close(): Promise<void> {
    await this.context.close();
  }
}

/** Waits until it is so. */
export async function until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + LIMIT;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not within ${String(LIMIT / 1000)} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
