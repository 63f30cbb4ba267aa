/** The commands of the extension. Their arguments can come from anywhere, so they are checked. */

import { vscode } from "./vscode.ts";
import { allBindings, boundByVariable, httpUrl, variableOf, type Bound } from "./bindings.ts";
import type { SecretClipboard } from "./clipboard.ts";
import { ContractError, type Profile } from "./contract.ts";
import { reportOf } from "./doctor_report.ts";
import { timeLeft } from "./duration.ts";
import { HallpassError } from "./hallpass.ts";
import { HTTP_FILES, urlAt, useAt } from "./http_features.ts";
import { addMcpServer } from "./mcp.ts";
import { messageOf, trustedHallpass, UserError, type Model } from "./model.ts";
import { placeText } from "./place.ts";
import { isProfileName } from "./profile_name.ts";
import type { Servers } from "./servers.ts";
import { nameOf } from "./status_bar.ts";
import { login } from "./terminals.ts";

export interface Parts {
  readonly model: Model;
  readonly servers: Servers;
  readonly clipboard: SecretClipboard;
  readonly output: vscode.OutputChannel;
  readonly readme: vscode.Uri;
}

/** Each command, with what it gets from a menu, a CodeLens, a task or another extension. */
export function registerCommands(parts: Parts): vscode.Disposable {
  const commands = new Commands(parts);
  const shown: Readonly<Record<string, (argument: unknown, more: unknown) => Promise<unknown>>> = {
    "hallpass.switchProfile": (node) => commands.switchProfile(node),
    "hallpass.copyToken": (node) => commands.copyToken(node),
    "hallpass.copyAuthorization": (node) => commands.copyAuthorization(node),
    "hallpass.doctor": (node) => commands.doctor(node),
    "hallpass.login": (node) => commands.login(node),
    "hallpass.bind": (url) => commands.bind(url),
    "hallpass.bindProfile": (node) => commands.bindProfile(node),
    "hallpass.serve": (url) => commands.serve(url),
    "hallpass.stopServing": (url) => commands.stopServing(url),
    "hallpass.useInRequest": (uri, line) => commands.useInRequest(uri, line),
    "hallpass.addMcpServer": (node) => commands.addMcpServer(node),
    "hallpass.refresh": () => parts.model.refresh(),
    "hallpass.showPlace": () => commands.showPlace(),
    "hallpass.install": () => commands.install(),
  };
  const disposables = Object.entries(shown).map(([name, run]) =>
    vscode.commands.registerCommand(name, async (argument: unknown, more: unknown) => {
      try {
        await run(argument, more);
      } catch (error) {
        await commands.show(error);
      }
    }),
  );
  // The editor shows an error of these itself, and then does not run the task.
  const values = [
    vscode.commands.registerCommand("hallpass.token", (argument: unknown) => commands.token(argument)),
    vscode.commands.registerCommand("hallpass.authorization", (argument: unknown) => commands.authorization(argument)),
  ];
  return vscode.Disposable.from(...disposables, ...values);
}

class Commands {
  private readonly parts: Parts;

  constructor(parts: Parts) {
    this.parts = parts;
  }

  /** For `${command:hallpass.token}`, and for an input whose `args` is the name of a profile. */
  async token(argument: unknown): Promise<string> {
    const { accessToken } = await trustedHallpass().token(await this.profileFor(argument));
    this.refreshLater();
    return accessToken;
  }

  async authorization(argument: unknown): Promise<string> {
    const value = await trustedHallpass().authorization(await this.profileFor(argument), "bearer");
    this.refreshLater();
    return value;
  }

  async copyToken(argument: unknown): Promise<void> {
    const name = await this.profileFor(rowOf(argument)?.profile);
    const { accessToken, expiresAt } = await trustedHallpass().token(name);
    await this.parts.clipboard.copy(accessToken);
    this.confirmCopy(`a token of ${nameOf(name)}, valid for ${timeLeft(expiresAt, Date.now())}`);
  }

  async copyAuthorization(argument: unknown): Promise<void> {
    const name = await this.profileFor(rowOf(argument)?.profile);
    await this.parts.clipboard.copy(await trustedHallpass().authorization(name, "header"));
    this.confirmCopy(`an Authorization header of ${nameOf(name)}`);
  }

