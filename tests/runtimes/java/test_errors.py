"""What goes wrong is told as Lambda tells it, and what cannot go on ends."""

from java_case import JavaCase
from runtime_api import PATIENCE_S


class Errors(JavaCase):
    def test_an_exception(self):
        runtime = self.function("example.Fails::throwing")
        call = self.error('"x"')
        error = call.json()
        self.assertEqual(error["errorType"], "java.lang.IllegalStateException")
        self.assertEqual(error["errorMessage"], 'outer "x"')
        self.assertEqual(len(error["stackTrace"]), 1, error)
        self.assertRegex(error["stackTrace"][0], r"^example\.Fails\.throwing\(Fails\.java:\d+\)$")
        cause = error["cause"]
        self.assertEqual(cause["errorMessage"], "java.lang.IllegalArgumentException")
        self.assertRegex(cause["stackTrace"][0], r"^example\.Fails\.deeper\(Fails\.java:\d+\)$")
        self.assertEqual(
            call.headers["Lambda-Runtime-Function-Error-Type"], "java.lang.IllegalStateException")
        # It goes on, and the log has it too.
        self.api.next()
        self.assertIn('outer "x": java.lang.IllegalStateException\n', runtime.text())
        self.assertIn("Caused by: java.lang.IllegalArgumentException", runtime.text())

    def test_events_that_do_not_fit(self):
        self.function("example.Forms::bean")
        for event in ("[1]", '{"open":"many"}', "{", '{"inner":{"inner":7}}'):
            error = self.error(event).json()
            self.assertEqual(error["errorMessage"], "An error occurred during JSON parsing")
            self.assertEqual(error["errorType"], "java.lang.RuntimeException")
            self.assertTrue(error["cause"]["errorMessage"])
        self.assertIn('"open":1', self.result('{"open":1}'))

    def test_answers_that_cannot_be_written(self):
        self.function("example.Fails::unwritable")
        error = self.error('"x"').json()
        self.assertEqual(error["errorMessage"], "An error occurred during JSON serialization of response")

    def test_types_that_cannot_be_read_are_the_events_to_tell(self):
        self.function("example.Fails::unreadable")
        for _ in range(2):
            error = self.error('{"open":1}').json()
            self.assertEqual(error["errorMessage"], "An error occurred during JSON parsing")
            self.assertIn("onflicting setter", error["cause"]["cause"]["errorMessage"])

    def test_an_answer_that_is_refused_is_the_servers_to_tell(self):
        self.function("example.Forms::string")
        what, call = self.invoke('"x"')
        call.answer(413, b'{"errorType":"RequestEntityTooLarge"}')
        self.assertEqual(self.result('"y"'), '"y!"')

    def test_an_answer_that_the_server_cannot_take_ends_it(self):
        runtime = self.function("example.Forms::string")
        what, call = self.invoke('"x"')
        call.answer(500)
        self.assertEqual(runtime.wait(PATIENCE_S), 1)

    def test_stack_and_memory_run_out(self):
        for method, kind in (("recursing", "StackOverflowError"), ("hoarding", "OutOfMemoryError")):
            with self.subTest(method):
                runtime = self.function("example.Fails::" + method)
                error = self.error('"x"').json()
                self.assertEqual(error["errorType"], "java.lang." + kind)
                self.assertLessEqual(len(error["stackTrace"]), 256)
                self.assertEqual(runtime.wait(PATIENCE_S), 1)

    def test_a_function_may_exit(self):
        runtime = self.function("example.Fails::exits")
        waiting = self.api.next()
        waiting.answer(200, b'"x"', {"Lambda-Runtime-Aws-Request-Id": "r"})
        self.assertEqual(runtime.wait(PATIENCE_S), 5)
        self.assertEqual(runtime.text(), "leaving\n")

    def test_handlers_that_cannot_be_had(self):
        for handler, kind, message in (
                ("example.None", "java.lang.ClassNotFoundException", "Class not found: example.None"),
                ("example.Forms::none", "java.lang.NoSuchMethodException",
                 "No public method named none with appropriate method signature found on class example.Forms"),
                ("example.Forms", "java.lang.NoSuchMethodException",
                 "No public method named handleRequest with appropriate method signature found on class example.Forms"),
                ("example.Fails$Private", "java.lang.NoSuchMethodException",
                 "Class example.Fails$Private has no public zero-argument constructor"),
                ("example.Fails$Abstract", "java.lang.InstantiationException",
                 "Class example.Fails$Abstract cannot be instantiated: it is abstract"),
                ("example.Fails$Construct", "java.lang.IllegalStateException", "not today"),
                ("example.Fails$Initialise", "java.lang.ExceptionInInitializerError",
                 "java.lang.ExceptionInInitializerError"),
                ("", "java.lang.IllegalArgumentException", "the function names no handler")):
            with self.subTest(handler):
                runtime = self.function(handler)
                error = self.init_error()
                self.assertEqual((error["errorType"], error["errorMessage"]), (kind, message))
                self.assertEqual(runtime.wait(PATIENCE_S), 1)

    def test_the_runtimes_own_libraries_are_out_of_sight(self):
        runtime = self.function("com.fasterxml.jackson.databind.ObjectMapper::readTree")
        self.assertEqual(self.init_error()["errorType"], "java.lang.ClassNotFoundException")
        self.assertEqual(runtime.wait(PATIENCE_S), 1)
