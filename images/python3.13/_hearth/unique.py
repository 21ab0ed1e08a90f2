"""Makes this process unlike every other clone of the snapshot that it was
restored from: whatever remembers random numbers draws new ones. The kernel's
generator is new already, and what asks it each time (`os.urandom`, `secrets`,
`uuid4`) needs nothing.

Out of reach: generators that the function made itself, libraries with a
generator of their own, the seed of hashes. See docs/uniqueness.md.
"""

import os
import sys

SEED_BYTES = 32


def renew():
    """Does so for all that has been imported."""
    for name, renew_module in RENEWALS.items():
        module = sys.modules.get(name)
        if module is not None:
            renew_module(module)


def _random(random):
    random.seed()


def _openssl(ssl):
    """Reseeds OpenSSL's first generator; those that draw on it notice before
    they give out another byte."""
    ssl.RAND_add(os.urandom(SEED_BYTES), SEED_BYTES)


def _tempfile(tempfile):
    """Has the next name begin a new sequence."""
    tempfile._name_sequence = None


def _uuid(uuid):
    """From here on, `uuid1` names no hardware, which clones share, but a random
    node. The C library's version is left out: nothing makes it forget its clock
    sequence."""
    uuid._generate_time_safe = None
    uuid._last_timestamp = None
    multicast = 1 << 40
    uuid._node = int.from_bytes(os.urandom(6)) | multicast


def _sqlite(sqlite):
    """SQL's `random()`: asked for no bytes, SQLite seeds itself anew."""
    import ctypes

    ctypes.CDLL(sqlite.__file__).sqlite3_randomness(0, None)


def _numpy(numpy_random):
    """The generator behind `numpy.random.random` and the like."""
    try:
        numpy_random.seed()
    except TypeError:
        # The function put a generator of its own there.
        return


def _cryptography(binding):
    """The package `cryptography` brings an OpenSSL of its own."""
    ffi, lib = binding._openssl.ffi, binding._openssl.lib
    lib.RAND_add(ffi.from_buffer(os.urandom(SEED_BYTES)), SEED_BYTES, SEED_BYTES)


RENEWALS = {
    "random": _random,
    "_ssl": _openssl,
    "tempfile": _tempfile,
    "uuid": _uuid,
    "_sqlite3": _sqlite,
    "numpy.random": _numpy,
    "cryptography.hazmat.bindings._rust": _cryptography,
}
