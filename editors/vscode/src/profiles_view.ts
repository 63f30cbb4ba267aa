/** The tree of profiles, with the URLs that they are bound to. */

import { vscode } from "./vscode.ts";
import type { Binding, Profile, UnusableProfile } from "./contract.ts";
import { timeLeft } from "./duration.ts";
import type { Model } from "./model.ts";
import { placeText, remotePlace } from "./place.ts";
import type { Servers } from "./servers.ts";
import { nameOf } from "./status_bar.ts";

export type Node =
  | { readonly kind: "profile"; readonly profile: Profile }
  | { readonly kind: "unusable"; readonly profile: UnusableProfile }
  | { readonly kind: "url"; readonly profile: Profile; readonly binding: Binding }
  | { readonly kind: "note"; readonly text: string };

export class ProfilesView implements vscode.TreeDataProvider<Node>, vscode.Disposable {
  private readonly changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.changed.event;
  private readonly model: Model;
  private readonly servers: Servers;
  private readonly disposable: vscode.Disposable;

  constructor(model: Model, servers: Servers) {
    this.model = model;
    this.servers = servers;
    const view = vscode.window.createTreeView("hallpass.profiles", { treeDataProvider: this });
    const place = remotePlace();
    if (place !== undefined) view.description = place;
    const subscription = model.onDidChange(() => {
      void vscode.commands.executeCommand("setContext", "hallpass.state", contextOf(model));
      this.update();
    });
    this.disposable = vscode.Disposable.from(this.changed, view, subscription);
  }

  update(): void {
    this.changed.fire(undefined);
  }

  getChildren(node?: Node): Node[] {
    const { state } = this.model;
    if (state.kind !== "ready") return [];
    if (node === undefined) {
      const { profiles, unusable } = state.status;
      return [
        ...profiles.map((profile) => ({ kind: "profile", profile }) as const),
        ...unusable.map((profile) => ({ kind: "unusable", profile }) as const),
      ];
    }
    if (node.kind === "unusable") return [node.profile.error, ...node.profile.hints].map(note);
    if (node.kind !== "profile") return [];
    const { profile } = node;
    if (profile.bindings.length === 0) return [note("not bound to any URL")];
    return profile.bindings.map((binding) => ({ kind: "url", profile, binding }));
  }

  getTreeItem(node: Node): vscode.TreeItem {
    switch (node.kind) {
      case "profile":
        return this.profileItem(node.profile);
      case "unusable":
        return item(node.profile.name, "unusable", "warning", true, "cannot be used");
      case "url": {
        const isServed = this.servers.isRunning(node.binding.url);
        const icon = isServed ? "radio-tower" : "link";
        const header = node.binding.header ?? "";
        return item(node.binding.url, isServed ? "url.served" : "url", icon, false, isServed ? "served" : header);
      }
      case "note":
        return item(node.text, "note", undefined, false, "");
    }
  }

  private profileItem(profile: Profile): vscode.TreeItem {
    const isSelected = this.model.selected === profile;
    const left = profile.token === null ? "no cached token" : timeLeft(profile.token.expiresAt, Date.now());
    const description = isSelected ? `${left} · this workspace` : left;
    const shown = item(nameOf(profile.name), "profile", isSelected ? "pass-filled" : "key", true, description);
    const lines = [`client ${profile.clientId ?? "unknown"}`, `token endpoint ${profile.tokenEndpoint}`, placeText()];
    shown.tooltip = lines.join("\n");
    return shown;
  }

  dispose(): void {
    this.disposable.dispose();
  }
}

function note(text: string): Node {
  return { kind: "note", text };
}

function item(label: string, context: string, icon: string | undefined, hasChildren: boolean, description: string): vscode.TreeItem {
  const { Expanded, None } = vscode.TreeItemCollapsibleState;
  const shown = new vscode.TreeItem(label, hasChildren ? Expanded : None);
  shown.contextValue = context;
  shown.description = description;
  shown.tooltip = label;
  if (icon !== undefined) shown.iconPath = new vscode.ThemeIcon(icon);
  return shown;
}

/** Which welcome text is shown in the place of the tree. */
function contextOf({ state }: Model): string {
  if (state.kind !== "ready") return state.kind;
  return state.status.profiles.length + state.status.unusable.length === 0 ? "empty" : "ready";
}
