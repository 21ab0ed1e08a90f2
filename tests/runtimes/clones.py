"""Run by the image's interpreter, as the first process of its namespace: draws random
numbers, then makes clones of itself that have the same memory and the same process id,
as those of a snapshot have. Each prints what it draws.

usage: clones.py COUNT renew|as-they-are
"""

import ctypes
import json
import os
import random
import signal
import sqlite3
import ssl
import sys
import tempfile
import uuid

sys.path += ["/var/runtime", "/opt/python"]
import numpy.random
from _hearth import unique
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

SYS_CLONE, CLONE_NEWPID = 56, 0x20000000


def client_hello():
    """The random part and the session id of a TLS greeting."""
    out = ssl.MemoryBIO()
    connection = CONTEXT.wrap_bio(ssl.MemoryBIO(), out)
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        hello = out.read()
    return hello[11:43].hex(), hello[44:76].hex()


def draw():
    """One value of each generator that can be made unique."""
    hello_random, session = client_hello()
    return {
        "random": random.random(),
        "RAND_bytes": ssl.RAND_bytes(16).hex(),
        "hello random": hello_random,
        "hello session": session,
        "tempfile": os.path.basename(tempfile.mktemp()),
        "uuid1 node": str(uuid.uuid1().node),
        "getnode": uuid.getnode(),
        "sqlite": DATABASE.execute("SELECT random()").fetchone()[0],
        "numpy": numpy.random.random(),
        "cryptography": X25519PrivateKey.generate().private_bytes_raw().hex(),
    }


def clone():
    """A fork that no library gets to know of: even the process id is the same."""
    return ctypes.PyDLL(None).syscall(SYS_CLONE, CLONE_NEWPID | signal.SIGCHLD, 0, 0, 0, 0)


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname = False
DATABASE = sqlite3.connect(":memory:")

count, mode = int(sys.argv[1]), sys.argv[2]
assert os.getpid() == 1
draw()
for _ in range(count):
    child = clone()
    if child == 0:
        assert os.getpid() == 1
        if mode == "renew":
            unique.renew()
        print(json.dumps(draw()), flush=True)
        os._exit(0)
    if child < 0 or os.waitpid(child, 0)[1] != 0:
        raise SystemExit("a clone failed")
