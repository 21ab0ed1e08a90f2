"""Wherever Java keeps state that begins with something unpredictable, a copy of a
snapshot gets another. (That copies of a microVM differ is tested end to end.)"""

import tempfile

from java_case import HERE, PATIENCE_S, RUNTIME_SOURCES, JavaCase, Shared, compile_into

OPENED = ["java.lang", "java.net", "java.util", "java.util.concurrent", "sun.security.provider"]
PREDICTABLE = [
    "seeds of Random", "seeds of SplittableRandom", "Math.random", "shuffle", "ThreadLocalRandom",
    "ThreadLocalRandom of a new thread"]


class Uniqueness(JavaCase):
    def run_check(self, task, how):
        opens = " ".join("--add-opens=java.base/%s=ALL-UNNAMED" % p for p in OPENED)
        command = "exec /var/lang/bin/java %s -cp /var/task hearth.UniquenessCheck %s" % (opens, how)
        runtime = self.start({"PATH": "/usr/bin"}, task, ["/bin/sh", "-c", command])
        self.assertEqual(runtime.wait(PATIENCE_S), 0, runtime.text())
        return dict(line.split("\t") for line in runtime.text().splitlines())

    def test_all_that_was_the_same_differs(self):
        Shared.make()
        with tempfile.TemporaryDirectory() as task:
            compile_into(
                task, sorted((HERE / "inside").rglob("*.java")), "-sourcepath", RUNTIME_SOURCES,
                "-implicit:class")
            left, right = (self.run_check(task, "kept") for _ in range(2))
            for name in PREDICTABLE:
                self.assertEqual(left[name], right[name], name + " is not predictable: what is tested here?")
            self.assertEqual((left["bytes that were buffered"], left["names that were cached"]), ("true", "true"))

            runs = [self.run_check(task, "renewed") for _ in range(3)]
            for name in [*PREDICTABLE, "uuid", "bytes"]:
                self.assertEqual(len({run[name] for run in runs}), 3, name)
            for run in runs:
                self.assertEqual((run["bytes that were buffered"], run["names that were cached"]), ("false", "false"))
                self.assertEqual({run["provider"], run["strong"], run["native"]}, {"Hearth"})
