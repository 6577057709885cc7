#!/usr/bin/env python3
"""Makes the known answers of `core/src/peer/handshake/tests.rs` with another implementation of Noise.

    python3 -m venv /tmp/crosscheck
    /tmp/crosscheck/bin/pip install noiseprotocol
    /tmp/crosscheck/bin/python tests/crosscheck/peer.py core/src/peer/handshake/tests.rs

It uses the Python packages `noiseprotocol` (the handshake) and `cryptography` (the packets), follows the documents of
`core/src/wire/packet.rs` and `core/src/secure/packet.rs`, and shares no code with Toom. It reads the initiator's
datagram as the test has it, answers it, and ends with exit code 0 only if the test has that answer and those packets.
"""

import hashlib
import hmac
import re
import struct
import sys

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from noise.connection import Keypair, NoiseConnection

INITIATOR, RESPONDER, EPHEMERAL = b"\x01" * 32, b"\x02" * 32, b"\x0c" * 32
SHARED, CONTEXT = b"\x09" * 32, b"\x05" * 32
TOLD = b"\x07" * 40
INITIATOR_INDEX, RESPONDER_INDEX = bytes([1, 2, 3, 4]), bytes([5, 6, 7, 8])


def public(private):
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def expand(secret, label):
    return hmac.new(secret, label + b"\x01", hashlib.sha256).digest()


def mac(datagram):
    return hmac.new(expand(SHARED, b"toom handshake mac"), datagram, hashlib.sha256).digest()[:16]


def answer(question):
    """The responder's Noise message, and the secret of its first epoch."""
    prologue = b"toom peers \x01AESGCM" + CONTEXT
    prologue += public(INITIATOR) + INITIATOR_INDEX + public(RESPONDER) + RESPONDER_INDEX
    noise = NoiseConnection.from_name(b"Noise_KKpsk0_25519_AESGCM_BLAKE2s")
    noise.set_as_responder()
    noise.set_psks(psk=SHARED)
    noise.set_prologue(prologue)
    noise.set_keypair_from_private_bytes(Keypair.STATIC, RESPONDER)
    noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, public(INITIATOR))
    noise.set_keypair_from_private_bytes(Keypair.EPHEMERAL, EPHEMERAL)
    noise.start_handshake()
    assert noise.read_message(question) == b""
    message = bytes(noise.write_message(TOLD))
    return message, noise.noise_protocol.cipher_state_encrypt.k


def main():
    test = re.sub(r'[\s",]', "", open(sys.argv[1], encoding="utf-8").read())
    pinned = re.search(r"ephemeral=([0-9a-f]{64});.*?41\.\.57\]\)([0-9a-f]{32})", test)
    message, secret = answer(bytes.fromhex("".join(pinned.groups())))
    header = b"\xd9" + INITIATOR_INDEX + RESPONDER_INDEX
    expected = [(header + message).hex(), mac((header + message).ljust(1184, b"\0")).hex()]
    for epoch in range(2):
        number = struct.pack(">Q", 7 + epoch)
        header = bytes([0xD0 | epoch]) + INITIATOR_INDEX + number
        sealed = AESGCM(expand(secret, b"toom packet key")).encrypt(bytes(4) + number, b"hello", header)
        expected.append((header + sealed).hex())
        secret = expand(secret, b"toom packet next")
    for known in expected:
        print("found" if known in test else "MISSING", known)
    return 0 if all(known in test for known in expected) else 1


if __name__ == "__main__":
    sys.exit(main())
