"""A guest's file system, out of the images that guests boot from, and a runtime's
process in it, as the agent would start it.
"""

import atexit
import contextlib
import fcntl
import functools
import json
import os
import pathlib
import socket
import struct
import subprocess
import tempfile
import time

# The user and group that functions run as.
FUNCTION_ID = 993
BOOTSTRAP = "/var/runtime/bootstrap"
HOME = "/var/task"
# On a machine that does much else at the time.
WAIT_S_MAX = 60
# What the agent gives every runtime, known function or not.
COMMON = {
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "LAMBDA_TASK_ROOT": HOME,
    "LANG": "en_US.UTF-8",
    "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:"
                       "/var/task:/var/task/lib:/opt/lib",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "TZ": ":UTC",
}
PYTHON = COMMON | {
    "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
    "PYTHONPATH": "/var/runtime",
}
NODE = COMMON | {
    "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs22.x",
    "NODE_PATH": "/opt/nodejs/node22/node_modules:/opt/nodejs/node_modules:"
                 "/var/runtime/node_modules:/var/runtime:/var/task",
}
# What only a known function's runtime is given.
FUNCTION = {
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_FUNCTION_NAME": "probe",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/probe",
    "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
    "AWS_REGION": "local",
    "_HANDLER": "probe.handler",
}
SNAP_START = FUNCTION | {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}


def loopback_up():
    """Brings up the loopback device of this network namespace."""
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, get_flags, request))[1]
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", flags | up))


def image(step: str) -> pathlib.Path:
    """The image of a layer: of several, the one that a build has named last."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    cache = pathlib.Path(os.environ.get("HEARTH_IMAGE_CACHE") or f"{cache}/hearth")
    made = json.loads((cache / "index-2.json").read_text())["made"].values()
    names = [m["images"]["image"] for m in made if m["step"] == step]
    paths = [cache / "images" / f"{name['digest']}.{name['suffix']}" for name in names]
    assert paths, f"no image of {step} in {cache}: cargo xtask build"
    return max(paths, key=lambda path: path.stat().st_mtime_ns)


def mount(*arguments):
    """mount(8). Ends with the namespace at the latest."""
    subprocess.run(["mount", *map(str, arguments)], check=True)


def unmount(directory):
    """Unmounts a directory, with all that is mounted in it, and removes it."""
    subprocess.run(["umount", "--recursive", "--lazy", directory], check=True)
    os.rmdir(directory)


@functools.cache
def layers(runtime: str) -> str:
    """The directories of the runtime's layers, the uppermost first."""
    directories = []
    for step in (runtime, "os"):
        directory = tempfile.mkdtemp(prefix="hearth-layer-")
        mount("-t", "erofs", "-o", "ro,loop", image(step), directory)
        atexit.register(unmount, directory)
        directories.append(directory)
    return ":".join(directories)


class Root:
    """A guest's root directory; a context."""

    def __init__(self, runtime: str):
        self.runtime = runtime

    def __enter__(self):
        self._home = pathlib.Path(tempfile.mkdtemp(prefix="hearth-root-"))
        mount("-t", "tmpfs", "-o", "mode=755", "none", self._home)
        for name in ("upper", "work", "root", "code"):
            (self._home / name).mkdir()
        self.path = self._home / "root"
        mount("-t", "overlay", "-o", f"lowerdir={layers(self.runtime)},"
              f"upperdir={self._home}/upper,workdir={self._home}/work", "none", self.path)
        for name in ("proc", "dev"):
            mount("--rbind", f"/{name}", self.path / name)
        for name in ("tmp", "run"):
            mount("-t", "tmpfs", "none", self.path / name)
        (self.path / "run/hosts").write_text("127.0.0.1 localhost\n")
        return self

    def __exit__(self, *_):
        unmount(self._home)

    def deploy(self, files: dict[str, str]):
        """Mounts a function's code, as it is when its sandbox gets an identity."""
        for name, text in files.items():
            path = self._home / "code" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        mount("--bind", self._home / "code", f"{self.path}{HOME}")

    def layer(self, packages: pathlib.Path):
        """Mounts a layer of Python packages."""
        (self.path / "opt/python").mkdir()
        mount("--bind", packages, self.path / "opt/python")

    def command(self, arguments: list[str], user=None, **options) -> subprocess.Popen:
        """Starts a program of the guest."""
        def enter():
            os.chroot(self.path)
            os.chdir(HOME)
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
        return subprocess.Popen(arguments, preexec_fn=enter, stdin=subprocess.DEVNULL, **options)

    @contextlib.contextmanager
    def start(self, environment: dict[str, str], program=BOOTSTRAP, line=()):
        """Starts the runtime's bootstrap, with its ends of a line, and ends it."""
        if line:
            environment = environment | {"HEARTH_LINE": ",".join(map(str, line))}
        with tempfile.TemporaryFile() as output:
            process = self.command([program], user=FUNCTION_ID, env=environment, pass_fds=line,
                                   stdout=output, stderr=subprocess.STDOUT)
            for end in line:
                os.close(end)
            started = Started(process, output)
            try:
                yield started
            except BaseException:
                print(f"--- the runtime's output\n{started.output()}\n---")
                raise
            finally:
                process.kill()
                process.wait()


class Started:
    """A runtime that runs."""

    def __init__(self, process: subprocess.Popen, output):
        self.process, self._output = process, output

    def output(self) -> str:
        """All that it has written."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode()

    def exit_code(self) -> int:
        """How it ends."""
        return self.process.wait(WAIT_S_MAX)


def eventually(condition, what: str):
    """Waits until `condition()` is truthy and returns what it returned."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not (met := condition()):
        assert time.monotonic() < deadline, f"not within {WAIT_S_MAX} s: {what}"
        time.sleep(0.02)
    return met
