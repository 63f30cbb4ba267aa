/** In `.http` and `.rest` files: which profile is bound to a request's URL, and a way to send it through hallpass. */

import { vscode } from "./vscode.ts";
import { boundByVariable, difference, lookup, variableOf, type Bound, type Lookup } from "./bindings.ts";
import { timeLeft } from "./duration.ts";
import { boundLength, parseHttpFile, requestAt, type HttpRequest, type Target } from "./http_file.ts";
import { messageOf, type Model } from "./model.ts";
import type { Servers } from "./servers.ts";
import { nameOf } from "./status_bar.ts";

export const HTTP_FILES: vscode.DocumentSelector = [{ pattern: "**/*.{http,rest}" }, { language: "http" }];

/** What is longer is not parsed each time it is shown. */
const MAX_LENGTH = 1_000_000;

/** What hallpass knows about the URL of a request. */
type Found = Lookup | { readonly kind: "unknown"; readonly reason: string };

export class HttpFeatures implements vscode.CodeLensProvider, vscode.HoverProvider, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.changed.event;
  private readonly model: Model;
  private readonly servers: Servers;
  private readonly disposable: vscode.Disposable;

  constructor(model: Model, servers: Servers) {
    this.model = model;
    this.servers = servers;
    this.disposable = vscode.Disposable.from(
      this.changed,
      vscode.languages.registerCodeLensProvider(HTTP_FILES, this),
      vscode.languages.registerHoverProvider(HTTP_FILES, this),
      model.onDidChange(() => {
        this.update();
      }),
    );
  }

  update(): void {
    this.changed.fire();
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    if (!vscode.workspace.isTrusted || this.model.state.kind !== "ready") return [];
    return requestsOf(document).flatMap((request) => {
      const { line } = request.written;
      const range = new vscode.Range(line, 0, line, 0);
      return this.lensCommands(document, request).map((command) => new vscode.CodeLens(range, command));
    });
  }

  private lensCommands(document: vscode.TextDocument, request: HttpRequest): vscode.Command[] {
    const found = find(request.target, this.model);
    if (found.kind === "unknown") return [];
    if (found.kind === "unbound") {
      const { origin } = found.url;
      return [{ title: `hallpass: no profile for ${origin} · bind`, command: "hallpass.bind", arguments: [origin] }];
    }
    const { profile, binding } = found.bound;
    const commands: vscode.Command[] = [];
    if (this.servers.isRunning(binding.url)) {
      const title = `$(radio-tower) hallpass: serving as ${nameOf(profile.name)} · stop`;
      commands.push({ title, command: "hallpass.stopServing", arguments: [binding.url] });
    } else {
      const title = `$(play) hallpass: serve as ${nameOf(profile.name)}`;
      commands.push({ title, command: "hallpass.serve", arguments: [binding.url] });
    }
    if (editFor(request, found.bound) !== undefined) {
      const position = [document.uri.toString(), request.written.line];
      const title = "hallpass: send this request through it";
      commands.push({ title, command: "hallpass.useInRequest", arguments: position });
    }
    return commands;
  }

  provideHover(document: vscode.TextDocument, position: vscode.Position): vscode.Hover | undefined {
    if (!vscode.workspace.isTrusted) return undefined;
    const request = requestsOf(document).find(({ written }) => written.line === position.line);
    if (request === undefined) return undefined;
    const { line, column, text } = request.written;
    const range = new vscode.Range(line, column, line, column + text.length);
    return range.contains(position) ? new vscode.Hover(this.explanation(request), range) : undefined;
  }

  private explanation(request: HttpRequest): vscode.MarkdownString {
    const { state } = this.model;
    if (state.kind === "loading") return paragraphs(["hallpass: reading the profiles"]);
    if (state.kind !== "ready") return paragraphs([`hallpass: ${messageOf(state)}`]);
    const found = find(request.target, this.model);
    switch (found.kind) {
      case "unknown":
        return paragraphs([`hallpass cannot tell which profile is bound to it: ${found.reason}.`]);
      case "bound": {
        const { profile, binding } = found.bound;
        const left = profile.token === null ? undefined : timeLeft(profile.token.expiresAt, Date.now());
        const isServed = this.servers.isRunning(binding.url);
        return paragraphs([
          `hallpass: the profile ${nameOf(profile.name)} is bound to ${binding.url}`,
          left === undefined ? "No token is cached; one is requested when it is needed." : `Its token: ${left}.`,
          isServed
            ? `${variableOf(binding.url)} has the address that stands for this URL.`
            : "It is not served: a request to this URL gets no token from hallpass.",
        ]);
      }
      case "unbound":
        return unboundText(found.url, found.near);
    }
  }

  dispose(): void {
    this.disposable.dispose();
  }
}

