/** MCP servers that get their token each time they start. */

import { vscode } from "./vscode.ts";
import { httpUrl } from "./bindings.ts";
import { trustedHallpass, type Model } from "./model.ts";

const SETTING = "mcpServers";

export class McpServers implements vscode.McpServerDefinitionProvider<vscode.McpHttpServerDefinition> {
  private readonly changed = new vscode.EventEmitter<void>();
  readonly onDidChangeMcpServerDefinitions = this.changed.event;
  private readonly model: Model;

  constructor(model: Model) {
    this.model = model;
  }

  register(): vscode.Disposable {
    const settings = vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration(`hallpass.${SETTING}`)) this.changed.fire();
    });
    const trust = vscode.workspace.onDidGrantWorkspaceTrust(() => {
      this.changed.fire();
    });
    const provider = vscode.lm.registerMcpServerDefinitionProvider("hallpass.mcpServers", this);
    return vscode.Disposable.from(provider, settings, trust, this.changed);
  }

  /** Those that the user listed, without a token. */
  provideMcpServerDefinitions(): vscode.McpHttpServerDefinition[] {
    if (!vscode.workspace.isTrusted) return [];
    return listedServers().map((url) => new vscode.McpHttpServerDefinition(labelOf(url), vscode.Uri.parse(url.href)));
  }

  /** hallpass gives the headers only if a profile is bound to the URL. */
  async resolveMcpServerDefinition(
    server: vscode.McpHttpServerDefinition,
  ): Promise<vscode.McpHttpServerDefinition> {
    // As it was listed: a Uri writes some characters in another way.
    const url = listedServers().find((listed) => vscode.Uri.parse(listed.href).toString() === server.uri.toString());
    if (url === undefined) throw new Error("this URL is not in the setting hallpass.mcpServers");
    try {
      server.headers = await trustedHallpass().headersFor(url.href);
    } catch (error) {
      // The editor itself says only that the server did not start.
      const reason = error instanceof Error ? error.message : String(error);
      void vscode.window.showErrorMessage(`hallpass: no token for the MCP server ${url.href}: ${reason}`);
      throw error;
    }
    void this.model.refresh();
    return server;
  }
}

/** Adds a URL to the user's own list. */
export async function addMcpServer(url: string): Promise<void> {
  const settings = vscode.workspace.getConfiguration("hallpass");
  const listed = settings.get<unknown>(SETTING);
  const urls = new Set([...(Array.isArray(listed) ? (listed as unknown[]) : []), url]);
  await settings.update(SETTING, [...urls], vscode.ConfigurationTarget.Global);
}

function listedServers(): URL[] {
  const listed = vscode.workspace.getConfiguration("hallpass").get<unknown>(SETTING);
  if (!Array.isArray(listed)) return [];
  const urls = listed.map((entry) => (typeof entry === "string" ? httpUrl(entry) : undefined));
  return urls.filter((url) => url !== undefined);
}

function labelOf(url: URL): string {
  return url.pathname === "/" ? url.host : `${url.host}${url.pathname}`;
}
