"""What the tests of all runtimes begin with."""

import os
import unittest

import agent
import guest


class Case(unittest.TestCase):
    """A guest's root and a Runtime API."""

    maxDiff = None
    # Of the runtime: its layer, what its processes start with, the file that a
    # function is deployed as, and one that answers with the values of the
    # expressions in its event.
    runtime, variables, file, probe = None, {}, None, None
    # Whether a prepared one takes events from a line.
    line = False

    def setUp(self):
        self.root = self.enterContext(guest.Root(self.runtime))
        self.api = self.enterContext(agent.Api())

    def start(self, **variables):
        """A runtime, started as the agent starts it."""
        return self.enterContext(self.root.start(self.variables | variables))

    def start_function(self, code, variables=guest.FUNCTION):
        """A function's runtime, which knows it from the start."""
        self.root.deploy({self.file: code})
        return self.start(**variables)

    def prepared(self):
        """A runtime that waits for its function, and its request."""
        prepare = self.variables | {"HEARTH_PREPARE": "1"}
        if not self.line:
            runtime = self.enterContext(self.root.start(prepare))
        else:
            # As the agent's ends: what it reads first, and what the runtime reads.
            from_runtime, its_sink = os.pipe()
            its_source, to_runtime = os.pipe()
            runtime = self.enterContext(self.root.start(prepare, line=(its_source, its_sink)))
            self.api.serve_line(open(from_runtime, "rb"), open(to_runtime, "wb"))
        return runtime, self.api.expect(agent.ENVIRONMENT, runtime)

    def become(self, files=None, code=None, **variables):
        """A runtime that was prepared and then became a function."""
        runtime, waiting = self.prepared()
        self.assertEqual((waiting.method, runtime.output()), ("GET", ""))
        self.root.deploy({self.file: code or self.probe} | (files or {}))
        self.environment = self.variables | guest.FUNCTION | variables
        waiting.answer(200, self.environment)
        return runtime

    def ask(self, runtime, **expressions):
        """What the probe says."""
        return self.api.invoke(expressions, runtime)

    def ends_if_it_becomes_nothing(self):
        """Whatever is wrong with the answer."""
        for answer in [(500, b""), (200, b"{"), (200, b" " * 300_000)]:
            runtime, waiting = self.prepared()
            waiting.answer(*answer)
            self.assertEqual(runtime.exit_code(), 1)
            self.assertTrue(self.api.requests.empty())
