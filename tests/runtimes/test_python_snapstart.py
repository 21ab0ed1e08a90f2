"""python3.13 around the snapshot of an initialised function."""

import unittest

import agent
import case
import guest

# Hooks note what they saw; `random` is seeded as every clone's would be.
PROBE = """
import random, uuid
from snapshot_restore_py import register_after_restore, register_before_snapshot
random.seed(1)
log = [f"init {random.random():.6f}", uuid.getnode()]
for name in ("one", "two"):
    register_before_snapshot(log.append, f"before {name}")
register_after_restore(lambda: log.append(f"after {random.random():.6f}"))
register_after_restore(log.append, "after two")
def handler(event, context):
    return log
"""
FAILING = """
from snapshot_restore_py import register_after_restore, register_before_snapshot
def fail():
    raise KeyError("mine")
register_{}(fail)
def handler(event, context):
    return None
"""
HOOKLESS = """
import random
random.seed(1)
first = random.random()
def handler(event, context):
    return [first, random.random()]
"""
THREADED = """
import random, threading, time
random.seed(1)
drawn = [random.random()]
def draw():
    # Until it is a clone's.
    while random.getstate() == begun:
        time.sleep(0.01)
    drawn.append(random.random())
begun = random.getstate()
thread = threading.Thread(target=draw, daemon=True)
thread.start()
def handler(event, context):
    thread.join()
    return drawn
"""
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"


class SnapStart(case.Case):
    line = True
    runtime, variables, file = "python3.13", guest.PYTHON, "probe.py"

    def is_unique_before_the_hooks(self, runtime):
        self.api.expect(agent.RESTORE_NEXT, runtime).answer(200)
        log = self.api.invoke({}, runtime)
        # What a generator says that was seeded with 1, first and second.
        same = ["init 0.134364", "after 0.847434"]
        self.assertEqual(log[0], same[0])
        self.assertEqual(log[2:4], ["before two", "before one"])
        self.assertRegex(log[4], r"^after 0\.\d+$")
        self.assertNotEqual(log[4], same[1])
        self.assertEqual(log[5:], ["after two"])
        self.assertEqual(runtime.output(), "")

    def test_is_unique_before_the_hooks(self):
        self.is_unique_before_the_hooks(self.start_function(PROBE, guest.SNAP_START))

    def test_is_unique_before_the_hooks_of_a_prepared_one(self):
        self.is_unique_before_the_hooks(self.become(code=PROBE, **guest.SNAP_START))

    def test_is_unique_before_its_first_event_without_hooks(self):
        runtime = self.become(code=HOOKLESS, **guest.SNAP_START)
        first, second = self.api.invoke({}, runtime)
        self.assertEqual(f"{first:.6f}", "0.134364")
        self.assertNotEqual(f"{second:.6f}", "0.847434")
        self.assertEqual(self.api.invoke({}, runtime)[0], first)

    def test_is_unique_before_its_threads_go_on_for_long(self):
        runtime = self.become(code=THREADED, **guest.SNAP_START)
        # It asks, so it hears of its restore before there is an event.
        self.api.expect(agent.RESTORE_NEXT, runtime).answer(200)
        first, second = self.api.invoke({}, runtime)
        self.assertEqual(f"{first:.6f}", "0.134364")
        self.assertNotEqual(f"{second:.6f}", "0.847434")

    def test_reports_a_failure_before_the_snapshot(self):
        runtime = self.start_function(FAILING.format("before_snapshot"), guest.SNAP_START)
        report = self.api.expect(agent.INIT_ERROR, runtime)
        report.answer(202)
        self.assertEqual(report.headers[ERROR_TYPE], "Runtime.BeforeSnapshotError")
        self.assertEqual(report.json()["errorType"], "KeyError")
        self.assertEqual(runtime.exit_code(), 64)

    def test_reports_a_failure_after_the_restore(self):
        runtime = self.start_function(FAILING.format("after_restore"), guest.SNAP_START)
        self.api.expect(agent.RESTORE_NEXT, runtime).answer(200)
        report = self.api.expect(agent.RESTORE_ERROR, runtime)
        report.answer(202)
        self.assertEqual(report.headers[ERROR_TYPE], "Runtime.AfterRestoreError")
        self.assertEqual(report.json()["errorMessage"], "'mine'")
        self.assertEqual(runtime.exit_code(), 65)


if __name__ == "__main__":
    unittest.main()
