/** Finds the hallpass program, and runs it: with an array of arguments, never in a shell. */

import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, statSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

export type Found =
  | { readonly kind: "found"; readonly file: string }
  /** The setting names a file that cannot be run. */
  | { readonly kind: "unusable"; readonly setting: string }
  | { readonly kind: "missing" };

/** Where the program is looked for. */
export interface Search {
  readonly setting: string;
  readonly env: NodeJS.ProcessEnv;
  readonly platform: NodeJS.Platform;
  readonly home: string;
  readonly isProgram: (file: string) => boolean;
}

/** The setting, else the PATH, else the places where the ways to install hallpass put it. */
export function findBinary(search: Search): Found {
  const paths = search.platform === "win32" ? path.win32 : path.posix;
  if (search.setting !== "") {
    const file = search.setting.replace(/^~(?=[/\\])/, search.home);
    // A relative path would depend on the folder that is open.
    const isUsable = paths.isAbsolute(file) && search.isProgram(file);
    return isUsable ? { kind: "found", file } : { kind: "unusable", setting: search.setting };
  }
  const program = search.platform === "win32" ? "hallpass.exe" : "hallpass";
  const variable = search.env["PATH"] ?? search.env["Path"] ?? "";
  const directories = [...variable.split(paths.delimiter), ...usualPlaces(search)];
  for (const directory of directories) {
    // An empty or relative entry of PATH means the current directory, which may be another user's.
    if (!paths.isAbsolute(directory)) continue;
    const file = paths.join(directory, program);
    if (search.isProgram(file)) return { kind: "found", file };
  }
  return { kind: "missing" };
}

function usualPlaces({ platform, home, env }: Search): string[] {
  if (platform === "win32") {
    const local = env["LOCALAPPDATA"];
    const links = local === undefined ? [] : [`${local}\\Microsoft\\WinGet\\Links`];
    return [`${home}\\.cargo\\bin`, `${home}\\scoop\\shims`, ...links];
  }
  return [
    `${home}/.cargo/bin`,
    `${home}/.local/bin`,
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/home/linuxbrew/.linuxbrew/bin",
    `${home}/.nix-profile/bin`,
    "/usr/bin",
  ];
}

/** On this machine. */
export function findHere(setting: string): Found {
  const { env, platform } = process;
  return findBinary({ setting, env, platform, home: homedir(), isProgram });
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

export interface Output {
  /** Null if a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly timeout: number;
  readonly signal?: AbortSignal;
}

/** hallpass never prints nearly as much. */
const MAX_OUTPUT = 4 * 1024 * 1024;

/** Runs a program without input, and collects what it prints. */
export function run(file: string, args: readonly string[], options: RunOptions): Promise<Output> {
  return new Promise((resolve, reject) => {
    const child = start(file, args, options);
    const outputs = [collect(child, child.stdout), collect(child, child.stderr)] as const;
    const timer = setTimeout(() => child.kill(), options.timeout);
    const abort = (): void => {
      child.kill();
    };
    options.signal?.addEventListener("abort", abort);
    if (options.signal?.aborted === true) abort();
    const finish = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener("abort", abort);
    };
    child.once("error", (error) => {
      finish();
      reject(error);
    });
    child.once("close", (code) => {
      finish();
      resolve({ code, stdout: outputs[0](), stderr: outputs[1]() });
    });
  });
}

type Child = ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream };
type Start = Pick<RunOptions, "cwd" | "env">;

/** Starts a program without input. */
function start(file: string, args: readonly string[], { cwd, env }: Start): Child {
  return spawn(file, args, { cwd, env, shell: false, windowsHide: true, stdio: ["ignore", "pipe", "pipe"] });
}

/** Starts a program whose input is open until this process ends it, or ends itself. */
export function startWithInput(
  file: string,
  args: readonly string[],
  { cwd, env }: Start,
): Child & { stdin: NodeJS.WritableStream } {
  const child = spawn(file, args, { cwd, env, shell: false, windowsHide: true, stdio: "pipe" });
  // Nothing is written to it, so an error only means that the program has ended.
  child.stdin.on("error", () => undefined);
  return child;
}

function collect(child: Child, stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = [];
  let length = 0;
  stream.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length <= MAX_OUTPUT) chunks.push(chunk);
    else child.kill();
  });
  return () => Buffer.concat(chunks).toString("utf8");
}
