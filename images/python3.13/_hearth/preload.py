"""What is imported before the function is known."""

import importlib
import os
import sys
from importlib.machinery import PathFinder

# Imported by many functions, slow to import in an emulated guest, small.
STANDARD = (
    "argparse",
    "asyncio",
    "base64",
    "collections.abc",
    "concurrent.futures.thread",
    "contextlib",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "email.message",
    "enum",
    "functools",
    "gzip",
    "hashlib",
    "hmac",
    "http.client",
    "io",
    "itertools",
    "json",
    "logging",
    "os",
    "pathlib",
    "random",
    "re",
    "secrets",
    "shutil",
    "ssl",
    "string",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "traceback",
    "typing",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "zipfile",
    "zoneinfo",
)
# AWS's SDK: a third of a second, or seconds emulated; 10 MB, most of which a
# function that has no use for it never touches.
SDK = ("boto3", "boto3.s3.transfer", "botocore.httpsession", "botocore.parsers")
SDK_PACKAGES = frozenset(
    ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
)
# Not in the image, but if the function has one, the SDK imports it.
SDK_OPTIONS = frozenset(
    ("awscrt", "backports", "brotli", "brotlicffi", "certifi", "h2", "socks", "zstandard")
)


def load():
    """Imports all of it."""
    for name in STANDARD + SDK:
        importlib.import_module(name)


def make_way(search_path, kept):
    """Takes back what would stand before modules of the function's own: its
    own SDK, say. False if that cannot be done in this process. Modules in
    `kept` stand before the function's in any case."""
    loaded = {_package(name) for name in sys.modules.keys() - kept}
    own = _own(search_path, loaded | SDK_OPTIONS)
    if own & (SDK_PACKAGES | SDK_OPTIONS):
        for name in [n for n in sys.modules if _package(n) in SDK_PACKAGES]:
            del sys.modules[name]
    return not own - SDK_PACKAGES - SDK_OPTIONS


def _package(name):
    return name.partition(".")[0]


def _own(search_path, wanted):
    """Those of `wanted` that are found on `search_path`. Listing it tells most
    functions from the rest, at a fraction of the time."""
    candidates = set()
    for directory in search_path:
        try:
            candidates.update(_package(name) for name in os.listdir(directory))
        except FileNotFoundError:
            continue
        except OSError:
            # An archive, or something else that only Python's finders can read.
            candidates = wanted
            break
    found = set()
    for name in wanted & candidates:
        spec = PathFinder.find_spec(name, search_path)
        # Without an origin it is a mere directory, which stands before nothing.
        if spec is not None and spec.origin is not None:
            found.add(name)
    return found
