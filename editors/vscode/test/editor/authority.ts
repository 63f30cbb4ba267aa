/** An authorization server, an API and an MCP server on this machine. Each token is checked by what was issued. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly authorization: string;
  /** The client whose valid token it had. */
  readonly client: string | undefined;
}

const SECRET = "secret-for-loopback-only";
/** The seconds that the tokens of a client last. */
const LIFETIMES: Readonly<Record<string, number>> = { short: 15 };

export class Authority {
  readonly secret = SECRET;
  readonly received: Received[] = [];
  readonly issued: { readonly token: string; readonly client: string; readonly until: number }[] = [];
  private readonly server: Server;

  private constructor(server: Server) {
    this.server = server;
  }

  static async start(): Promise<Authority> {
    const server = createServer();
    const authority = new Authority(server);
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      void authority.answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return authority;
  }

  get origin(): string {
    return `http://127.0.0.1:${String((this.server.address() as AddressInfo).port)}`;
  }

  /** How many tokens a client got. */
  requestsOf(client: string): number {
    return this.issued.filter((token) => token.client === client).length;
  }

  stop(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk as string;
    const path = request.url ?? "";
    const authorization = request.headers.authorization ?? "";
    const send = (status: number, value: unknown): void => {
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value));
    };
    if (path === "/token") {
      const client = this.authenticated(authorization);
      if (client === undefined) {
        send(401, { error: "invalid_client" });
        return;
      }
      const expires_in = LIFETIMES[client] ?? 3600;
      const token = `token-${client}-${String(this.issued.length)}-${Math.random().toString(36).slice(2)}`;
      this.issued.push({ token, client, until: Date.now() + expires_in * 1000 });
      send(200, { access_token: token, token_type: "Bearer", expires_in });
      return;
    }
    const valid = this.issued.find(({ token, until }) => authorization === `Bearer ${token}` && Date.now() < until);
    this.received.push({ method: request.method ?? "", path, authorization, client: valid?.client });
    if (valid === undefined) send(401, { error: "invalid_token" });
    else if (!path.startsWith("/mcp")) send(200, { client: valid.client, path });
    else if (request.method !== "POST") send(405, {});
    else answerMcp(body, send, response);
  }

  private authenticated(authorization: string): string | undefined {
    const [client, secret] = Buffer.from(authorization.replace(/^Basic /, ""), "base64").toString().split(":");
    return secret === SECRET ? client : undefined;
  }
}

/** As a server without sessions and streams does (MCP, Streamable HTTP). */
function answerMcp(body: string, send: (status: number, value: unknown) => void, response: ServerResponse): void {
  const message = JSON.parse(body) as { id?: unknown; method?: string; params?: { protocolVersion?: string } };
  if (message.id === undefined) {
    response.writeHead(202).end();
    return;
  }
  const results: Record<string, unknown> = {
    initialize: {
      protocolVersion: message.params?.protocolVersion,
      capabilities: { tools: {} },
      serverInfo: { name: "test", version: "1" },
    },
    "tools/list": { tools: [] },
  };
  send(200, { jsonrpc: "2.0", id: message.id, result: results[message.method ?? ""] ?? {} });
}
