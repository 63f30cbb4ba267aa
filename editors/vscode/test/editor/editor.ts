/** A VS Code on this machine, in a browser, and what a user does in it. */

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { chromium, type Browser, type BrowserContext, type Locator, type Page } from "playwright-core";

const STARTED_WITHIN = 60_000;

/** What the script that starts the tests gives them. */
export function given(name: string): string {
  const value = process.env[name];
  if (value === undefined || value === "") throw new Error(`${name} is not set; use test/editor/run`);
  return value;
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
    const ran = spawnSync(given("HALLPASS"), args, { env: this.env, cwd: this.root, encoding: "utf8" });
    if (ran.status !== 0) throw new Error(`hallpass ${args.join(" ")}: ${ran.stderr}`);
    return ran.stdout;
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

/** code-server, with the extension and the tests' own one. */
export class Editor {
  readonly home: Home;
  private readonly server: ChildProcess;
  private readonly drivers: Server;
  private readonly ports = new Map<string, number>();
  private readonly browser: Browser;
  private url = "";

  private constructor(home: Home, server: ChildProcess, drivers: Server, browser: Browser) {
    this.home = home;
    this.server = server;
    this.drivers = drivers;
    this.browser = browser;
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
      const installed = spawnSync(process.execPath, [program, ...options, "--install-extension", extension], {
        env: home.env,
        encoding: "utf8",
      });
      if (installed.status !== 0) throw new Error(installed.stderr + installed.stdout);
    }
    const drivers = createServer();
    await new Promise<void>((resolve) => drivers.listen(0, "127.0.0.1", resolve));
    const quiet = ["--auth", "none", "--disable-telemetry", "--disable-update-check", "--bind-addr", "127.0.0.1:0"];
    const env = { ...home.env, DRIVER_PORT: String((drivers.address() as AddressInfo).port) };
    const [first, ...others] = [...home.wrapper, process.execPath, program, ...options, ...quiet, ...args];
    // A group of its own, so that all of it ends with the test.
    const server = spawn(first ?? "", others, { env, cwd: home.root, stdio: ["ignore", "pipe", "ignore"], detached: true });
    const browser = await chromium.launch({
      executablePath: given("CHROMIUM"),
      args: ["--no-sandbox", "--disable-quic", "--disable-background-networking", "--disable-component-update"],
    });
    const editor = new Editor(home, server, drivers, browser);
    drivers.on("request", (request, response) => {
      const query = new URL(request.url ?? "/", "http://127.0.0.1").searchParams;
      editor.ports.set(query.get("folder") ?? "", Number(query.get("port")));
      response.end();
    });
    editor.url = await addressOf(server);
    return editor;
  }

  /** A window with this folder, in which both extensions run. */
  async open(folder: string): Promise<Window> {
    this.ports.delete(folder);
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 } });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: this.url });
    const page = await context.newPage();
    await page.goto(`${this.url}/?folder=${encodeURIComponent(folder)}`);
    const window = new Window(context, page, folder);
    await page.locator(".monaco-workbench").waitFor({ timeout: STARTED_WITHIN });
    await until("the driver starts", () => this.ports.has(folder), STARTED_WITHIN);
    window.port = this.ports.get(folder) ?? 0;
    return window;
  }

  async stop(): Promise<void> {
    await this.browser.close();
    if (this.server.pid !== undefined) process.kill(-this.server.pid);
    this.drivers.close();
  }
}

function addressOf(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    server.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const found = /HTTP server listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(text);
      if (found?.[1] !== undefined) resolve(found[1]);
    });
    server.once("exit", () => {
      reject(new Error(text));
    });
  });
}

export class Window {
  readonly page: Page;
  readonly folder: string;
  port = 0;
  private readonly context: BrowserContext;

  constructor(context: BrowserContext, page: Page, folder: string) {
    this.context = context;
    this.page = page;
    this.folder = folder;
  }

  /** Runs the body of a function in the tests' own extension, with `vscode` and `require`. */
  async run<Value = unknown>(body: string): Promise<Value> {
    const response = await fetch(`http://127.0.0.1:${String(this.port)}/`, { method: "POST", body });
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
export async function until(
  what: string,
  check: () => boolean | Promise<boolean>,
  within = 60_000,
): Promise<void> {
  const end = Date.now() + within;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`not within ${String(within / 1000)} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
