/** The commands of hallpass that the extension uses. */

import { run, startWithInput, type Output } from "./binary.ts";
import {
  ContractError,
  parseAddress,
  parseDoctor,
  parseHeaders,
  parseStatus,
  parseToken,
  type AccessToken,
  type Doctor,
  type Status,
} from "./contract.ts";
import { ENVIRONMENT_PROFILE, isProfileName } from "./profile_name.ts";

/** A keychain may ask for its password, and a server may be slow: hallpass has its own limits below this one. */
const TIMEOUT = 150_000;
const STATUS_TIMEOUT = 15_000;
/**
 * What `hallpass serve` runs: it prints the address, and ends with its input. That is a pipe from this process, so the
 * address ends with the editor, however the editor ends.
 */
const UNTIL_INPUT_ENDS = "process.stdout.write(process.env.HALLPASS_URL+os.EOL);process.stdin.resume()";

/** An error of hallpass, with the message that it printed. */
export class HallpassError extends Error {
  override readonly name = "HallpassError";
  /** The exit status: 3 not found, 4 refused, 5 unavailable, 6 a person must act at this machine. */
  readonly code: number | null;

  constructor(message: string, code: number | null) {
    super(message);
    this.code = code;
  }
}

/** `hallpass serve`, while it runs. */
export interface Server {
  /** Without a slash at its end. Anyone who knows it can use the API, so it is not shown or saved. */
  readonly address: string;
  /** Why it ended; undefined if `stop` ended it. */
  readonly ended: Promise<string | undefined>;
  stop(): void;
}

export class Hallpass {
  readonly file: string;
  private readonly cwd: string;
  private readonly env: NodeJS.ProcessEnv;

  /** Runs the program in this directory: hallpass reads a `.hallpass.toml` there. */
  constructor(file: string, cwd: string, env: NodeJS.ProcessEnv) {
    this.file = file;
    this.cwd = cwd;
    // The extension names the profile itself, and `hallpass status` must list the others as well.
    this.env = { ...env, NO_COLOR: "1" };
    delete this.env["HALLPASS_PROFILE"];
  }

  /** Uses no keychain and no network. */
  async status(): Promise<Status> {
    return parseStatus(await this.stdout(["status", "--json"], STATUS_TIMEOUT));
  }

  async token(profile: string, signal?: AbortSignal): Promise<AccessToken> {
    return parseToken(await this.stdout(["token", "--json", ...argumentOf(profile)], TIMEOUT, signal));
  }

  /** With the token: `Bearer TOKEN`, or the whole header, which is another one if the profile's URLs want it. */
  async authorization(profile: string, format: "bearer" | "header"): Promise<string> {
    const output = await this.stdout(["token", "--format", format, ...argumentOf(profile)], TIMEOUT);
    const value = output.trimEnd();
    if (!/^[\x20-\x7e]+$/.test(value)) throw new ContractError("the header has other characters");
    return value;
  }

  /** The headers for a URL, if a profile is bound to it. */
  async headersFor(url: string): Promise<Record<string, string>> {
    return parseHeaders(await this.stdout(["token", "--format", "headers-json", "--url", url], TIMEOUT));
  }

  async bind(profile: string, url: string): Promise<void> {
    await this.stdout(["bind", ...argumentOf(profile), url], TIMEOUT);
  }

  async doctor(profile: string | undefined, signal: AbortSignal): Promise<Doctor> {
    const args = ["doctor", "--json", ...(profile === undefined ? [] : argumentOf(profile))];
    const output = await this.run(args, TIMEOUT, signal);
    // The document is there if a check failed, too.
    return parseDoctor(output.stdout === "" ? succeeded(output) : output.stdout);
  }

  /** Serves a URL that the profile is bound to at an address on this machine. */
  async serve(profile: string, url: string): Promise<Server> {
    // The program that runs this extension runs it. Without ELECTRON_RUN_AS_NODE, it may be the whole editor.
    const args = ["serve", ...argumentOf(profile), "--url", url, "--", process.execPath, "-e", UNTIL_INPUT_ENDS];
    const env: NodeJS.ProcessEnv = { ...this.env, ELECTRON_RUN_AS_NODE: "1" };
    delete env["NODE_OPTIONS"];
    const child = startWithInput(this.file, args, { cwd: this.cwd, env });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4096);
    });
    const reason = new Promise<string>((resolve) => {
      child.once("error", (error) => {
        resolve(error.message);
      });
      // The program that it ran may still run, and has the same outputs.
      child.once("exit", () => child.stdin.end());
      child.once("close", () => {
        resolve(reasonIn(stderr));
      });
    });
    const timer = setTimeout(() => child.kill(), TIMEOUT);
    try {
      const line = await Promise.race([firstLine(child.stdout), reason.then(fail)]);
      let isStopped = false;
      const stop = (): void => {
        isStopped = true;
        child.stdin.end();
      };
      const ended = reason.then((text) => (isStopped ? undefined : text));
      return { address: parseAddress(line), ended, stop };
    } catch (error) {
      child.stdin.end();
      child.kill();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  private async stdout(args: readonly string[], timeout: number, signal?: AbortSignal): Promise<string> {
    return succeeded(await this.run(args, timeout, signal));
  }

  private run(args: readonly string[], timeout: number, signal?: AbortSignal): Promise<Output> {
    const options = { cwd: this.cwd, env: this.env, timeout };
    return run(this.file, args, signal === undefined ? options : { ...options, signal });
  }
}

/** Messages of hallpass, without the name of the program in each line. */
export function withoutPrefix(stderr: string): string {
  return stderr
    .trim()
    .split("\n")
    .map((line) => line.replace(/^hallpass: (error: )?/, ""))
    .join("\n");
}

function succeeded({ code, stdout, stderr }: Output): string {
  if (code === 0) return stdout;
  throw new HallpassError(reasonIn(stderr), code);
}

function reasonIn(stderr: string): string {
  const reason = withoutPrefix(stderr);
  return reason === "" ? "hallpass ended without a message" : reason;
}

function fail(reason: string): never {
  throw new HallpassError(reason, null);
}

/** The name of a profile on a command line: only a name, so it is never an option. */
function argumentOf(profile: string): string[] {
  if (profile === ENVIRONMENT_PROFILE) return [];
  if (!isProfileName(profile)) throw new HallpassError("invalid profile name", 2);
  return [profile];
}

function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const end = text.indexOf("\n");
      if (end >= 0 || text.length > 4096) resolve(text.slice(0, Math.max(end, 0)));
    });
  });
}
