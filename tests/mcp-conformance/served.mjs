// An MCP server and a client of the official SDK, for tests of what is between them.
//
//   node served.mjs server TOKEN    prints its port, and accepts only this token
//   node served.mjs client URL      calls a tool that reports its progress, and prints what it got
//   node served.mjs stdio COMMAND   the same, with a server that is started

import { createServer } from "node:http";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";

const info = { name: "served", version: "1" };
const [role, value, ...args] = process.argv.slice(2);

async function count(request, extra) {
  const { progressToken } = request.params._meta;
  for (const progress of [1, 2, 3]) {
    const params = { progressToken, progress, total: 3 };
    await extra.sendNotification({ method: "notifications/progress", params });
  }
  return { content: [{ type: "text", text: "counted" }] };
}

async function answer(request, response) {
  if (request.headers.authorization !== `Bearer ${value}`) {
    response.writeHead(401, { "WWW-Authenticate": "Bearer" }).end();
    return;
  }
  const server = new Server(info, { capabilities: { tools: {} } });
  server.setRequestHandler(CallToolRequestSchema, count);
  const tool = { name: "count", inputSchema: { type: "object" } };
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: [tool] }));
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined });
  await server.connect(transport);
  await transport.handleRequest(request, response);
}

if (role === "server") {
  const server = createServer(answer).listen(0, "127.0.0.1", () => console.log(server.address().port));
} else {
  const client = new Client(info, { capabilities: {} });
  await client.connect(
    role === "client"
      ? new StreamableHTTPClientTransport(new URL(value))
      : new StdioClientTransport({ command: value, args, env: process.env }),
  );
  const seen = [];
  const onprogress = ({ progress }) => seen.push(progress);
  const called = await client.callTool({ name: "count" }, undefined, { onprogress });
  console.log(JSON.stringify({ seen, text: called.content[0].text }));
  await client.close();
}