  private confirmCopy(what: string): void {
    const text = `$(check) hallpass: copied ${what}; removed from the clipboard in a minute`;
    vscode.window.setStatusBarMessage(text, 5000);
    this.refreshLater();
  }

  async switchProfile(argument: unknown): Promise<void> {
    trustedHallpass();
    await this.parts.model.refresh();
    const name = rowOf(argument)?.profile ?? (await this.chooseForWorkspace());
    if (name === undefined) return;
    const { ConfigurationTarget, workspace } = vscode;
    const target = workspace.workspaceFolders === undefined ? ConfigurationTarget.Global : ConfigurationTarget.Workspace;
    const settings = workspace.getConfiguration("hallpass");
    await settings.update("profile", name === "" || !isProfileName(name) ? undefined : name, target);
    await this.parts.model.refresh();
  }

  /** Returns an empty text if hallpass is to choose. */
  private async chooseForWorkspace(): Promise<string | undefined> {
    const picked = await this.pick("Profile of this workspace", [
      { label: "$(discard) The choice of hallpass itself", name: "" },
      { label: "$(add) Log in…", name: undefined },
    ]);
    if (picked?.isLogin === true) await this.login(undefined);
    return picked?.name;
  }

  async doctor(argument: unknown): Promise<void> {
    const hallpass = trustedHallpass();
    const profile = rowOf(argument)?.profile;
    const { output } = this.parts;
    const options = { location: vscode.ProgressLocation.Notification, title: "hallpass doctor", cancellable: true };
    const report = await vscode.window.withProgress(options, (_, cancellation) => {
      const abort = new AbortController();
      cancellation.onCancellationRequested(() => {
        abort.abort();
      });
      return hallpass.doctor(profile, abort.signal);
    });
    output.clear();
    output.appendLine(`${hallpass.file} doctor (${placeText()})`);
    for (const line of reportOf(report)) output.appendLine(line);
    output.show(true);
    this.refreshLater();
  }

  async login(argument: unknown): Promise<void> {
    const name = rowOf(argument)?.profile;
    const before = new Set(this.parts.model.profiles.map((profile) => profile.name));
    const code = await login(name);
    await this.parts.model.refresh();
    const added = this.parts.model.profiles.find((profile) => !before.has(profile.name))?.name ?? name;
    if (code === 0 && added !== undefined) {
      void vscode.window.showInformationMessage(`hallpass: logged in: profile ${added}`);
    }
  }

  /** The URL of a lens or a hover, or the one under the cursor. */
  async bind(argument: unknown): Promise<void> {
    trustedHallpass();
    const url = typeof argument === "string" ? httpUrl(argument) : urlUnderCursor();
    if (url === undefined) throw new UserError("there is no http or https URL with a host under the cursor");
    const picked = await this.pick(`Profile that may be used for ${url.origin}/`, []);
    if (picked?.name === undefined) return;
    await this.confirmAndBind(picked.name, `${url.origin}/`);
  }

  async bindProfile(argument: unknown): Promise<void> {
    const profile = rowOf(argument)?.profile;
    if (profile !== undefined) await this.confirmAndBind(profile, "https://");
  }

  /** The user sees the whole URL, and confirms or changes it. */
  private async confirmAndBind(profile: string, proposed: string): Promise<void> {
    const hallpass = trustedHallpass();
    const written = await vscode.window.showInputBox({
      title: `Bind ${nameOf(profile)} to a URL`,
      prompt: "Tools that ask for this URL, or one below it, get the tokens of this profile",
      value: proposed,
      valueSelection: [proposed.length, proposed.length],
      ignoreFocusOut: true,
      validateInput: (text) => (httpUrl(text) === undefined ? "Enter an http or https URL with a host" : undefined),
    });
    const url = written === undefined ? undefined : httpUrl(written);
    if (url === undefined) return;
    await hallpass.bind(profile, url.href);
    await this.parts.model.refresh();
    vscode.window.setStatusBarMessage(`$(check) hallpass: ${nameOf(profile)} is bound to ${url.href}`, 5000);
  }

