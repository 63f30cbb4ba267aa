/** What hallpass prints for programs, version 1 (hallpass-contract(5)), checked member by member. */

/** A URL that a profile is bound to. */
export interface Binding {
  readonly url: string;
  /** The header that carries the token, if it is not Authorization. */
  readonly header?: string;
}

export interface CachedToken {
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** A profile that can be used. */
export interface Profile {
  readonly name: string;
  readonly isDefault: boolean;
  readonly tokenEndpoint: string;
  readonly clientId: string | null;
  readonly bindings: readonly Binding[];
  /** The cached token that `hallpass token PROFILE` prints; null if there is none that is valid. */
  readonly token: CachedToken | null;
}

/** A profile whose file cannot be used, and why. */
export interface UnusableProfile {
  readonly name: string;
  readonly error: string;
  readonly hints: readonly string[];
}

export interface Status {
  readonly profiles: readonly Profile[];
  readonly unusable: readonly UnusableProfile[];
  /** The profile that `hallpass token` uses in this directory, if hallpass says so. */
  readonly selected: string | undefined;
}

export interface AccessToken {
  readonly accessToken: string;
  readonly tokenType: string;
  readonly expiresAt: number;
}

export interface Check {
  readonly profile: string | null;
  readonly status: "ok" | "failed" | "skipped";
  readonly message: string;
  readonly fixes: readonly string[];
}

export interface Doctor {
  readonly ok: boolean;
  readonly checks: readonly Check[];
}

/** The output is not what version 1 describes: this hallpass is older or newer than the extension. */
export class ContractError extends Error {
  override readonly name = "ContractError";
}

export function parseStatus(output: string): Status {
  const profiles: Profile[] = [];
  const unusable: UnusableProfile[] = [];
  const status = versioned(output);
  for (const entry of list(status, "profiles")) {
    const row = object(entry, "a profile");
    if (typeof row["error"] === "string") {
      unusable.push({ name: text(row, "name"), error: row["error"], hints: texts(row, "hints") });
    } else {
      profiles.push(profile(row));
    }
  }
  const selected = typeof status["selected"] === "string" ? status["selected"] : undefined;
  return { profiles, unusable, selected };
}

function profile(row: Members): Profile {
  const own = list(row, "tokens")
    .map((entry) => object(entry, "a token"))
    .find((token) => token["is_default"] === true);
  return {
    name: text(row, "name"),
    isDefault: row["is_default"] === true,
    tokenEndpoint: text(row, "token_endpoint"),
    clientId: typeof row["client_id"] === "string" ? row["client_id"] : null,
    bindings: list(row, "for").map(binding),
    token: own === undefined ? null : { expiresAt: moment(own, "expires_at") },
  };
}

function binding(entry: unknown): Binding {
  if (typeof entry === "string") return { url: entry };
  const row = object(entry, "a bound URL");
  const url = text(row, "url");
  return typeof row["header"] === "string" ? { url, header: row["header"] } : { url };
}

export function parseToken(output: string): AccessToken {
  const row = versioned(output);
  const accessToken = text(row, "access_token");
  // Nothing else may ever be put into a header.
  if (!/^[\x21-\x7e]+$/.test(accessToken)) throw new ContractError("access_token has other characters");
  return { accessToken, tokenType: text(row, "token_type"), expiresAt: moment(row, "expires_at") };
}

/** `hallpass token --format headers-json`: headers by name. */
export function parseHeaders(output: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(object(json(output), "the output"))) {
    if (typeof value !== "string" || !/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name) || !/^[\x20-\x7e]+$/.test(value)) {
      throw new ContractError("a header cannot be used");
    }
    headers[name] = value;
  }
  return headers;
}

export function parseDoctor(output: string): Doctor {
  const row = versioned(output);
  const checks = list(row, "checks").map((entry) => {
    const check = object(entry, "a check");
    const status = text(check, "status");
    if (status !== "ok" && status !== "failed" && status !== "skipped") {
      throw new ContractError(`unknown status ${JSON.stringify(status)}`);
    }
    const name = check["profile"];
    return {
      profile: typeof name === "string" ? name : null,
      status,
      message: text(check, "message"),
      fixes: texts(check, "fixes"),
    } satisfies Check;
  });
  return { ok: row["ok"] === true, checks };
}

/** The address that `hallpass serve` prints. Its path has a key that must not be shown. */
export function parseAddress(line: string): string {
  const address = /^(http:\/\/127\.0\.0\.1:\d{1,5}\/k-[A-Za-z0-9_-]+)\/?$/.exec(line.trim());
  if (address?.[1] === undefined) throw new ContractError("the output of hallpass serve is not an address");
  return address[1];
}

type Members = Readonly<Record<string, unknown>>;

function versioned(output: string): Members {
  const row = object(json(output), "the output");
  if (row["version"] !== 1) {
    const found = typeof row["version"] === "number" ? `version ${String(row["version"])}` : "no version";
    throw new ContractError(`its output has ${found} instead of version 1`);
  }
  return row;
}

function json(output: string): unknown {
  try {
    return JSON.parse(output);
  } catch {
    // The text of the error would repeat a part of the output.
    throw new ContractError("the output is not JSON");
  }
}

function object(value: unknown, what: string): Members {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ContractError(`${what} is not an object`);
  }
  return value as Members;
}

function list(row: Members, name: string): readonly unknown[] {
  const value = row[name];
  if (!Array.isArray(value)) throw new ContractError(`${name} is not an array`);
  return value;
}

function text(row: Members, name: string): string {
  const value = row[name];
  if (typeof value !== "string") throw new ContractError(`${name} is not a string`);
  return value;
}

function texts(row: Members, name: string): string[] {
  return list(row, name).map((value) => {
    if (typeof value !== "string") throw new ContractError(`${name} has something that is not a string`);
    return value;
  });
}

/** RFC 3339 in UTC, to the second. */
function moment(row: Members, name: string): number {
  const value = text(row, name);
  const milliseconds = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value) ? Date.parse(value) : NaN;
  if (Number.isNaN(milliseconds)) throw new ContractError(`${name} is not a time`);
  return milliseconds;
}
