/** What hallpass says about its profiles, for everything that shows them. */

import { homedir } from "node:os";
import { vscode } from "./vscode.ts";
import { findHere } from "./binary.ts";
import { ContractError, type Profile, type Status } from "./contract.ts";
import { Hallpass } from "./hallpass.ts";
import { select, type Selection } from "./selection.ts";

export type State =
  | { readonly kind: "loading" }
  /** With the setting, if it is what names the program. */
  | { readonly kind: "missing"; readonly setting: string | undefined }
  | { readonly kind: "incompatible"; readonly file: string; readonly reason: string }
  | { readonly kind: "failed"; readonly file: string; readonly reason: string }
  | { readonly kind: "ready"; readonly file: string; readonly status: Status; readonly selection: Selection };

/** An error whose message is shown to the user as it is. */
export class UserError extends Error {
  override readonly name = "UserError";
}

export const UNTRUSTED = "hallpass gives no tokens in a workspace that you do not trust";

/** How often the status is read again while the window has the focus. */
const INTERVAL = 30_000;

export class Model implements vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<State>();
  readonly onDidChange = this.changed.event;
  private current: State = { kind: "loading" };
  private reading: Promise<void> | undefined;
  private isStale = false;
  private readonly disposables: { dispose(): unknown }[] = [this.changed];

  constructor() {
    const timer = setInterval(() => {
      if (vscode.window.state.focused) void this.refresh();
    }, INTERVAL);
    this.disposables.push(
      new vscode.Disposable(() => {
        clearInterval(timer);
      }),
      vscode.window.onDidChangeWindowState(({ focused }) => {
        if (focused) void this.refresh();
      }),
      vscode.workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration("hallpass")) void this.refresh();
      }),
      vscode.workspace.onDidGrantWorkspaceTrust(() => void this.refresh()),
      vscode.workspace.onDidChangeWorkspaceFolders(() => void this.refresh()),
      // `hallpass login` may have run in it.
      vscode.window.onDidCloseTerminal(() => void this.refresh()),
    );
  }

  get state(): State {
    return this.current;
  }

  /** The profiles that can be used. */
  get profiles(): readonly Profile[] {
    return this.current.kind === "ready" ? this.current.status.profiles : [];
  }

  /** The profile that this window uses. */
  get selected(): Profile | undefined {
    if (this.current.kind !== "ready" || this.current.selection.kind !== "profile") return undefined;
    const { name } = this.current.selection;
    return this.current.status.profiles.find((profile) => profile.name === name);
  }

  /** Reads the status again. Calls while it is read lead to one more reading. */
  refresh(): Promise<void> {
    this.isStale = true;
    this.reading ??= this.readUntilFresh();
    return this.reading;
  }

  private async readUntilFresh(): Promise<void> {
    while (this.isStale) {
      this.isStale = false;
      this.current = await read();
    }
    // Before the event, so that a call from one of its listeners reads again.
    this.reading = undefined;
    this.changed.fire(this.current);
  }

  dispose(): void {
    for (const disposable of this.disposables) disposable.dispose();
  }
}

/** The program, for something that the user started in a workspace that they trust. */
export function trustedHallpass(): Hallpass {
  if (!vscode.workspace.isTrusted) throw new UserError(UNTRUSTED);
  const found = findHere(pathSetting());
  if (found.kind === "found") return new Hallpass(found.file, directory(), process.env);
  throw new UserError(messageOf(missing(found)));
}

/** What is wrong, in a sentence. */
export function messageOf(state: Extract<State, { kind: "missing" | "incompatible" | "failed" }>): string {
  switch (state.kind) {
    case "missing":
      return state.setting === undefined
        ? "the hallpass program was not found"
        : `hallpass.path is not the absolute path of a program: ${state.setting}`;
    case "incompatible":
      return `${state.file} does not fit this extension: ${state.reason}`;
    case "failed":
      return state.reason;
  }
}

async function read(): Promise<State> {
  const found = findHere(pathSetting());
  if (found.kind !== "found") return missing(found);
  const { file } = found;
  try {
    const status = await new Hallpass(file, directory(), process.env).status();
    const setting = vscode.workspace.getConfiguration("hallpass").get<unknown>("profile");
    const selection = select({ setting, variable: process.env["HALLPASS_PROFILE"] }, status);
    return { kind: "ready", file, status, selection };
  } catch (error) {
    const kind = error instanceof ContractError ? "incompatible" : "failed";
    return { kind, file, reason: error instanceof Error ? error.message : String(error) };
  }
}

function missing(found: { kind: "missing" } | { kind: "unusable"; setting: string }): State & { kind: "missing" } {
  return { kind: "missing", setting: found.kind === "unusable" ? found.setting : undefined };
}

/** Of the user or the machine: its scope does not let a workspace set it. */
function pathSetting(): string {
  const path = vscode.workspace.getConfiguration("hallpass").get<unknown>("path");
  return typeof path === "string" ? path.trim() : "";
}

/** The folder of the workspace, in which a `.hallpass.toml` may select a profile. */
function directory(): string {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  return vscode.workspace.isTrusted && folder?.scheme === "file" ? folder.fsPath : homedir();
}
