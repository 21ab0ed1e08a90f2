"""nodejs22.x around the snapshot of an initialised function."""

import unittest

import agent
import case
import guest

PROBE = """
const crypto = require("crypto");
const log = ["init"];
// What is drawn in advance here must not be what a clone gets.
crypto.randomUUID(), crypto.randomInt(9);
process.on("beforeSnapshot", async () => { await null; log.push("before one"); });
process.on("beforeSnapshot", () => log.push("before two"));
process.on("afterRestore", async () => { await null; log.push("after one"); });
process.on("afterRestore", () => log.push("after two"));
exports.handler = async () => log;
"""
FAILING = """
process.on("{}", async () => {{ throw new RangeError("mine"); }});
exports.handler = async () => null;
"""
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"


class SnapStart(case.Case):
    runtime, variables, file = "nodejs22.x", guest.NODE, "probe.js"

    def runs_the_hooks(self, runtime):
        self.api.expect(agent.RESTORE_NEXT, runtime).answer(200)
        log = ["init", "before two", "before one", "after one", "after two"]
        self.assertEqual(self.api.invoke({}, runtime), log)
        # Once.
        self.assertEqual(self.api.invoke({}, runtime), log)
        self.assertEqual(runtime.output(), "")

    def test_runs_the_hooks(self):
        self.runs_the_hooks(self.start_function(PROBE, guest.SNAP_START))

    def test_runs_the_hooks_of_a_prepared_one(self):
        self.runs_the_hooks(self.become(code=PROBE, **guest.SNAP_START))

    def test_runs_the_hooks_with_the_client_of_old(self):
        client = {"AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1": "true"}
        self.runs_the_hooks(self.start_function(PROBE, guest.SNAP_START | client))

    def test_asks_for_nothing_before_the_restore(self):
        runtime = self.start_function(PROBE, guest.SNAP_START)
        waiting = self.api.expect(agent.RESTORE_NEXT, runtime)
        self.assertTrue(self.api.requests.empty())
        waiting.answer(200)
        self.api.expect(agent.NEXT, runtime)

    def reports(self, event, path, error_type, exit_code):
        runtime = self.start_function(FAILING.format(event), guest.SNAP_START)
        if event == "afterRestore":
            self.api.expect(agent.RESTORE_NEXT, runtime).answer(200)
        report = self.api.expect(path, runtime)
        report.answer(202)
        self.assertEqual(report.headers[ERROR_TYPE], error_type)
        said = report.json()
        self.assertEqual((said["errorType"], said["errorMessage"]), ("RangeError", "mine"))
        self.assertEqual(said["trace"][0], "RangeError: mine")
        self.assertEqual(runtime.exit_code(), exit_code)
        self.assertIn("RangeError: mine", runtime.output())

    def test_reports_a_failure_before_the_snapshot(self):
        self.reports("beforeSnapshot", agent.INIT_ERROR, "Runtime.BeforeSnapshotError", 64)

    def test_reports_a_failure_after_the_restore(self):
        self.reports("afterRestore", agent.RESTORE_ERROR, "Runtime.AfterRestoreError", 65)


if __name__ == "__main__":
    unittest.main()
