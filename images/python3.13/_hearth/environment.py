"""The environment of the function that a prepared runtime becomes."""

import json
import os
import sys
import time

# What the interpreter or a library has read when it started, and will not read
# again: these, and all that begin so.
READ_AT_START = frozenset(
    (
        "AWS_LAMBDA_EXEC_WRAPPER",
        "AWS_LAMBDA_RUNTIME_API",
        "GLIBC_TUNABLES",
        "LANG",
        "LD_AUDIT",
        "LD_BIND_NOW",
        "LD_DEBUG",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "LOCPATH",
    )
)
BEGIN_LIKE_THOSE = ("LC_", "MALLOC_", "OPENSSL_", "PYTHON")
# Except this one, which the bootstrap reads once the function is known.
READ_LATER = "PYTHONPATH"


def wait(line):
    """The function's variables. Blocks until there is a function, which may be
    after days that this machine spends as a snapshot."""
    return json.loads(line.ask(b"environment"))


def needs_restart(started_with, variables):
    """Whether `variables` come too late for this process."""
    return any(
        _is_read_at_start(name) and started_with.get(name) != variables.get(name)
        for name in started_with.keys() | variables.keys()
    )


def _is_read_at_start(name):
    return name in READ_AT_START or (name.startswith(BEGIN_LIKE_THOSE) and name != READ_LATER)


def restart(variables):
    """Begins anew as the same process, the slow way and with no preparation."""
    program = sys.argv[0]
    os.execve(program, [program], variables)


def apply(variables):
    """Makes `variables` the whole environment."""
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
