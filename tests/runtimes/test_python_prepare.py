"""python3.13, started before its function is known."""

import unittest

import case
import guest

PREPARED = "'_hearth.prepare' in sys.modules"


class Prepare(case.Case):
    line = True
    runtime, variables, file = "python3.13", guest.PYTHON, "probe.py"
    probe = """
import os, sys, time
def handler(event, context):
    return {name: eval(expression) for name, expression in event.items()}
"""

    def test_becomes_the_function_it_is_told(self):
        runtime = self.become({"data": "of the function"}, MINE="ä=1")
        said = self.ask(
            runtime, env="{k: v for k, v in os.environ.items()}", pid="os.getpid()",
            file="open('data').read()", path="sys.path[:3]", prepared=PREPARED,
            sdk="'boto3' in sys.modules", text="'ä'",
            group="context.log_group_name")
        self.assertEqual(said["env"], self.environment)
        self.assertEqual((said["pid"], said["file"]), (runtime.process.pid, "of the function"))
        self.assertEqual((said["prepared"], said["sdk"]), (True, True))
        self.assertEqual(said["path"][0], "/var/task")
        self.assertEqual((said["text"], said["group"]), ("ä", "/aws/lambda/probe"))
        self.assertEqual(runtime.output(), "")
        # It goes on.
        self.assertEqual(self.ask(runtime, two="1 + 1"), {"two": 2})

    def test_takes_what_needs_no_restart(self):
        runtime = self.become({"lib/mine.py": "x = 7"}, TZ="Asia/Tokyo", LANGUAGE_CODE="ja",
                              PYTHONPATH="/var/task/lib", AWS_LAMBDA_LOG_FORMAT="JSON")
        said = self.ask(runtime, x="__import__('mine').x", zone="time.localtime(0).tm_hour",
                        log="__import__('logging').error('said')", prepared=PREPARED)
        self.assertEqual((said["x"], said["zone"], said["prepared"]), (7, 9, True))
        self.assertRegex(runtime.output(), r'^\{"timestamp": .*"message": "said"')

    def restarts(self, expression, value, **variables):
        runtime = self.become(**variables)
        said = self.ask(runtime, value=expression, pid="os.getpid()", prepared=PREPARED,
                        env="{k: v for k, v in os.environ.items()}")
        self.assertEqual(said["value"], value)
        self.assertEqual((said["pid"], said["prepared"]), (runtime.process.pid, False))
        self.assertEqual(said["env"], self.environment)

    def test_restarts_for_what_the_interpreter_read(self):
        self.restarts("sys.flags.optimize", 1, PYTHONOPTIMIZE="1")

    def test_restarts_for_what_the_loader_read(self):
        self.restarts("os.environ['LD_LIBRARY_PATH']", "/opt/lib", LD_LIBRARY_PATH="/opt/lib")

    def test_restarts_for_what_the_c_library_read(self):
        locale = "__import__('locale').setlocale(0)"
        self.restarts(locale, "C", LANG="POSIX", PYTHONCOERCECLOCALE="0")

    def owns(self, name, files, prepared):
        """A function that brings module `name` gets it, of a prepared runtime or anew."""
        runtime = self.become(files)
        said = self.ask(runtime, file=f"__import__('{name}').__file__", prepared=PREPARED)
        self.assertEqual(said, {"file": f"/var/task/{list(files)[0]}", "prepared": prepared})

    def test_leaves_the_function_its_own_sdk(self):
        self.owns("boto3", {"boto3/__init__.py": ""}, prepared=True)

    def test_leaves_the_function_its_own_part_of_the_sdk(self):
        self.owns("urllib3", {"urllib3/__init__.py": ""}, prepared=True)

    def test_leaves_the_function_its_own_certificates(self):
        runtime = self.become({"certifi.py": "def where(): return 'mine'"})
        where = "__import__('botocore.httpsession').httpsession.where()"
        said = self.ask(runtime, where=where, prepared=PREPARED)
        self.assertEqual(said, {"where": "mine", "prepared": True})

    def test_leaves_the_function_its_own_name_of_a_standard_module(self):
        self.owns("secrets", {"secrets.py": ""}, prepared=False)

    def test_takes_a_mere_directory_for_no_module(self):
        runtime = self.become({"email/template.txt": "", "json.txt": ""})
        said = self.ask(runtime, file="__import__('email').__file__", prepared=PREPARED)
        self.assertEqual(said, {"file": "/usr/lib/python3.13/email/__init__.py", "prepared": True})

    def test_does_as_ever_without(self):
        runtime = self.start_function(self.probe)
        said = self.ask(runtime, ours="[n for n in sys.modules if n.startswith('_hearth')]",
                        sdk="'boto3' in sys.modules")
        self.assertEqual(said, {"ours": [], "sdk": False})

    def test_ends_if_it_becomes_nothing(self):
        self.ends_if_it_becomes_nothing()


if __name__ == "__main__":
    unittest.main()
