"""The way of a runtime that is started before its function is known."""

import gc
import os
import sys

# All that is imported from here on, a function's own modules may not find
# imported already unless they would have found the same.
WITHOUT_PREPARATION = frozenset(sys.modules)

from . import client, environment, line, preload, rehearse, unique

# Where a runtime starts; the function's code is mounted there later.
HOME = "/var/task"


def become_a_function(search_path):
    """Does beforehand what every function needs, and returns as one function, with
    its line. `search_path` tells where its modules are looked for, once it is known."""
    started_with = dict(os.environ)
    api = started_with["AWS_LAMBDA_RUNTIME_API"]
    to_agent = line.from_environment(started_with)
    preload.load()
    rehearse.run(api)
    line.attach(to_agent)
    # Collections after the restore leave all this alone: to look at it would
    # fetch most pages of the snapshot.
    gc.collect()
    gc.freeze()

    # The snapshot is taken within.
    variables = environment.wait(to_agent)
    variables.setdefault("AWS_LAMBDA_RUNTIME_API", api)
    if environment.needs_restart(started_with, variables):
        environment.restart(variables)
    environment.apply(variables)
    unique.renew()
    # To what is mounted there now.
    os.chdir(HOME)
    if not preload.make_way(search_path(), WITHOUT_PREPARATION):
        environment.restart(variables)
    client.read_environment(variables)
    return to_agent
