"""Looks for traces of a JWT in the files below directories, in every encoding that a program may have written it in.

Takes the directories; the JWT is on standard input. Prints a JSON list of pairs: a file, and what it has. With
`--plant DIRECTORY` it writes a file with each encoding there instead, and prints their number.
"""

import base64
import bz2
import codecs
import gzip
import json
import lzma
import pathlib
import re
import sys
import zlib


def decoded(part):
    return base64.urlsafe_b64decode(part + "==")


def at_offsets(encode, group, digits, text):
    """What encodes the text wherever it begins within a group of bytes, without the digits that its neighbours change."""
    for offset in range(group):
        whole = encode(b"\0" * offset + text + b"\0" * group)
        first = -(-offset * digits // group)
        yield offset, whole[first : (offset + len(text)) * digits // group]


def encodings(jwt):
    """By name, the bytes that each encoding has; `wrapped` is not looked for in this form."""
    header, payload, signature = jwt.split(".")
    raw = jwt.encode()
    found = {
        "as it is": raw,
        "header and payload": f"{header}.{payload}".encode(),
        "payload": payload.encode(),
        "signature": signature.encode(),
        "claims": decoded(payload),
        "bytes of the signature": decoded(signature),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "hex of the signature": decoded(signature).hex().encode(),
        "hex with colons": raw.hex(":").encode(),
        "percent": "".join(f"%{byte:02x}" for byte in raw).encode(),
        "PERCENT": "".join(f"%{byte:02X}" for byte in raw).encode(),
        "quoted-printable": "".join(f"={byte:02X}" for byte in raw).encode(),
        "UTF-16, little-endian": jwt.encode("utf-16-le"),
        "UTF-16, big-endian": jwt.encode("utf-16-be"),
        "reversed": raw[::-1],
        "rot13": codecs.encode(jwt, "rot13").encode(),
        "JSON": "".join(f"\\u{byte:04x}" for byte in raw).encode(),
        "C": "".join(f"\\x{byte:02x}" for byte in raw).encode(),
        "XML": "".join(f"&#{byte};" for byte in raw).encode(),
        "numbers": ",".join(str(byte) for byte in raw).encode(),
        "base85": base64.b85encode(raw),
        "ascii85": base64.a85encode(raw),
    }
    for what, text in [("", raw), (" of the claims", decoded(payload)), (" of the signature", decoded(signature))]:
        for name, encode, group, digits in [
            ("base64", base64.b64encode, 3, 4),
            ("base64url", base64.urlsafe_b64encode, 3, 4),
            ("base32", base64.b32encode, 5, 8),
        ]:
            for offset, digit in at_offsets(encode, group, digits, text):
                found[f"{name}{what}, offset {offset}"] = digit
    return found


COMPRESSED = {"gzip": gzip.compress, "zlib": zlib.compress, "bzip2": bz2.compress, "xz": lzma.compress}


def expanded(content):
    """The content, without line ends too, and what is compressed in it."""
    yield content
    yield re.sub(rb"[\s\"',+]*\n[\s\"',+]*", b"", content)
    yield re.sub(rb",\s+", b",", content)
    for window in [15, 31, -15]:
        starts = {15: rb"\x78[\x01\x5e\x9c\xda]", 31: rb"\x1f\x8b", -15: rb"\A"}[window]
        for start in re.finditer(starts, content):
            try:
                yield zlib.decompressobj(window).decompress(content[start.start() :])
            except zlib.error:
                pass
    for magic, expander in [(b"BZh", bz2.BZ2Decompressor), (b"\xfd7zXZ", lzma.LZMADecompressor)]:
        for start in re.finditer(re.escape(magic), content):
            try:
                yield expander().decompress(content[start.start() :])
            except (OSError, lzma.LZMAError):
                pass


def plant(directory, jwt):
    raw = jwt.encode()
    planted = encodings(jwt) | {name: compress(raw) for name, compress in COMPRESSED.items()}
    planted["wrapped"] = b"\n".join(re.findall(rb".{1,64}", raw))
    planted["deflate"] = zlib.compress(raw)[2:-4]
    for number, content in enumerate(planted.values()):
        is_stream = content == planted["deflate"]
        (directory / str(number)).write_bytes(content if is_stream else b"before " + content + b" after")
    print(len(planted))


def search(directories, jwt):
    wanted = encodings(jwt)
    traces = []
    for directory in directories:
        for path in pathlib.Path(directory).rglob("*"):
            texts = [str(path).encode()]
            if path.is_file():
                texts += expanded(path.read_bytes())
            names = {name for text in texts for name, needle in wanted.items() if needle in text}
            traces += [[str(path), name] for name in sorted(names)]
    print(json.dumps(traces))


jwt = sys.stdin.read().strip()
if sys.argv[1] == "--plant":
    plant(pathlib.Path(sys.argv[2]), jwt)
else:
    search(sys.argv[1:], jwt)
