#!/usr/bin/env python3
"""Makes masking.json: names, publication ids and key streams of Client/Release, computed by hashlib's BLAKE2b and a ChaCha20
written here from RFC 8439. Needs nothing but Python 3. Usage: python3 masking.py"""

import hashlib
import json
import struct
from pathlib import Path


def derive(key, *parts, size=32):
    return hashlib.blake2b(b"".join(parts), digest_size=size, key=key).digest()


def chacha20(key, blocks):
    """RFC 8439, section 2.3, with the zero nonce and counters from 0."""

    def rotate(value, bits):
        return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF

    def quarter(s, a, b, c, d):
        for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            s[x] = (s[x] + s[y]) & 0xFFFFFFFF
            s[z] = rotate(s[z] ^ s[x], bits)

    out = b""
    for counter in range(blocks):
        start = list(struct.unpack("<4I", b"expand 32-byte k")) + list(struct.unpack("<8I", key)) + [counter, 0, 0, 0]
        s = list(start)
        for _ in range(10):
            for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)):
                quarter(s, a, b, c, d)
            for a, b, c, d in ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                quarter(s, a, b, c, d)
        out += struct.pack("<16I", *((x + y) & 0xFFFFFFFF for x, y in zip(s, start)))
    return out


key = bytes(range(32))
image = [-1.0, -0.5, 0.0, 0.25, 0.5, 1.0]
shape = [1, 2, 3]
run = bytes(range(100, 132))
cut, mask = 500, 3

name = derive(
    derive(key, b"collafuse-1 image name\0"), struct.pack("<3I", *shape), struct.pack("<6f", *image), size=16
)
release = name + run + struct.pack("<II", cut, mask)
masks = derive(key, b"collafuse-1 mask\0")

golden = {
    "key": list(key),
    "image": image,
    "shape": shape,
    "run": run.hex(),
    "cut": cut,
    "mask": mask,
    "name": name.hex(),
    "publication": derive(derive(key, b"collafuse-1 publication id\0"), release, size=16).hex(),
    "stream": chacha20(derive(masks, release, struct.pack("<II", 0, 0)), 2)[:96].hex(),
    "forwardStream": chacha20(derive(masks, release, struct.pack("<II", 250, 1)), 2)[:96].hex(),
}
Path(__file__).with_name("masking.json").write_text(json.dumps(golden, indent=2) + "\n")
