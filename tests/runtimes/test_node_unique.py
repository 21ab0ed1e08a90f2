"""nodejs22.x: what clones of one process draw, and the generator that is ours."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import guest

CLONES = 8
HERE = pathlib.Path(__file__).resolve().parent
# A clone has the thread that it was made in, and no other.
NODE = ["/var/lang/bin/node", "--single-threaded"]
# Of a million numbers: their mean, the share of each tenth, and of each of the
# lowest bits that are set.
STATISTICS = """
const random = require("/var/runtime/_hearth/random.js");
random.install();
const count = 1e6, tenths = Array(10).fill(0);
let sum = 0, low = 0;
for (let i = 0; i < count; i++) {
  const x = Math.random();
  if (!(x >= 0 && x < 1)) throw x;
  sum += x;
  low += x * 2 ** 53 % 2;
  tenths[Math.floor(x * 10)]++;
}
console.log(JSON.stringify([sum, low, ...tenths.map(n => n * 5)].map(n => n / count)));
"""
HEAP = """
const native = require("/var/runtime/_hearth/native.node"), v8 = require("v8");
const limit = () => v8.getHeapStatistics().heap_size_limit / 2 ** 20;
const said = [limit()];
native.limitHeap(100 * 2 ** 20);
said.push(limit());
native.limitHeap(400 * 2 ** 20);
const kept = [];
while (v8.getHeapStatistics().used_heap_size < 300 * 2 ** 20) kept.push(Array(1e5).fill(kept.length + 0.5));
console.log(JSON.stringify(said));
"""


class Unique(unittest.TestCase):
    def setUp(self):
        self.root = self.enterContext(guest.Root("nodejs22.x"))

    def run_in_guest(self, *arguments):
        """What a program of the guest prints, a value a line."""
        command = ["unshare", "--pid", "--fork", f"--root={self.root.path}", f"--wd={guest.HOME}"]
        done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, check=True,
                              env=guest.NODE | {"PATH": os.environ["PATH"]},
                              timeout=guest.WAIT_S_MAX)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def draws(self, mode):
        """What each clone drew, by generator."""
        self.root.deploy({"clones.js": (HERE / "clones.js").read_text()})
        with tempfile.TemporaryDirectory() as directory:
            addon = f"{directory}/clone.node"
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", addon, HERE / "clone.c"],
                           check=True)
            shutil.copy(addon, self.root.path / "var/task")
        clones = self.run_in_guest(*NODE, "clones.js", str(CLONES), mode)
        self.assertEqual(len(clones), CLONES)
        return {name: [clone[name] for clone in clones] for name in clones[0]}

    def test_clones_draw_different_numbers(self):
        for name, drawn in self.draws("renew").items():
            self.assertEqual(len(set(drawn)), CLONES, f"{name}: {drawn}")

    def test_clones_draw_the_same_numbers_if_nothing_is_done(self):
        for name, drawn in self.draws("as-they-are").items():
            self.assertEqual(len(set(drawn)), 1, f"{name}: {drawn}")

    def test_numbers_are_spread_evenly(self):
        [shares] = self.run_in_guest(NODE[0], "-e", STATISTICS)
        # All are 0.5, give or take a sixth of this for one standard deviation.
        for share in shares:
            self.assertAlmostEqual(share, 0.5, delta=0.01)

    def test_the_heap_is_limited_anew(self):
        [[first, lowered]] = self.run_in_guest(NODE[0], "--max-old-space-size=200", "-e", HEAP)
        self.assertEqual(first - lowered, 100)


if __name__ == "__main__":
    unittest.main()
