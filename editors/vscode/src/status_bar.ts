/** The status bar item: the profile of this window, and how long its token is valid. */

import { vscode } from "./vscode.ts";
import { timeLeft } from "./duration.ts";
import { messageOf, UNTRUSTED, type Model, type State } from "./model.ts";
import { placeText } from "./place.ts";

/** The time left is shown in minutes. */
const INTERVAL = 10_000;

interface Shown {
  readonly text: string;
  readonly tooltip: string;
  readonly command: string;
  readonly isWarning?: boolean;
}

export function createStatusBar(model: Model): vscode.Disposable {
  const item = vscode.window.createStatusBarItem("hallpass.profile", vscode.StatusBarAlignment.Right, 90);
  item.name = "hallpass";
  const show = (): void => {
    const { text, tooltip, command, isWarning } = shown(model.state, Date.now());
    item.text = text;
    item.tooltip = `${tooltip}\n${placeText()}`;
    item.command = vscode.workspace.isTrusted ? command : "workbench.trust.manage";
    item.backgroundColor =
      isWarning === true ? new vscode.ThemeColor("statusBarItem.warningBackground") : undefined;
    item.accessibilityInformation = { label: `hallpass: ${text.replace(/\$\([^)]*\)\s*/g, "")}` };
  };
  show();
  item.show();
  const timer = setInterval(show, INTERVAL);
  return vscode.Disposable.from(
    item,
    model.onDidChange(show),
    new vscode.Disposable(() => {
      clearInterval(timer);
    }),
  );
}

function shown(state: State, now: number): Shown {
  switch (state.kind) {
    case "loading":
      return { text: "$(key) hallpass", tooltip: "reading the profiles", command: "hallpass.refresh" };
    case "missing":
    case "incompatible": {
      const text = state.kind === "missing" ? "$(key) hallpass: not found" : "$(key) hallpass: update it";
      return { text, tooltip: messageOf(state), command: "hallpass.install", isWarning: true };
    }
    case "failed":
      return { text: "$(key) hallpass: failed", tooltip: state.reason, command: "hallpass.doctor", isWarning: true };
    case "ready":
      return shownReady(state, now);
  }
}

function shownReady({ status, selection }: State & { kind: "ready" }, now: number): Shown {
  const command = "hallpass.switchProfile";
  if (selection.kind === "invalid") {
    return { text: "$(key) hallpass: no such profile", tooltip: selection.reason, command, isWarning: true };
  }
  if (status.profiles.length === 0) {
    return { text: "$(key) hallpass: log in", tooltip: "there are no profiles yet", command: "hallpass.login" };
  }
  if (selection.kind === "none") {
    return { text: "$(key) hallpass: choose a profile", tooltip: "several profiles exist", command };
  }
  const profile = status.profiles.find(({ name }) => name === selection.name);
  const name = nameOf(selection.name);
  const left = profile?.token == null ? undefined : timeLeft(profile.token.expiresAt, now);
  const token =
    left === undefined || left === "expired"
      ? "no token is cached; one is requested when it is needed"
      : `its token is valid for ${left}, and is renewed when it is needed`;
  const trust = vscode.workspace.isTrusted ? "" : `\n${UNTRUSTED}`;
  return {
    text: left === undefined || left === "expired" ? `$(key) ${name}` : `$(key) ${name} ${left}`,
    tooltip: `hallpass: profile ${name}\n${token}${trust}`,
    command,
  };
}

/** How a profile is called in the editor. */
export function nameOf(profile: string): string {
  return profile === "_environment" ? "environment" : profile;
}
