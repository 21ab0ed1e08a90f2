"""What the tests share: one image and one compiled set of functions."""

import atexit
import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import guest
from runtime_api import PATIENCE_S, PREFIX, RuntimeApi

HERE = Path(__file__).parent
RUNTIME_SOURCES = HERE.parents[2] / "images/java21/src"
#: Of those, what functions are compiled against.
API = ["com/amazonaws/services/lambda/runtime", "org/crac", "jdk/crac"]
#: Both the host's Java and the guest's understand it.
RELEASE = "17"
ARN = "arn:aws:lambda:eu-west-1:000000000000:function:f:7"


class Shared:
    """Made by the first test that needs it."""

    root = task = api = None

    @classmethod
    def make(cls):
        if cls.root is not None:
            return
        cls.task = tempfile.TemporaryDirectory(prefix="hearth-java-task-")
        cls.api = tempfile.TemporaryDirectory(prefix="hearth-java-api-")
        api = [f for part in API for f in sorted((RUNTIME_SOURCES / part).rglob("*.java"))]
        compile_into(cls.api.name, api, "-sourcepath", RUNTIME_SOURCES, "-implicit:class")
        functions = sorted((HERE / "functions").rglob("*.java"))
        compile_into(cls.task.name, functions, "-classpath", cls.api.name)
        # Another root than the built image's is for trying a change out.
        cls.root = os.environ.get("HEARTH_TEST_ROOT")
        if cls.root is None:
            image = guest.Image(guest.layers(os.environ["HEARTH_BIN"]))
            atexit.register(image.close)
            cls.root = image.root


def compile_into(directory, sources, *options):
    """Compiles Java."""
    compiler = ["javac", "--release", RELEASE, "-encoding", "UTF-8", "-nowarn"]
    subprocess.run([*compiler, "-d", directory, *options, *sources], check=True)


class JavaCase(unittest.TestCase):
    """A test of a function."""

    maxDiff = None

    def setUp(self):
        Shared.make()
        self.count = 0

    def environment(self, handler, **more):
        """Of a new runtime, which has a Runtime API to itself."""
        self.api = RuntimeApi()
        self.addCleanup(self.api.close)
        return {
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_FUNCTION_NAME": "f",
            "AWS_LAMBDA_FUNCTION_VERSION": "7", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f",
            "AWS_LAMBDA_LOG_STREAM_NAME": "stream", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "LAMBDA_TASK_ROOT": "/var/task", "LANG": "en_US.UTF-8", "TZ": ":UTC",
            "PATH": "/var/lang/bin:/usr/bin:/bin", "AWS_LAMBDA_RUNTIME_API": self.api.address,
            "_HANDLER": handler, **more}

    def start(self, environment, task=None, *program, **more):
        task = task or Shared.task.name
        runtime = guest.Runtime(Shared.root, task, environment, *program, **more)
        self.addCleanup(runtime.kill)
        return runtime

    def function(self, handler, **more):
        return self.start(self.environment(handler, **more))

    def invoke(self, event, headers=(), waiting=None):
        """Gives the runtime an event; its answer, as it arrived."""
        self.count += 1
        identity = "request-%d" % self.count
        body = event if isinstance(event, bytes) else event.encode()
        deadline = str(int(time.time() * 1000) + 30_000)
        (waiting or self.api.next()).answer(200, body, {
            "Lambda-Runtime-Aws-Request-Id": identity, "Lambda-Runtime-Deadline-Ms": deadline,
            "Lambda-Runtime-Invoked-Function-Arn": ARN, **dict(headers)})
        call = self.api.calls.get(timeout=PATIENCE_S)
        self.assertEqual(call.method, "POST")
        kind, _, what = call.path.removeprefix(PREFIX + "invocation/").partition("/")
        self.assertEqual(kind, identity)
        return what, call

    def result(self, event, **more):
        """The body of an answer that is no error."""
        what, call = self.invoke(event, **more)
        self.assertEqual(what, "response", call.body)
        call.answer()
        return call.body.decode()

    def error(self, event):
        what, call = self.invoke(event)
        self.assertEqual(what, "error", call.body)
        call.answer()
        return call

    def init_error(self):
        call = self.api.expect("POST", PREFIX + "init/error")
        call.answer()
        self.assertEqual(call.headers["Lambda-Runtime-Function-Error-Type"], call.json()["errorType"])
        return call.json()
