"""nodejs22.x, started before its function is known."""

import unittest

import case
import guest

PREPARED = "'/var/runtime/_hearth/prepare.js' in require.cache"


class Prepare(case.Case):
    runtime, variables, file = "nodejs22.x", guest.NODE, "probe.js"
    probe = """
exports.handler = async (event, context) =>
  Object.fromEntries(Object.entries(event).map(([name, text]) => [name, eval(text)]));
"""

    def test_becomes_the_function_it_is_told(self):
        runtime = self.become({"data": "of the function"}, MINE="ä=1")
        said = self.ask(
            runtime, env="({...process.env})", pid="process.pid", prepared=PREPARED,
            file="require('fs').readFileSync('data').toString()", text="'ä'",
            group="context.logGroupName", listeners="process.listenerCount('beforeExit')")
        # Which the client leaves behind in the first invoke, prepared or not.
        said["env"].pop("_X_AMZN_TRACE_ID", None)
        self.assertEqual(said["env"], self.environment)
        self.assertEqual((said["pid"], said["file"]), (runtime.process.pid, "of the function"))
        self.assertEqual((said["text"], said["group"]), ("ä", "/aws/lambda/probe"))
        self.assertEqual((said["prepared"], said["listeners"]), (True, 1))
        self.assertEqual(runtime.output(), "")
        # It goes on.
        self.assertEqual(self.ask(runtime, two="1 + 1"), {"two": 2})

    def test_logs_as_the_function_is_set(self):
        runtime = self.become(AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="WARN")
        self.ask(runtime, info="console.info('not said')", warn="console.warn('said')")
        self.assertRegex(runtime.output(), r'^\{"timestamp":[^\n]*"message":"said"\}\n$')

    def test_logs_once(self):
        runtime = self.become()
        self.ask(runtime, said="console.log('said')")
        self.assertRegex(runtime.output(), r"^\S+Z\trequest-1\tINFO\tsaid\n$")

    def test_takes_what_needs_no_restart(self):
        runtime = self.become(
            {"lib/mine.js": "exports.x = 7"}, TZ="Asia/Tokyo", NODE_ENV="production",
            NODE_PATH="/var/task/lib")
        said = self.ask(runtime, x="require('mine').x", zone="new Date(0).getHours()",
                        env="process.env.NODE_ENV", prepared=PREPARED)
        self.assertEqual(said, {"x": 7, "zone": 9, "env": "production", "prepared": True})

    def restarts(self, expression, value, **variables):
        runtime = self.become(**variables)
        said = self.ask(runtime, value=expression, pid="process.pid", prepared=PREPARED,
                        env="({...process.env})")
        said["env"].pop("_X_AMZN_TRACE_ID", None)
        self.assertEqual(said["value"], value)
        self.assertEqual((said["pid"], said["prepared"]), (runtime.process.pid, False))
        self.assertEqual(said["env"], self.environment)
        self.assertEqual(runtime.output(), "")

    def test_restarts_for_what_node_read(self):
        self.restarts("process.execArgv.length + Number(process.noDeprecation)", 2,
                      NODE_OPTIONS="--no-deprecation")

    def test_restarts_for_what_a_library_read(self):
        self.restarts("process.env.UV_THREADPOOL_SIZE", "1", UV_THREADPOOL_SIZE="1")

    def test_reports_what_ends_the_initialisation(self):
        runtime = self.become(code="throw new RangeError('mine')")
        report = self.api.expect("/2018-06-01/runtime/init/error", runtime)
        self.assertIn("mine", report.json()["errorMessage"])
        report.answer(202)
        self.assertEqual(runtime.exit_code(), 128)

    def test_does_as_ever_without(self):
        runtime = self.start_function(self.probe)
        said = self.ask(runtime, random="Math.random.toString()",
                        ours="Object.keys(require.cache).filter(n => n.includes('_hearth'))")
        self.assertEqual(said, {"ours": [], "random": "function random() { [native code] }"})

    def test_ends_if_it_becomes_nothing(self):
        self.ends_if_it_becomes_nothing()


if __name__ == "__main__":
    unittest.main()