  async serve(argument: unknown): Promise<void> {
    await this.parts.model.refresh();
    const bound = this.boundFor(argument);
    const variable = `{{$processEnv ${await this.start(bound)}}}`;
    const text = `hallpass serves ${bound.binding.url}: write ${variable} in its place`;
    const copy = "Copy the Variable";
    void vscode.window.showInformationMessage(text, copy).then((choice) => {
      if (choice === copy) void vscode.env.clipboard.writeText(variable);
    });
  }

  async stopServing(argument: unknown): Promise<void> {
    await this.parts.servers.stop(this.boundFor(argument).binding.url);
  }

  async useInRequest(uri: unknown, line: unknown): Promise<void> {
    trustedHallpass();
    await this.parts.model.refresh();
    const place = placeOf(uri, line);
    if (place === undefined) throw new UserError("there is no request under the cursor");
    const document = await vscode.workspace.openTextDocument(place.uri);
    const use = useAt(document, place.line, this.parts.model);
    if (use === undefined) throw new UserError("no profile is bound to the URL of this request");
    await this.start(use.bound);
    if (use.edit === undefined) return;
    const edit = new vscode.WorkspaceEdit();
    edit.set(document.uri, [use.edit]);
    await vscode.workspace.applyEdit(edit);
  }

  private async start({ profile, binding }: Bound): Promise<string> {
    const variable = variableOf(binding.url);
    if (boundByVariable(variable, this.parts.model.profiles)?.binding.url !== binding.url) {
      throw new UserError(`two bound URLs would have the variable ${variable}; bind one below a distinct path`);
    }
    await this.parts.servers.start(trustedHallpass(), profile.name, binding.url);
    this.refreshLater();
    return variable;
  }

  async addMcpServer(argument: unknown): Promise<void> {
    trustedHallpass();
    const { url } = this.boundFor(argument).binding;
    await addMcpServer(url);
    const text = `hallpass: ${url} is now in the list of MCP servers`;
    const show = "Show MCP Servers";
    const choice = await vscode.window.showInformationMessage(text, show);
    if (choice === show) await vscode.commands.executeCommand("workbench.mcp.listServer");
  }

  async showPlace(): Promise<void> {
    const { state } = this.parts.model;
    const program = state.kind === "loading" || state.kind === "missing" ? "no program found" : state.file;
    await vscode.window.showInformationMessage(`${placeText()}: ${program}`);
  }

  async install(): Promise<void> {
    const { state } = this.parts.model;
    if (state.kind === "missing" || state.kind === "incompatible") {
      const how = "How to Install";
      const settings = "Set Its Path";
      const choice = await vscode.window.showWarningMessage(`hallpass: ${messageOf(state)}`, how, settings);
      if (choice === settings) await vscode.commands.executeCommand("workbench.action.openSettings", "hallpass.path");
      if (choice !== how) return;
    }
    await this.showInstallation();
  }

  private async showInstallation(): Promise<void> {
    await vscode.commands.executeCommand("markdown.showPreview", this.parts.readme.with({ fragment: "install" }));
  }

  /** An error, with the command that helps. */
  async show(error: unknown): Promise<void> {
    const { state } = this.parts.model;
    if (error instanceof UserError && state.kind === "missing") return this.install();
    const reason = error instanceof Error ? error.message : String(error);
    const text = error instanceof ContractError ? `hallpass does not fit this extension: ${reason}` : `hallpass: ${reason}`;
    const help = error instanceof HallpassError ? helpFor(error) : undefined;
    if (help === undefined) {
      void vscode.window.showErrorMessage(text);
      return;
    }
    void vscode.window.showErrorMessage(text, help.title).then((choice) => {
      if (choice !== undefined) void vscode.commands.executeCommand(help.command);
    });
  }

