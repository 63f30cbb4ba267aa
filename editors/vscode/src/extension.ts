/** What runs when the editor starts the extension, and when it ends. */

import { vscode } from "./vscode.ts";
import { Authentication } from "./authentication.ts";
import { SecretClipboard } from "./clipboard.ts";
import { registerCommands } from "./commands.ts";
import { HttpFeatures } from "./http_features.ts";
import { McpServers } from "./mcp.ts";
import { Model } from "./model.ts";
import { ProfilesView } from "./profiles_view.ts";
import { Servers } from "./servers.ts";
import { createStatusBar } from "./status_bar.ts";
import { selectInTerminals } from "./terminals.ts";

let atEnd: (() => Promise<void>) | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const model = new Model();
  const clipboard = new SecretClipboard(vscode.env.clipboard);
  const output = vscode.window.createOutputChannel("hallpass");
  const servers = new Servers(process.env, (url, reason) => {
    http.update();
    view.update();
    if (reason !== undefined) void vscode.window.showWarningMessage(`hallpass no longer serves ${url}: ${reason}`);
  });
  const view = new ProfilesView(model, servers);
  const http = new HttpFeatures(model, servers);
  const readme = vscode.Uri.joinPath(context.extensionUri, "README.md");
  context.subscriptions.push(
    model,
    output,
    view,
    http,
    createStatusBar(model),
    new Authentication(model, context.globalState),
    new McpServers(model).register(),
    selectInTerminals(model, context.environmentVariableCollection),
    registerCommands({ model, servers, clipboard, output, readme }),
    new vscode.Disposable(() => {
      servers.stopAll();
    }),
  );
  atEnd = () => clipboard.clear();
  // To start a program takes longer than all of the above, so it is no part of the activation.
  setImmediate(() => void model.refresh());
}

export function deactivate(): Promise<void> | undefined {
  return atEnd?.();
}
