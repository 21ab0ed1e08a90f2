"""Code packages: one function that does as its event says, and hostile zips."""

import io
import random
import stat
import struct
import zipfile
import zlib

MIB = 1024 * 1024
ZIP_BYTES_MAX = 50 * MIB
UNZIPPED_BYTES_MAX = 250 * MIB

# Does what the event's "do" says, and always says which sandbox did it.
ACTOR = '''
import os, sys, time

calls = 0

def handler(event, context):
    global calls
    calls += 1
    what = event.get("do", "echo") if isinstance(event, dict) else "echo"
    if what == "raise":
        raise ValueError("raised as asked")
    if what == "exit":
        sys.stdout.flush()
        os._exit(event["status"])
    if what == "sleep":
        time.sleep(event["seconds"])
    if what == "log":
        print(event["line"])
    if what == "length":
        return len(event["text"])
    if what == "environment":
        return dict(os.environ)
    client = context.client_context
    return {
        "event": event,
        "edition": "EDITION",
        "calls": calls,
        "sandbox": context.log_stream_name,
        "request": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "remaining_ms": context.get_remaining_time_in_millis(),
        "custom": client and client.custom,
    }
'''


def add(archive, name: str, content: bytes | str, mode: int = stat.S_IFREG | 0o644):
    """One entry. `writestr` alone would make it 0600: unreadable to a function."""
    entry = zipfile.ZipInfo("placeholder")
    entry.filename = name  # the constructor would have cleaned it
    entry.create_system = 3
    entry.external_attr = mode << 16
    entry.compress_type = archive.compression
    archive.writestr(entry, content)


def zip_of(files: dict[str, bytes | str]) -> bytes:
    """An ordinary zip."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            add(archive, name, content)
    return out.getvalue()


def actor(edition: str = "1") -> bytes:
    """The function that does as it is told; `edition` tells updates apart."""
    return zip_of({"app.py": ACTOR.replace("EDITION", edition)})


def with_entry(name: str, content: bytes = b"x", mode: int = stat.S_IFREG | 0o644) -> bytes:
    """A working package with one more entry, named and typed as told."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        add(archive, "app.py", ACTOR)
        add(archive, name, content, mode)
    return out.getvalue()


def link(name: str, target: str) -> bytes:
    """A working package with a symlink."""
    return with_entry(name, target.encode(), stat.S_IFLNK | 0o777)


def zeros(total: int) -> bytes:
    """A small zip that unzips to exactly `total` bytes of almost nothing."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        add(archive, "app.py", ACTOR)
        left, n = total - len(ACTOR), 0
        while left > 0:
            piece = min(left, 64 * MIB)
            add(archive, f"zeros-{n}", bytes(piece))
            left, n = left - piece, n + 1
    return out.getvalue()


def incompressible(zip_bytes: int) -> bytes:
    """A zip that is exactly `zip_bytes` long."""
    def build(size):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
            add(archive, "app.py", ACTOR)
            add(archive, "noise", random.Random(1).randbytes(size))
        return out.getvalue()
    around = len(build(0))
    return build(zip_bytes - around)


def liar(claimed: int, real: int) -> bytes:
    """A zip whose headers claim `claimed` bytes for an entry that has `real`."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(bytes(real)) + deflate.flush()
    return raw_zip([(b"app.py", packed, zlib.crc32(bytes(real)), claimed)])


def overlapping(copies: int) -> bytes:
    """The trick of the denser zip bombs: many names for one and the same data."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = deflate.compress(bytes(MIB)) + deflate.flush()
    entry = (packed, zlib.crc32(bytes(MIB)), MIB)
    return raw_zip([(b"app.py", *entry)],
                   aliases=[b"%06d" % n for n in range(copies)])


def raw_zip(entries, aliases=()) -> bytes:
    """A zip written by hand: (name, deflated, crc, claimed size) each; every
    alias is one more directory entry that points at the first one's data."""
    out, directory = bytearray(), bytearray()

    def list_entry(name, packed, crc, size, offset):
        directory.extend(struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 0x31E, 20, 0, 8, 0, 0,
                                     crc, len(packed), size, len(name), 0, 0, 0, 0,
                                     (stat.S_IFREG | 0o644) << 16, offset))
        directory.extend(name)

    for name, packed, crc, size in entries:
        list_entry(name, packed, crc, size, len(out))
        out += struct.pack("<IHHHHHIIIHH", 0x04034B50, 20, 0, 8, 0, 0, crc, len(packed), size,
                           len(name), 0) + name + packed
    for alias in aliases:
        _, packed, crc, size = entries[0]
        list_entry(alias, packed, crc, size, 0)
    count, at = len(entries) + len(aliases), len(out)
    out += directory
    out += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(directory), at, 0)
    return bytes(out)
