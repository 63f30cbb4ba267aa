/** Terminals: the profile of the workspace in their environment, and the dialogue of `hallpass login`. */

import { homedir } from "node:os";
import { vscode } from "./vscode.ts";
import type { Model } from "./model.ts";
import { trustedHallpass } from "./model.ts";

/** In new terminals, `hallpass token` uses the profile that the setting selects. */
export function selectInTerminals(model: Model, collection: vscode.EnvironmentVariableCollection): vscode.Disposable {
  collection.persistent = false;
  collection.description = "The profile of this workspace (hallpass.profile)";
  let current: string | undefined;
  return model.onDidChange((state) => {
    const selection = state.kind === "ready" ? state.selection : undefined;
    const isSet = selection?.kind === "profile" && selection.by === "setting" && vscode.workspace.isTrusted;
    // hallpass refuses both together.
    const isDescribed = ["HALLPASS_TOKEN_URL", "HALLPASS_PROVIDER"].some((name) => process.env[name] !== undefined);
    const name = isSet && !isDescribed ? selection.name : undefined;
    if (name === current) return;
    current = name;
    if (name === undefined) collection.clear();
    else collection.replace("HALLPASS_PROFILE", name);
  });
}

/** Runs `hallpass login` in a terminal, without a shell. The exit status is that of hallpass. */
export function login(profile: string | undefined): Promise<number | undefined> {
  const terminal = vscode.window.createTerminal({
    name: "hallpass login",
    shellPath: trustedHallpass().file,
    shellArgs: profile === undefined ? ["login"] : ["login", profile],
    cwd: homedir(),
    // Without what extensions set for terminals: with HALLPASS_PROFILE, it would be a login of that profile.
    strictEnv: true,
    env: ownEnvironment(),
    iconPath: new vscode.ThemeIcon("key"),
    isTransient: true,
  });
  terminal.show();
  return new Promise((resolve) => {
    const subscription = vscode.window.onDidCloseTerminal((closed) => {
      if (closed !== terminal) return;
      subscription.dispose();
      resolve(closed.exitStatus?.code);
    });
  });
}

/** The environment of the editor's process, without what is meant for the editor itself. */
function ownEnvironment(): Record<string, string> {
  const entries = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !/^(VSCODE_|ELECTRON_|HALLPASS_PROFILE$)/.test(entry[0]),
  );
  return Object.fromEntries(entries);
}
