"""An MCP server and clients of the official SDK, for tests of what is between them.

    python sdk.py server TOKEN              prints its port, and accepts only this token
    python sdk.py url MODE URL              calls a tool that reports its progress, and prints what it got
    python sdk.py stdio MODE COMMAND...     the same, with a server that is started
"""

import asyncio
import json
import os
import socket
import sys

import uvicorn
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server.mcpserver import Context, MCPServer


def serve(token: str) -> None:
    server = MCPServer("served")

    @server.tool()
    async def count(context: Context) -> str:
        for step in range(1, 4):
            await context.report_progress(step, 3)
        return "counted"

    app = server.streamable_http_app()

    async def with_token(scope, receive, send):
        sent = dict(scope.get("headers", [])).get(b"authorization")
        if scope["type"] == "http" and sent != f"Bearer {token}".encode():
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        await app(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(with_token, log_level="error")
    uvicorn.Server(config).run(sockets=[listener])


async def call(target, mode: str) -> None:
    seen = []

    async def on_progress(progress, total, message):
        seen.append(progress)

    async with Client(target, mode=mode) as client:
        called = await client.call_tool("count", {}, progress_callback=on_progress)
        version = client.protocol_version
    print(json.dumps({"seen": seen, "text": called.content[0].text, "version": version}))


role, *words = sys.argv[1:]
if role == "server":
    serve(words[0])
elif role == "url":
    asyncio.run(call(words[1], words[0]))
else:
    mode, command, *arguments = words
    started = StdioServerParameters(command=command, args=arguments, env=dict(os.environ))
    asyncio.run(call(stdio_client(started), mode))
