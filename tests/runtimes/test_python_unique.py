"""python3.13: what clones of one process draw."""

import json
import os
import pathlib
import subprocess
import unittest

import guest
import packages

CLONES = 8
SCRIPT = pathlib.Path(__file__).with_name("clones.py")


class Unique(unittest.TestCase):
    def draws(self, mode):
        """What each clone drew, by generator."""
        root = self.enterContext(guest.Root("python3.13"))
        root.deploy({"clones.py": SCRIPT.read_text()})
        root.layer(packages.installed())
        command = ["unshare", "--pid", "--fork", f"--root={root.path}", f"--wd={guest.HOME}"]
        command += ["/usr/bin/python3.13", "clones.py", str(CLONES), mode]
        done = subprocess.run(command, env=guest.PYTHON | {"PATH": os.environ["PATH"]},
                              stdout=subprocess.PIPE, timeout=guest.WAIT_S_MAX, check=True)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), CLONES)
        clones = [json.loads(line) for line in lines]
        return {name: [clone[name] for clone in clones] for name in clones[0]}

    def test_clones_draw_different_numbers(self):
        for name, drawn in self.draws("renew").items():
            self.assertEqual(len(set(drawn)), CLONES, f"{name}: {drawn}")

    def test_clones_draw_the_same_numbers_if_nothing_is_done(self):
        for name, drawn in self.draws("as-they-are").items():
            self.assertEqual(len(set(drawn)), 1, f"{name}: {drawn}")


if __name__ == "__main__":
    unittest.main()
