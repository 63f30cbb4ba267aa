"""What the servers here have in common: any free port of 127.0.0.1, its URL as the first line, an end with standard input.

Each takes the directory with the test's keys and certificates, and `http` or `https`. `GET /requests` counts POSTs.
"""

import json
import logging
import os
import pathlib
import sys
import threading

from werkzeug.serving import make_server

SCOPE = "api:read api:write"
LIFETIME = 3600
# What each encoding must get right, beyond what RFC 6749 allows in a secret.
SECRET = 's%cr+t:&=/ "#?~ü'

MATERIAL = pathlib.Path(sys.argv[1])
SCHEME = sys.argv[2]


def serve(application):
    """Serves the WSGI application that is made for the server's own URL."""
    # Nobody reads standard error while all is well.
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    identity = (str(MATERIAL / "server.crt"), str(MATERIAL / "server.key"))
    server = make_server("127.0.0.1", 0, None, ssl_context=identity if SCHEME == "https" else None)
    url = f"{SCHEME}://127.0.0.1:{server.server_port}"
    server.app = counting(application(url))
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    print(url, flush=True)
    server.serve_forever()


def end_with_standard_input():
    sys.stdin.read()
    os._exit(0)


def counting(application):
    posts = 0

    def counted(environ, start_response):
        nonlocal posts
        if environ["PATH_INFO"] == "/requests":
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(posts).encode()]
        posts += environ["REQUEST_METHOD"] == "POST"
        return application(environ, start_response)

    return counted
