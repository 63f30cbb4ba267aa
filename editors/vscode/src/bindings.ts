/** Which profile is bound to a URL. This only decides what is shown: hallpass itself decides what gets a token. */

import type { Binding, Profile } from "./contract.ts";

export interface Bound {
  readonly profile: Profile;
  readonly binding: Binding;
}

export type Lookup =
  | { readonly kind: "bound"; readonly bound: Bound }
  /** With the bound URLs of the same host name, which differ in their scheme, port or path. */
  | { readonly kind: "unbound"; readonly url: URL; readonly near: readonly Bound[] };

/** An http or https URL; undefined for any other text. A user name makes a host hard to read, so it is refused. */
export function httpUrl(text: string): URL | undefined {
  if (!/^https?:\/\/[^/\\]/i.test(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  return url.username === "" && url.password === "" ? url : undefined;
}

/** The scheme, host and port must be the same; the path matches by whole segments. */
export function covers(bound: string, url: URL): boolean {
  const base = httpUrl(bound);
  if (base?.origin !== url.origin) return false;
  // Servers differ in what they make of an encoded slash, so `hallpass serve` refuses it.
  if (/%2f|%5c/i.test(url.pathname)) return false;
  const path = base.pathname.replace(/\/+$/, "");
  return url.pathname === path || url.pathname.startsWith(`${path}/`);
}

/** The longest of the bound URLs that cover this one. */
export function lookup(url: URL, profiles: readonly Profile[]): Lookup {
  let longest: Bound | undefined;
  const near: Bound[] = [];
  for (const bound of allBindings(profiles)) {
    if (covers(bound.binding.url, url)) {
      if (longest === undefined || bound.binding.url.length > longest.binding.url.length) longest = bound;
    } else if (httpUrl(bound.binding.url)?.hostname === url.hostname) {
      near.push(bound);
    }
  }
  return longest === undefined ? { kind: "unbound", url, near } : { kind: "bound", bound: longest };
}

export function allBindings(profiles: readonly Profile[]): Bound[] {
  return profiles.flatMap((profile) => profile.bindings.map((binding) => ({ profile, binding })));
}

/** Why a bound URL of the same host does not cover this one. */
export function difference(bound: string, url: URL): string {
  const base = httpUrl(bound);
  if (base?.protocol !== url.protocol) return "another scheme";
  return base.port === url.port ? "another path" : "another port";
}

/**
 * The variable with the address that stands for a bound URL, such as VIA_HALLPASS_API_EXAMPLE_V1 for
 * https://api.example/v1/. It depends on the URL only, so that a file can be shared. REST Client takes letters,
 * digits and underscores. It does not begin with HALLPASS_, because hallpass would warn of an unknown variable.
 */
export function variableOf(bound: string): string {
  const url = httpUrl(bound);
  if (url === undefined) throw new Error("not the URL of a binding");
  const scheme = url.protocol === "https:" ? "" : "http/";
  const readable = `${scheme}${url.host}${url.pathname}`.replace(/\/+$/, "");
  return `VIA_HALLPASS_${readable.replace(/[^A-Za-z0-9]+/g, "_").toUpperCase()}`;
}

/** The bound URL that a variable stands for; undefined if there is none, or if the name could mean two. */
export function boundByVariable(name: string, profiles: readonly Profile[]): Bound | undefined {
  const meant = allBindings(profiles).filter(
    ({ binding }) => httpUrl(binding.url) !== undefined && variableOf(binding.url) === name,
  );
  return meant.length === 1 ? meant[0] : undefined;
}