  /**
   * The profile in the argument, or the one of this window. An argument of another kind is ignored: the editor passes
   * the launch configuration, for example.
   */
  private async profileFor(argument: unknown): Promise<string> {
    const { model } = this.parts;
    if (typeof argument === "string") {
      if (!isProfileName(argument)) throw new UserError("the argument is not the name of a profile");
      return argument;
    }
    if (model.state.kind !== "ready" || model.selected === undefined) await model.refresh();
    const { state } = model;
    if (state.kind === "missing" || state.kind === "incompatible" || state.kind === "failed") {
      throw new UserError(messageOf(state));
    }
    if (state.kind === "loading") throw new UserError("the profiles are not known yet");
    const { selection, status } = state;
    if (selection.kind === "profile") return selection.name;
    if (selection.kind === "invalid") throw new UserError(selection.reason);
    const none = "no profile is selected in this workspace";
    throw new UserError(status.profiles.length === 0 ? "there are no profiles yet: log in first" : none);
  }

  private boundFor(argument: unknown): Bound {
    const url = rowOf(argument)?.url ?? argument;
    const bound = allBindings(this.parts.model.profiles).find(({ binding }) => binding.url === url);
    if (bound === undefined) throw new UserError("no profile is bound to this URL");
    return bound;
  }

  private async pick(
    title: string,
    more: readonly { readonly label: string; readonly name: string | undefined }[],
  ): Promise<{ readonly name: string | undefined; readonly isLogin: boolean } | undefined> {
    const items = this.parts.model.profiles.map((profile) => itemOf(profile, this.parts.model.selected));
    const all = [...items, ...more.map((item) => ({ ...item, description: "", detail: "" }))];
    if (all.length === 0) throw new UserError("there are no profiles yet: log in first");
    const options = { title, placeHolder: "Choose a profile", matchOnDetail: true };
    const picked = await vscode.window.showQuickPick(all, options);
    return picked === undefined ? undefined : { name: picked.name, isLogin: picked.name === undefined };
  }

  private refreshLater(): void {
    void this.parts.model.refresh();
  }
}

/** The command that helps, by the exit code of hallpass. */
function helpFor({ code }: HallpassError): { readonly title: string; readonly command: string } | undefined {
  switch (code) {
    case 3:
    case 4:
      return { title: "Log In", command: "hallpass.login" };
    case 1:
    case 5:
    case 6:
      return { title: "Run Doctor", command: "hallpass.doctor" };
    case null:
    default:
      return undefined;
  }
}

function itemOf(profile: Profile, selected: Profile | undefined): vscode.QuickPickItem & { name: string | undefined } {
  const left = profile.token === null ? "no cached token" : timeLeft(profile.token.expiresAt, Date.now());
  return {
    name: profile.name,
    label: `$(key) ${nameOf(profile.name)}`,
    description: profile === selected ? `${left} · this workspace` : left,
    detail: profile.bindings.map(({ url }) => url).join("  "),
  };
}

/** A row of the tree, as a menu gives it, or what another caller passes in its place. */
function rowOf(argument: unknown): { readonly profile: string | undefined; readonly url: string | undefined } | undefined {
  if (typeof argument !== "object" || argument === null) return undefined;
  const { profile, binding } = argument as Partial<Record<string, unknown>>;
  const name = member(profile, "name");
  return { profile: isProfileName(name) ? name : undefined, url: member(binding, "url") };
}

function member(value: unknown, name: string): string | undefined {
  const found = typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
  return typeof found === "string" ? found : undefined;
}

function placeOf(uri: unknown, line: unknown): { readonly uri: vscode.Uri; readonly line: number } | undefined {
  if (typeof uri === "string" && typeof line === "number") return { uri: vscode.Uri.parse(uri, true), line };
  const editor = vscode.window.activeTextEditor;
  return editor === undefined ? undefined : { uri: editor.document.uri, line: editor.selection.active.line };
}

function urlUnderCursor(): URL | undefined {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined) return undefined;
  const { document, selection } = editor;
  const { line, character } = selection.active;
  if (vscode.languages.match(HTTP_FILES, document) > 0) {
    const url = urlAt(document, line);
    if (url !== undefined) return url;
  }
  for (const match of document.lineAt(line).text.matchAll(/https?:\/\/[^\s"'`<>()[\]{}]+/gi)) {
    if (match.index <= character && character <= match.index + match[0].length) return httpUrl(match[0]);
  }
  return undefined;
}
