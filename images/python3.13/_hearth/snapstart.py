"""What SnapStart asks of AWS's client, in as few steps as can be: whatever runs
between a clone's restore and its first event runs for the first time there.

A function with hooks for that is captured while it asks for its restore, as on
AWS. One without has nothing to do then: it is captured while it asks for its first event,
and all that is left to its clones is to be unique before they see that.
"""

from awslambdaric.lambda_runtime_client import LambdaRuntimeClient
from snapshot_restore_py import get_after_restore

from . import environment, unique

RESTORE_NEXT = "/2018-06-01/runtime/restore/next"


def prepare(api):
    """Has the client do so."""
    wait_for_event = LambdaRuntimeClient.wait_next_invocation

    def restore_next(client):
        if get_after_restore():
            environment.get(api, RESTORE_NEXT)
            unique.renew()
        else:
            LambdaRuntimeClient.wait_next_invocation = first_event

    def first_event(client):
        LambdaRuntimeClient.wait_next_invocation = wait_for_event
        event = wait_for_event(client)
        unique.renew()
        return event

    LambdaRuntimeClient.restore_next = restore_next
