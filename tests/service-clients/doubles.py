"""Servers that take one credential: `doubles.py KIND` prints its port, then each credential that it receives.

It ends with its standard input.
"""

import base64
import os
import socket
import struct
import sys
import threading


def read(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def received(credential):
    print(credential.decode(), flush=True)


def postgres(connection, _):
    """The frontend/backend protocol: a password, or SASL OAUTHBEARER if the user is `oauth`."""

    def message(kind, body):
        return kind + struct.pack("!I", len(body) + 4) + body

    while True:
        (size,) = struct.unpack("!I", read(connection, 4))
        body = read(connection, size - 4)
        (code,) = struct.unpack("!I", body[:4])
        if code not in (80877103, 80877104):
            break
        connection.sendall(b"N")
    oauth = b"user\0oauth\0" in body
    demand = struct.pack("!I", 10) + b"OAUTHBEARER\0\0" if oauth else struct.pack("!I", 3)
    connection.sendall(message(b"R", demand))
    read(connection, 1)
    (size,) = struct.unpack("!I", read(connection, 4))
    received(read(connection, size - 4).replace(b"\0", b" ").replace(b"\1", b" "))
    connection.sendall(message(b"R", struct.pack("!I", 0)) + message(b"Z", b"I"))
    read(connection, 1)


def kafka(connection, port):
    """The requests of a client that authenticates and lists topics."""
    while True:
        (size,) = struct.unpack("!i", read(connection, 4))
        body = read(connection, size)
        key, version, number, name = struct.unpack("!hhih", body[:10])
        body = body[10 + max(name, 0) :]
        if key == 18:
            keys = [(3, 0, 4), (17, 0, 1), (18, 0, 0), (36, 0, 1)]
            reply = struct.pack("!hi", 35 if version else 0, len(keys))
            reply += b"".join(struct.pack("!hhh", *each) for each in keys)
        elif key == 17:
            names = (b"PLAIN", b"OAUTHBEARER")
            reply = struct.pack("!hi", 0, len(names))
            reply += b"".join(struct.pack("!h", len(each)) + each for each in names)
        elif key == 36:
            received(body[4:].replace(b"\0", b" ").replace(b"\1", b" "))
            reply = struct.pack("!hhi", 0, -1, 0) + (struct.pack("!q", 0) if version else b"")
        else:
            host = b"127.0.0.1"
            reply = struct.pack("!iiih", 0, 1, 1, len(host)) + host
            reply += struct.pack("!ihhii", port, -1, -1, 1, 0)
        connection.sendall(struct.pack("!ii", len(reply) + 4, number) + reply)


def mongodb(connection, _):
    """OP_MSG and OP_QUERY: hello, saslStart, ping."""
    import bson

    while True:
        size, request, _, operation = struct.unpack("<iiii", read(connection, 16))
        body = read(connection, size - 16)
        start = 5 if operation == 2013 else body.index(b"\0", 4) + 9
        (length,) = struct.unpack("<i", body[start : start + 4])
        command = bson.decode(body[start : start + length])
        for sasl in (command, command.get("speculativeAuthenticate", {})):
            if "payload" in sasl:
                received(bson.decode(sasl["payload"])["jwt"].encode())
        reply = {"ok": 1}
        if "saslStart" in command:
            reply |= {"conversationId": 1, "done": True, "payload": b""}
        elif next(iter(command)).lower() in ("hello", "ismaster"):
            reply |= {"ismaster": True, "isWritablePrimary": True, "minWireVersion": 0, "maxWireVersion": 21}
            reply |= {"maxBsonObjectSize": 16 << 20, "maxMessageSizeBytes": 48000000, "maxWriteBatchSize": 100000}
        head = struct.pack("<iB", 0, 0) if operation == 2013 else struct.pack("<iqii", 8, 0, 0, 1)
        body = head + bson.encode(reply)
        kind = 2013 if operation == 2013 else 1
        connection.sendall(struct.pack("<iiii", len(body) + 16, 1, request, kind) + body)


def smtp(connection, _):
    """AUTH OAUTHBEARER (RFC 7628) or PLAIN (RFC 4616), and one message."""
    lines = connection.makefile("rb")
    connection.sendall(b"220 ready\r\n")
    for line in lines:
        words = line.split()
        command = words[0].upper() if words else b""
        if command == b"EHLO":
            connection.sendall(b"250-here\r\n250 AUTH OAUTHBEARER PLAIN\r\n")
        elif command == b"AUTH":
            received(base64.b64decode(words[2]).replace(b"\0", b" ").replace(b"\1", b" "))
            connection.sendall(b"235 welcome\r\n")
        elif command == b"DATA":
            connection.sendall(b"354 go on\r\n")
            while lines.readline() not in (b".\r\n", b""):
                pass
            connection.sendall(b"250 sent\r\n")
        elif command == b"QUIT":
            connection.sendall(b"221 bye\r\n")
            return
        else:
            connection.sendall(b"250 fine\r\n")


def grpc():
    """Reflection, which lists one service."""
    from concurrent import futures

    import grpc

    def list_services(requests, context):
        received(dict(context.invocation_metadata()).get("authorization", "").encode())
        for _ in requests:
            # list_services_response { service { name } }
            yield b"\x32\x0c\x0a\x0a\x0a\x08a.Search"

    methods = {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(list_services)}
    name = "grpc.reflection.v1alpha.ServerReflection"
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()


def serve(kind, connection, port):
    connection.settimeout(60)
    with connection:
        try:
            kind(connection, port)
        except (EOFError, OSError):
            pass


def listen(kind):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    print(port, flush=True)

    def accept():
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(kind, connection, port), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.read()


def main():
    if sys.argv[1] == "grpc":
        grpc()
    else:
        listen({"postgres": postgres, "kafka": kafka, "mongodb": mongodb, "smtp": smtp}[sys.argv[1]])
    os._exit(0)


main()
