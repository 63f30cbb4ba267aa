/** Where hallpass runs: where the workspace is. */

import { vscode } from "./vscode.ts";

const PLACES: Readonly<Record<string, string>> = {
  "ssh-remote": "over SSH",
  "dev-container": "in the container",
  "attached-container": "in the container",
  wsl: "in WSL",
  codespaces: "in the codespace",
  tunnel: "through the tunnel",
};

/** Undefined if that is this machine, with the window. */
export function remotePlace(): string | undefined {
  const remote = vscode.env.remoteName;
  const place = remote === undefined ? undefined : PLACES[remote];
  if (place !== undefined) return place;
  // code-server has its own address as the name.
  if (vscode.env.uiKind === vscode.UIKind.Web) return "on the server of this window";
  return remote === undefined ? undefined : `at the remote (${remote})`;
}

/** For tooltips and messages. */
export function placeText(): string {
  const place = remotePlace();
  return place === undefined
    ? "hallpass runs on this machine"
    : `hallpass runs where this workspace is (${place}), with the profiles and the keychain of that machine`;
}