/** The URL of the request at this line, for `hallpass.bind`. */
export function urlAt(document: vscode.TextDocument, line: number): URL | undefined {
  const target = requestAt(requestsOf(document), line)?.target;
  return target?.kind === "url" ? target.url : undefined;
}

/** The bound URL of the request at this line, and how to write its variable there. */
export function useAt(
  document: vscode.TextDocument,
  line: number,
  model: Model,
): { readonly bound: Bound; readonly edit: vscode.TextEdit | undefined } | undefined {
  const request = requestAt(requestsOf(document), line);
  const found = request === undefined ? undefined : find(request.target, model);
  if (request === undefined || found?.kind !== "bound") return undefined;
  return { bound: found.bound, edit: editFor(request, found.bound) };
}

function requestsOf(document: vscode.TextDocument): HttpRequest[] {
  const text = document.getText();
  return text.length > MAX_LENGTH ? [] : parseHttpFile(text);
}

function find(target: Target, model: Model): Found {
  if (target.kind === "unknown") return target;
  if (target.kind === "variable") {
    const bound = boundByVariable(target.name, model.profiles);
    return bound === undefined
      ? { kind: "unknown", reason: `no profile is bound to a URL whose variable is ${target.name}` }
      : { kind: "bound", bound };
  }
  return lookup(target.url, model.profiles);
}

/** The bound URL at the start of the request's URL, or of the file's variable, becomes the variable of its address. */
function editFor({ target }: HttpRequest, { binding }: Bound): vscode.TextEdit | undefined {
  if (target.kind !== "url") return undefined;
  const { line, column, text } = target.start;
  const length = boundLength(text, binding.url);
  if (length === undefined) return undefined;
  const range = new vscode.Range(line, column, line, column + length);
  return vscode.TextEdit.replace(range, `{{$processEnv ${variableOf(binding.url)}}}`);
}

function unboundText(url: URL, near: readonly Bound[]): vscode.MarkdownString {
  const lines = near.map(
    ({ profile, binding }) =>
      `The profile ${nameOf(profile.name)} is bound to ${binding.url}: ${difference(binding.url, url)}.`,
  );
  const text = paragraphs([`hallpass: no profile is bound to ${url.origin}${url.pathname}`, ...lines]);
  const argument = encodeURIComponent(JSON.stringify([url.origin]));
  text.appendMarkdown(`\n\n[Bind this host](command:hallpass.bind?${argument})`);
  text.isTrusted = { enabledCommands: ["hallpass.bind"] };
  return text;
}

/** What a file or a server wrote stays text. */
function paragraphs(lines: readonly string[]): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  for (const line of lines) text.appendMarkdown(`${escaped(line)}\n\n`);
  return text;
}

/** `appendText` does the same, but with spaces at which no line can end. */
function escaped(text: string): string {
  const clean = text.replace(/\s+/g, " ").replace(/&/g, "&amp;").replace(/</g, "&lt;");
  return clean.replace(/[\\`*_{}[\]()#+\-!~|>$]/g, "\\$&");
}
