"""Makes sealing.json: a job, its result and a checkpoint, sealed by docs/wire-protocol.md section 7 and nothing else.

    python sealing.py      # needs pynacl; writes sealing.json beside itself

Another implementation of the sealing, from the document: who writes a client in another language can begin with it, and check it
against the bytes in sealing.json. Keys are fixed, so that the bytes are the same each time.
"""

import json
import pathlib
from hashlib import blake2b

from nacl import bindings
from nacl.signing import SigningKey


def hash(data, size=32, key=b""):
    return blake2b(data, digest_size=size, key=key).digest()


def little(value, count):
    return value.to_bytes(count, "little")


def protobuf(fields):
    """Fields by number: integers as varints, bytes with their length. Zeroes and empty bytes are left out."""

    def varint(value):
        out = b""
        while value > 127:
            out += bytes([value & 127 | 128])
            value >>= 7
        return out + bytes([value])

    out = b""
    for number, value in sorted(fields.items()):
        if isinstance(value, int):
            out += varint(number << 3) + varint(value) if value else b""
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value if value else b""
    return out


def bucket(length):
    if length <= 1024:
        return 1024
    exponent = length.bit_length() - 1
    kept = exponent.bit_length()
    step = 1 << (exponent - kept)
    return -(-length // step) * step


def layout(body, signature):
    plain = little(len(body), 4) + body + signature
    return plain + bytes(bucket(len(plain)) - len(plain))


def seal(secret, name, context, plaintext, associated):
    key = hash(f"collafuse-1 {name} encryption\0".encode() + context, key=secret)
    nonce_key = hash(f"collafuse-1 {name} nonce\0".encode() + context, key=secret)
    nonce = hash(hash(associated) + plaintext, 24, nonce_key)
    return nonce + bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, associated, nonce, key)


def kx(client_secret, client_key, pool_key):
    """The client's (receive, transmit) of crypto_kx."""
    shared = bindings.crypto_scalarmult(client_secret, pool_key)
    both = hash(shared + client_key + pool_key, 64)
    return both[:32], both[32:]


client, worker = SigningKey(bytes(range(32))), SigningKey(bytes(range(32, 64)))
ephemeral_secret, pool_secret = bytes(range(64, 96)), bytes(range(96, 128))
ephemeral, pool = (bindings.crypto_scalarmult_base(secret) for secret in (ephemeral_secret, pool_secret))
client_id, worker_id = (hash(bytes(key.verify_key), 16) for key in (client, worker))
job_id, run_id, broker_id = b"j" * 16, b"r" * 32, b"b" * 16
boot_epoch, attempt, step, version = 4, 2, 7, 9

# suite, client, job, generation, kind (DENOISE), run, ceiling, created, expires, pool key, ephemeral key
envelope = protobuf(
    {1: 1, 2: client_id, 3: job_id, 4: 1, 5: 2, 6: run_id, 7: 5_000_000, 8: 1_800_000_000_000, 9: 1_800_000_001_000,
     10: hash(pool, 16), 11: ephemeral}
)
tensors = bytes(range(256)) * 5
receive, transmit = kx(ephemeral_secret, ephemeral, pool)

job_body = protobuf({10: tensors})  # Payload: no head, 1,280 bytes in the place of safetensors
signature = client.sign(b"collafuse-1 job signature\0" + hash(envelope) + hash(job_body)).signature
job = seal(transmit, "job", envelope, layout(job_body, signature), envelope)

fence = protobuf({1: broker_id, 2: boot_epoch, 3: attempt})
header = protobuf({1: client_id, 2: job_id, 3: hash(envelope), 4: fence, 5: 1, 6: worker_id})
result_body = protobuf({10: tensors[:100]})
numbers = broker_id + little(boot_epoch, 8) + little(attempt, 4)
signature = worker.sign(
    b"collafuse-1 result signature\0" + hash(envelope) + numbers + little(1, 4) + hash(result_body)
).signature
result = seal(receive, "result", envelope, layout(result_body, signature), hash(envelope) + header)

associated = numbers + little(step, 4) + little(version, 8) + worker_id
signature = worker.sign(
    b"collafuse-1 checkpoint signature\0" + hash(envelope) + associated + hash(result_body)
).signature
checkpoint = seal(pool_secret, "checkpoint", hash(envelope), layout(result_body, signature), associated)

pathlib.Path(__file__).with_suffix(".json").write_text(
    json.dumps(
        {
            "client_seed": bytes(client).hex(), "worker_seed": bytes(worker).hex(),
            "ephemeral_secret": ephemeral_secret.hex(), "pool_secret": pool_secret.hex(),
            "envelope": envelope.hex(), "job_body": job_body.hex(), "job": job.hex(),
            "broker_id": broker_id.hex(), "boot_epoch": boot_epoch, "attempt": attempt,
            "result_header": header.hex(), "result_body": result_body.hex(), "result": result.hex(),
            "step": step, "model_version": version, "checkpoint": checkpoint.hex(),
        },
        indent=1,
    )
    + "\n"
)
