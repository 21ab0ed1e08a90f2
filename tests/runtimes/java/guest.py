"""The runtime's layer over the OS layer, entered as a guest would run it: one root
directory, the function at /var/task, and nothing of the host's but a few devices
and its loopback, where the Runtime API of the test is."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

#: More output than any function of the tests prints.
OUTPUT_BYTES_MAX = 1 << 20
ENTER = """
set -e
root=$1 task=$2; shift 2
mount -t tmpfs none "$root/dev"
for name in null urandom random; do : > "$root/dev/$name"; mount --bind "/dev/$name" "$root/dev/$name"; done
mount -t proc none "$root/proc"
mount -t tmpfs none "$root/tmp"
mount --bind "$task" "$root/var/task"
exec chroot "$root" /usr/bin/env -i "$@"
"""


class Image:
    """The root directory, mounted until closed. The mounts are this process's own:
    it must have a mount namespace to itself."""

    def __init__(self, layers):
        self.directory = Path(tempfile.mkdtemp(prefix="hearth-java-"))
        self.mounted = []
        lower = []
        for number, layer in enumerate(layers):
            at = self.directory / str(number)
            self.mount("-t", "erofs", "-o", "ro", layer, at)
            lower.append(str(at))
        self.root = self.directory / "root"
        self.mount("-t", "overlay", "-o", "ro,lowerdir=" + ":".join(lower), "none", self.root)

    def mount(self, *arguments):
        os.makedirs(arguments[-1])
        subprocess.run(["mount", *arguments], check=True)
        self.mounted.append(arguments[-1])

    def close(self):
        for path in reversed(self.mounted):
            subprocess.run(["umount", path], check=True)
        shutil.rmtree(self.directory)


def layers(hearth):
    """The images that a runtime of Java runs on, topmost first."""
    built = subprocess.run(
        [hearth, "images", "build", "--runtime", "java21", "--output", "json"],
        check=True, stdout=subprocess.PIPE)
    paths = {image["name"]: image["path"] for image in json.loads(built.stdout)}
    return [paths["java21"], paths["os"]]


class Runtime:
    """A runtime's process, or another program's in its place."""

    def __init__(self, root, task, environment, program=("/var/runtime/bootstrap",), line=()):
        if line:
            environment = {**environment, "HEARTH_LINE": "%d,%d" % line}
        variables = ["%s=%s" % pair for pair in environment.items()]
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child",
             "sh", "-c", ENTER, "enter", root, task, *variables, *program],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            pass_fds=line)
        for end in line:
            os.close(end)
        self.output = b""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while chunk := self.process.stdout.read1():
            if len(self.output) < OUTPUT_BYTES_MAX:
                self.output += chunk

    def text(self):
        return self.output.decode()

    def wait(self, timeout):
        """Its exit status, when all of its output is here."""
        status = self.process.wait(timeout)
        self.reader.join(timeout)
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
