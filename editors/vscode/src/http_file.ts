/** The requests in a `.http` or `.rest` file, as far as their URLs go: the syntax of REST Client and httpYac. */

import { httpUrl } from "./bindings.ts";

/** Where a piece of text is in the file. */
export interface Piece {
  readonly line: number;
  readonly column: number;
  readonly text: string;
}

export type Target =
  /** A URL, and the piece of the file with its start: in the request, or in the variable that it begins with. */
  | { readonly kind: "url"; readonly url: URL; readonly start: Piece }
  /** The address of `hallpass serve`, in a variable of the environment. */
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "unknown"; readonly reason: string };

export interface HttpRequest {
  /** The URL as it is written, in its line. */
  readonly written: Piece;
  readonly target: Target;
}

/** A larger file was not written by hand; nothing is shown in the rest of it. */
const MAX_LINES = 20_000;
const MAX_REQUESTS = 1_000;
const MAX_LINE = 8_192;
const MAX_DEPTH = 10;

const SEPARATOR = /^#{3,}/;
const SKIPPED = /^\s*(#|\/\/|<|\?\?|>|$)/;
const DEFINITION = /^(\s*@([A-Za-z0-9_.-]+)\s*=\s*)(.*?)\s*$/;
const REQUEST = /^(\s*(?:[A-Za-z]{3,16}\s+)?)(\S.*?)(?:\s+HTTP\/\S+)?\s*$/;
const LEADING_VARIABLE = /^\{\{\s*([^{}]+?)\s*\}\}/;
const ADDRESS_VARIABLE = /^\$processEnv\s+(VIA_HALLPASS_\w+)$/;

export function parseHttpFile(text: string): HttpRequest[] {
  const lines = text.split(/\r?\n/, MAX_LINES).map((line) => (line.length > MAX_LINE ? "" : line));
  const definitions = definitionsOf(lines);
  const requests: HttpRequest[] = [];
  let inRequest = false;
  let inScript = false;
  for (const [line, content] of lines.entries()) {
    if (SEPARATOR.test(content)) {
      inRequest = false;
      inScript = false;
    } else if (inScript || /^\s*\{\{(@\w+)?\s*$/.test(content)) {
      // A script of httpYac.
      inScript = !/^\s*\}\}\s*$/.test(content);
    } else if (!inRequest && !SKIPPED.test(content) && !DEFINITION.test(content)) {
      inRequest = true;
      const match = REQUEST.exec(content);
      if (match?.[1] === undefined || match[2] === undefined || !/:\/\/|\{\{|^\//.test(match[2])) continue;
      const written = { line, column: match[1].length, text: match[2] };
      requests.push({ written, target: targetOf(written, definitions) });
      if (requests.length === MAX_REQUESTS) break;
    }
  }
  return requests;
}

/** The request whose lines include this one. */
export function requestAt(requests: readonly HttpRequest[], line: number): HttpRequest | undefined {
  return requests.findLast((request) => request.written.line <= line);
}

function definitionsOf(lines: readonly string[]): ReadonlyMap<string, Piece> {
  const definitions = new Map<string, Piece>();
  for (const [line, content] of lines.entries()) {
    const match = DEFINITION.exec(content);
    if (match?.[1] !== undefined && match[2] !== undefined && match[3] !== undefined) {
      definitions.set(match[2], { line, column: match[1].length, text: match[3] });
    }
  }
  return definitions;
}

function targetOf(written: Piece, definitions: ReadonlyMap<string, Piece>): Target {
  const start = startOf(written, definitions);
  const leading = LEADING_VARIABLE.exec(start.text)?.[1];
  const address = leading === undefined ? undefined : ADDRESS_VARIABLE.exec(leading)?.[1];
  if (address !== undefined) return { kind: "variable", name: address };
  const filled = fill(written.text, definitions, MAX_DEPTH);
  if (filled.missing !== undefined) {
    return { kind: "unknown", reason: `the file does not define {{${filled.missing}}}` };
  }
  const url = httpUrl(filled.text);
  if (url === undefined) return { kind: "unknown", reason: "this is not an http or https URL with a host" };
  return { kind: "url", url, start };
}

/** The piece that a URL begins with, through the variables at its beginning. */
function startOf(written: Piece, definitions: ReadonlyMap<string, Piece>): Piece {
  let piece = written;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const name = LEADING_VARIABLE.exec(piece.text)?.[1];
    const definition = name === undefined ? undefined : definitions.get(name);
    if (definition === undefined) break;
    piece = definition;
  }
  return piece;
}

/** The text with its variables filled in. What comes after the host, such as `{{$guid}}`, need not be known. */
function fill(
  text: string,
  definitions: ReadonlyMap<string, Piece>,
  depth: number,
  before = "",
): { readonly text: string; readonly missing?: string } {
  let filled = "";
  let end = 0;
  for (const match of text.matchAll(/\{\{\s*([^{}]+?)\s*\}\}/g)) {
    filled += text.slice(end, match.index);
    end = match.index + match[0].length;
    const name = match[1] ?? "";
    const definition = depth === 0 ? undefined : definitions.get(name);
    if (definition !== undefined) {
      const inner = fill(definition.text, definitions, depth - 1, before + filled);
      if (inner.missing !== undefined) return inner;
      filled += inner.text;
    } else if (/^https?:\/\/[^/]+\//i.test(before + filled)) {
      filled += "_";
    } else {
      return { text: "", missing: name };
    }
    if (filled.length > MAX_LINE) return { text: "", missing: name };
  }
  return { text: filled + text.slice(end) };
}

/**
 * How many characters at the start of a URL are the bound URL, and can be replaced by a variable that stands for it.
 * Undefined if the text does not begin with the whole of it.
 */
export function boundLength(text: string, bound: string): number | undefined {
  const url = httpUrl(bound);
  if (url === undefined) return undefined;
  const prefix = bound.replace(/\/+$/, "");
  const authority = prefix.length - url.pathname.replace(/\/+$/, "").length;
  const isSame =
    text.slice(0, authority).toLowerCase() === prefix.slice(0, authority).toLowerCase() &&
    text.slice(authority, prefix.length) === prefix.slice(authority);
  return isSame && /^([/?#]|$)/.test(text.slice(prefix.length)) ? prefix.length : undefined;
}
