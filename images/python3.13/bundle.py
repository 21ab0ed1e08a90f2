"""Packs the compiled code of every module that starting the client imports
into one file: a guest reads one file much faster than fifty.

usage: bundle.py ROOT TARGET, run by the image's own interpreter.
"""

import importlib.util
import marshal
import sys

PYC_HEADER_BYTES = 16

root, target = sys.argv[1:]
before = set(sys.modules)
library = root + "/usr/lib/python3.13"
sys.path[:] = [library, library + "/lib-dynload", root + "/var/runtime"]

import awslambdaric.__main__
import awslambdaric.lambda_literals

bundle = {}
for name in sorted(set(sys.modules) - before):
    spec = sys.modules[name].__spec__
    if spec is None or not spec.has_location or not spec.origin.endswith(".py"):
        continue
    with open(importlib.util.cache_from_source(spec.origin), "rb") as file:
        code = file.read()[PYC_HEADER_BYTES:]
    is_package = spec.submodule_search_locations is not None
    bundle[name] = (spec.origin.removeprefix(root), is_package, code)

with open(target, "wb") as file:
    marshal.dump(bundle, file)
