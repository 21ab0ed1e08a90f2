"""What SnapStart asks of AWS's client, in as few steps as can be: whatever runs
between a clone's restore and its first event runs for the first time there.

A function with hooks for that, or with threads of its own, is captured while it asks for
its restore, as on AWS. One without has nothing to do then: it is captured while it asks for
its first event, and all that is left to its clones is to be unique before they see that.
"""

import os

from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
from snapshot_restore_py import get_after_restore

from . import unique


def prepare(line):
    """Has the client do so. Without a line, in a process that began anew, it asks the
    Runtime API as ever."""
    ask_runtime_api = LambdaRuntimeClient.restore_next

    def restore_next(client):
        if line is None:
            ask_runtime_api(client)
        elif get_after_restore() or len(os.listdir("/proc/self/task")) > 1:
            line.ask(b"restore")
        else:
            line.before_event = unique.renew
            return
        unique.renew()

    LambdaRuntimeClient.restore_next = restore_next
