"""A runtime that is captured: before its function is known, and with it."""

import json
import os
import shutil
import tempfile

from java_case import JavaCase, Shared
from runtime_api import LINE, PATIENCE_S, PREFIX

SNAP_START = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}
BEFORE = ["constructed", "before third", "before second", "before first"]
AFTER = ["after first", "after second", "after third"]


class Prepared(JavaCase):
    def line(self):
        """What a runtime is given besides the Runtime API."""
        return ()

    def prepared(self, task=None):
        """A runtime that waits for its environment: it, and the call in which it waits."""
        environment = self.environment("")
        for name in list(environment):
            if name.startswith("AWS_LAMBDA_F") or name == "_HANDLER":
                del environment[name]
        runtime = self.start({**environment, "HEARTH_PREPARE": "1"}, task, line=self.line())
        return runtime, self.api.expect("GET", "/hearth/environment")

    def told(self, handler, **more):
        """The environment of a function, for a runtime that is there."""
        api = self.api
        environment = self.environment(handler, **more)
        self.api = api
        return {**environment, "AWS_LAMBDA_RUNTIME_API": api.address}

    def test_becomes_a_function_that_was_not_there_before(self):
        with tempfile.TemporaryDirectory() as task:
            runtime, waiting = self.prepared(task)
            shutil.copytree(Shared.task.name, task, dirs_exist_ok=True)
            wanted = self.told("example.Told::tell", COLOUR="blue é", EMPTY="")
            waiting.answer(200, json.dumps(wanted).encode())
            first = self.api.next()
            self.assertEqual(first.connection, waiting.connection, "the same process goes on")
            answer = json.loads(self.result('{"name":"COLOUR"}', waiting=first))
            self.assertEqual(answer["getenv"], wanted)
            self.assertEqual(answer["one"], "blue é")
            self.assertEqual(dict(l.split("=", 1) for l in answer["child"].splitlines()), wanted)
            self.assertEqual(runtime.text(), "")

    def test_starts_another_jvm_where_only_that_helps(self):
        runtime, waiting = self.prepared()
        wanted = self.told("example.Told::tell", JAVA_TOOL_OPTIONS="-Dasked=yes", QUOTES="it's\n\"$HOME\" \\")
        waiting.answer(200, json.dumps(wanted).encode())
        first = self.api.next()
        self.assertNotEqual(first.connection, waiting.connection)
        answer = json.loads(self.result('{"name":"QUOTES"}', waiting=first))
        self.assertEqual(answer["one"], wanted["QUOTES"])
        self.assertEqual(answer["property"], "yes")
        # The shell has told of itself.
        self.assertEqual({**wanted, "PWD": "/"}, {"PWD": "/", **answer["getenv"]})
        self.assertEqual(runtime.text(), "Picked up JAVA_TOOL_OPTIONS: -Dasked=yes\n")

    def test_a_function_that_cannot_be_loaded_is_told_after(self):
        runtime, waiting = self.prepared()
        waiting.answer(200, json.dumps(self.told("example.None")).encode())
        self.assertEqual(self.init_error()["errorType"], "java.lang.ClassNotFoundException")
        self.assertEqual(runtime.wait(PATIENCE_S), 1)

    def test_then_has_its_function_captured(self):
        runtime, waiting = self.prepared()
        waiting.answer(200, json.dumps(self.told("example.Hooked", **SNAP_START)).encode())
        restored = self.api.expect("GET", PREFIX + "restore/next")
        self.assertEqual(runtime.text().splitlines(), BEFORE[1:])
        restored.answer(200)
        self.assertEqual(json.loads(self.result("{}")), BEFORE + AFTER + ["handled"])


class PreparedOnALine(Prepared):
    def line(self):
        return self.api.line()

    def prepared(self, task=None):
        runtime, waiting = super().prepared(task)
        self.assertEqual(waiting.connection, LINE)
        return runtime, waiting

    def test_answers_of_all_sizes_and_errors(self):
        _, waiting = self.prepared()
        waiting.answer(200, json.dumps(self.told("example.Forms::string")).encode())
        for length in (0, 1, 8_000, 9_000, 300_000):
            event = json.dumps("é" * length).encode()
            self.assertEqual(json.loads(self.result(event)), "é" * length + "!")
        self.assertEqual(self.error(b"{").connection, LINE)
        self.assertEqual(self.result(b'"on"'), '"on!"')


class SnapStart(JavaCase):
    def test_hooks_run_in_order(self):
        self.function("example.Hooked", **SNAP_START)
        self.api.expect("GET", PREFIX + "restore/next").answer(200)
        self.assertEqual(json.loads(self.result("{}")), BEFORE + AFTER + ["handled"])

    def test_without_it_there_is_no_checkpoint(self):
        self.function("example.Hooked")
        self.assertEqual(json.loads(self.result("{}")), ["constructed", "handled"])

    def test_a_hook_that_fails_before(self):
        runtime = self.function("example.Hooked", FAILS="before second", **SNAP_START)
        error = self.init_error()
        self.assertEqual(error["errorType"], "org.crac.CheckpointException")
        self.assertEqual(error["cause"]["errorMessage"], "before second fails")
        self.assertEqual(runtime.wait(PATIENCE_S), 1)
        # The others were asked all the same.
        self.assertEqual(runtime.text().splitlines()[:3], BEFORE[1:])

    def test_a_hook_that_fails_after(self):
        runtime = self.function("example.Hooked", FAILS="after first", **SNAP_START)
        self.api.expect("GET", PREFIX + "restore/next").answer(200)
        call = self.api.expect("POST", PREFIX + "restore/error")
        call.answer()
        self.assertEqual(call.headers["Lambda-Runtime-Function-Error-Type"], "org.crac.RestoreException")
        self.assertEqual(call.json()["cause"]["errorMessage"], "after first fails")
        self.assertEqual(runtime.wait(PATIENCE_S), 1)

    def test_functions_may_bring_the_apis_themselves(self):
        # Theirs are not the runtime's, and would be told nothing.
        with tempfile.TemporaryDirectory() as task:
            shutil.copytree(Shared.task.name, task, dirs_exist_ok=True)
            shutil.copytree(Shared.api.name, task, dirs_exist_ok=True)
            self.assertTrue(os.path.exists(task + "/org/crac/Core.class"))
            self.start(self.environment("example.Hooked", **SNAP_START), task)
            self.api.expect("GET", PREFIX + "restore/next").answer(200)
            self.assertEqual(json.loads(self.result("{}")), BEFORE + AFTER + ["handled"])
