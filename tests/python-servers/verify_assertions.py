"""Verifies assertions with a library that is not hallpass's: joserfc.

Each line of standard input has a public key's PEM file, the algorithm to take, and a JWT. Each gives one line of JSON
with its header, its claims, and the length of its signature. A signature that does not hold ends it all.
"""

import base64
import json
import pathlib
import sys

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

KINDS = {"RS": RSAKey, "PS": RSAKey, "ES": ECKey, "Ed": OKPKey}

# The certificates of a header take more than the library's 512 bytes.
JWSRegistry.max_header_length = 8192

for line in sys.stdin:
    public, algorithm, assertion = line.split()
    key = KINDS[algorithm[:2]].import_key(pathlib.Path(public).read_bytes())
    token = jwt.decode(assertion, key, algorithms=[algorithm])
    signature = base64.urlsafe_b64decode(assertion.rpartition(".")[2] + "==")
    print(json.dumps({"header": token.header, "claims": token.claims, "signature_bytes": len(signature)}))
