#!/usr/bin/env python3
"""Speaks Toom's control protocol with another implementation of Noise, to a real server and to a real client.

    python3 -m venv /tmp/crosscheck
    /tmp/crosscheck/bin/pip install noiseprotocol msgpack
    cargo build
    /tmp/crosscheck/bin/python tests/crosscheck/tcp.py target/debug/toom

It uses the Python packages `noiseprotocol` (handshakes) and `cryptography` (records), follows SECURITY.md, and shares
no code with Toom. It ends with exit code 0 only if both directions work with both ciphers on both runtimes.
"""

import base64
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

import msgpack
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from noise.connection import Keypair, NoiseConnection

VERSION = 2
SUITES = {1: ("AESGCM", AESGCM), 2: ("ChaChaPoly", ChaCha20Poly1305)}


def preamble(chosen, offered=3):
    return b"TOOM" + bytes([VERSION, offered, chosen, 0])


def text_of(key):
    """A key as Toom writes it: base 32 without padding, in lower case."""
    return base64.b32encode(key).decode().rstrip("=").lower()


class Records:
    """One direction of sealed records."""

    def __init__(self, suite, key):
        self.cipher, self.big_endian, self.number = SUITES[suite][1](key), suite == 1, 0

    def nonce(self):
        counter = struct.pack(">Q" if self.big_endian else "<Q", self.number)
        self.number += 1
        return bytes(4) + counter

    def seal(self, payload):
        header = struct.pack(">H", len(payload) + 16)
        return header + self.cipher.encrypt(self.nonce(), payload, header)

    def open(self, header, sealed):
        return self.cipher.decrypt(self.nonce(), sealed, header)


def read_exactly(stream, count):
    data = b""
    while len(data) < count:
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError(f"the other end closed after {len(data)} of {count} bytes")
        data += piece
    return data


def read_message(stream, records):
    header = read_exactly(stream, 2)
    length = struct.unpack(">H", header)[0]
    frame = records.open(header, read_exactly(stream, length))
    assert struct.unpack(">I", frame[:4])[0] == len(frame) - 4, "one frame in this record"
    return msgpack.unpackb(frame[4:], strict_map_key=False)


def write_message(stream, records, message):
    body = msgpack.packb(message)
    stream.sendall(records.seal(struct.pack(">I", len(body)) + body))


def noise(suite, secret, initiator, prologue):
    connection = NoiseConnection.from_name(f"Noise_XX_25519_{SUITES[suite][0]}_BLAKE2s".encode())
    connection.set_as_initiator() if initiator else connection.set_as_responder()
    connection.set_keypair_from_private_bytes(Keypair.STATIC, secret)
    connection.set_prologue(prologue)
    connection.start_handshake()
    return connection


def keys(connection):
    """What this end seals with, and what it opens with."""
    state = connection.noise_protocol
    ours, theirs = state.cipher_state_encrypt.k, state.cipher_state_decrypt.k
    return ours, theirs


def log_in(address, suite, password):
    """Another client, our server: the key that the server proved, and what it answered."""
    host, port = address.rsplit(":", 1)
    stream = socket.create_connection((host, int(port)), timeout=20)
    # With one cipher offered it is known which one the server will choose, and so is the prologue.
    hello, expected = preamble(suite, offered=suite), preamble(suite)
    connection = noise(suite, os.urandom(32), True, hello + expected)
    stream.sendall(hello + bytes(connection.write_message()))
    assert read_exactly(stream, 8) == expected
    connection.read_message(read_exactly(stream, 96))
    server_key = connection.noise_protocol.handshake_state.rs.public_bytes
    stream.sendall(bytes(connection.write_message()))
    ours, theirs = keys(connection)
    sealing, opening = Records(suite, ours), Records(suite, theirs)
    write_message(stream, sealing, [1, {"Login": ["yoda", password, 9]}])
    return server_key, read_message(stream, opening)


def be_a_server(listener, suite, secret, heard):
    """Their client, our server: says which key the client has, and what its first frame is."""
    stream, _ = listener.accept()
    stream.settimeout(20)
    hello = read_exactly(stream, 8)
    answer = preamble(suite)
    connection = noise(suite, secret, False, hello + answer)
    connection.read_message(read_exactly(stream, 32))
    stream.sendall(answer + bytes(connection.write_message()))
    handshake = connection.noise_protocol.handshake_state
    try:
        connection.read_message(read_exactly(stream, 64))
    except EOFError:
        # A first meeting ends here, before the client shows its key.
        heard.append(None)
        return
    device = handshake.rs.public_bytes
    ours, theirs = keys(connection)
    request = read_message(stream, Records(suite, theirs))
    heard.append((device, request))
    write_message(stream, Records(suite, ours), {"Reply": [request[0], {"LoginFailed": {"Blocked": [5000]}}]})
    stream.close()


def public(secret):
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def check_our_server(toom, runtime, folder):
    password = os.path.join(folder, "password")
    with open(password, "w") as file:
        file.write("yoda use-the-force\n")
    command = [toom, "--runtime", runtime, "server", "--json", "--listen", "127.0.0.1:0", "--credentials", password]
    command += ["--data", os.path.join(folder, "data")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        listening = json.loads(server.stdout.readline())
        for suite in SUITES:
            key, reply = log_in(listening["address"], suite, "use-the-force" if suite == 1 else "wrong")
            assert text_of(key) == listening["key"], (text_of(key), listening)
            wanted = "Welcome" if suite == 1 else "LoginFailed"
            assert list(reply) == ["Reply"] and list(reply["Reply"][1]) == [wanted], reply
            print(f"{runtime}: a client of another implementation was told {wanted}, by {SUITES[suite][0]}")
    finally:
        server.kill()
        server.wait()


def check_our_client(toom, runtime, folder):
    password = os.path.join(folder, "secret")
    with open(password, "w") as file:
        file.write("use-the-force\n")
    for suite in SUITES:
        secret, heard = os.urandom(32), []
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        serving = threading.Thread(target=lambda: [be_a_server(listener, suite, secret, heard) for _ in range(2)])
        serving.start()
        command = [toom, "--runtime", runtime, "client", address, "--user", "yoda", "--password-file", password]
        environment = dict(os.environ, XDG_DATA_HOME=os.path.join(folder, f"home{suite}"))
        done = subprocess.run(command + ["--json", "--trust", "new"], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        serving.join(60)
        assert done.returncode == 3, done
        assert heard[0] is None, "the first meeting only learns the key"
        device, request = heard[1]
        with open(os.path.join(environment["XDG_DATA_HOME"], "toom/client/device_key")) as file:
            written = file.read().strip().upper()
        assert device == public(base64.b32decode(written + "=" * (-len(written) % 8)))
        assert request[1]["Login"][:2] == ["yoda", "use-the-force"], request
        with open(os.path.join(environment["XDG_DATA_HOME"], "toom/client/known_servers")) as file:
            assert file.read() == f"{address} {text_of(public(secret))}\n"
        print(f"{runtime}: the client spoke with a server of another implementation, by {SUITES[suite][0]}")


def main():
    toom = os.path.abspath(sys.argv[1])
    for runtime in ["smol", "std"]:
        with tempfile.TemporaryDirectory() as folder:
            check_our_server(toom, runtime, folder)
            check_our_client(toom, runtime, folder)
    print("all right")


main()
