"""One real `hearth up` for the whole run: where the binary is, how it is
started, what a client needs to reach it, and what must be gone when it stops.
"""

import atexit
import configparser
import ctypes
import dataclasses
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
REGION = "local"
# The first start on a machine builds the guest images; later ones take seconds.
START_S_MAX = float(os.environ.get("HEARTH_START_S_MAX", "1800"))
# Running invokes may finish first; the server bounds that wait itself.
STOP_S_MAX = 60
# With none running.
STOP_IDLE_S_MAX = 20
# One `hearth` or `aws` command, cold boots on a busy machine included.
COMMAND_S_MAX = 120
# Thousands of idle connections need as many descriptors here.
DESCRIPTORS = 16_384
PR_SET_CHILD_SUBREAPER = 36


@dataclasses.dataclass(frozen=True)
class Credentials:
    """An access key, and whose it is."""

    access_key: str
    secret_key: str
    account: str = ""


def binary() -> pathlib.Path:
    """HEARTH_BIN, else the newest kind of build that is there."""
    named = os.environ.get("HEARTH_BIN")
    candidates = [pathlib.Path(named)] if named else [
        REPO / "target/release/hearth",
        REPO / "target/debug/hearth",
    ]
    for candidate in candidates:
        if candidate.is_file():
            return candidate.resolve()
    raise AssertionError(f"no hearth binary: looked for {', '.join(map(str, candidates))}")


def image_cache() -> str:
    """HEARTH_IMAGE_CACHE, else where `hearth up` itself would look."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("HEARTH_IMAGE_CACHE") or os.path.join(cache, "hearth")


def eventually(condition, what: str, seconds: float = 30, interval: float = 0.05):
    """Waits until `condition()` is truthy and returns what it returned."""
    deadline = time.monotonic() + seconds
    while not (met := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(interval)
    return met


class Server:
    """A running `hearth up` on a data directory of its own."""

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="hearth-clients-"))
        self.data_dir = self.home / "data"
        self.log_path = self.home / "output"
        self._accounts = 0
        self._become_reaper()
        self._log = open(self.log_path, "wb")
        self.process = subprocess.Popen(
            [binary(), "up", "--data-dir", self.data_dir, "--listen", "127.0.0.1:0",
             "--image-cache", image_cache()],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT,
            env=clean_environment(), start_new_session=True)
        try:
            self.endpoint = eventually(self._announced, "`listening on http://…`", START_S_MAX)
            self.credentials = self._first_key()
        except BaseException:
            self.kill()
            raise
        host, port = self.endpoint.removeprefix("http://").split(":")
        self.address = (host, int(port))

    @staticmethod
    def _become_reaper():
        """Whatever outlives the server becomes our child, so `stop` can see it."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, most), most))

    def output(self) -> str:
        """All that the server has printed so far, or had when it stopped."""
        if self.log_path.exists():
            return self.log_path.read_text(errors="replace")
        return self._last_output

    def _announced(self):
        if self.process.poll() is not None:
            raise AssertionError(
                f"hearth up exited with {self.process.returncode}:\n{self.output()}")
        found = re.search(r"listening on (http://[0-9.]+:[0-9]+)", self.output())
        return found and found[1]

    def _first_key(self) -> Credentials:
        path = self.data_dir / "credentials"
        mode = path.stat().st_mode & 0o777
        assert mode == 0o600, f"{path} has mode {mode:o}"
        file = configparser.ConfigParser()
        file.read(path)
        key = Credentials(file["default"]["aws_access_key_id"],
                          file["default"]["aws_secret_access_key"])
        listed = json.loads(hearth("accounts", "list", "--data-dir", self.data_dir,
                                   "--output", "json").stdout)
        owner = next(a for a in listed if key.access_key in a["access_key_ids"])
        return dataclasses.replace(key, account=owner["account"])

    def new_account(self) -> Credentials:
        """Another account, made as an operator makes one."""
        self._accounts += 1
        made = hearth("accounts", "create", f"test-{self._accounts}", "--data-dir",
                      self.data_dir, "--output", "json")
        return read_key(made.stdout)

    def rotate_key(self, account: str) -> Credentials:
        """A new key for `account`; the older ones end."""
        made = hearth("accounts", "rotate-key", account, "--data-dir", self.data_dir,
                      "--output", "json")
        return read_key(made.stdout)

    def stored_files(self) -> set[str]:
        """Every file of the space where packages are judged. What the object store has of
        one is not to be told from the layers that are made meanwhile; control's own tests
        look there."""
        control = self.data_dir / "control"
        return {str(path.relative_to(control)) for path in control.rglob("*") if path.is_file()}

    def memory_peak_bytes(self) -> int:
        """The most memory that the server itself has held."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024

    def descriptors(self) -> int:
        """How many file descriptors the server holds."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self):
        """SIGTERM, then: a clean exit, no orphan process, no mount left. Clients
        that are silent, or in the middle of a request, do not hold it up."""
        silent = socket.create_connection(self.address)
        halfway = socket.create_connection(self.address)
        halfway.sendall(b"GET / HTTP/1.1\r\nHost: ")
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"SIGTERM: still there after {STOP_S_MAX} s") from None
        took = time.monotonic() - started
        silent.close(), halfway.close()
        orphans, mounts = self._kill_orphans(), self._mounts()
        kept = [str(p) for p in self.data_dir.glob("*.sock")]
        self._close()
        assert code == 0, f"SIGTERM: exit code {code}"
        assert took < STOP_IDLE_S_MAX, f"SIGTERM: took {took:.0f} s with nothing to finish"
        assert not orphans, f"processes outlived the server: {orphans}"
        assert not mounts, f"mounts outlived the server: {mounts}"
        assert not kept, f"sockets outlived the server: {kept}"

    def kill(self):
        """Ends it all, at once and without a word."""
        self.process.kill()
        self.process.wait()
        self._kill_orphans()
        self._close()

    def _kill_orphans(self) -> list[str]:
        """Kills and names the processes that became our children."""
        found = []
        children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
        while pids := [int(pid) for pid in children.read_text().split()]:
            for pid in pids:
                command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
                if command:  # else it is dead already and only waits to be reaped
                    found.append(command.replace(b"\0", b" ").decode(errors="replace")[:200])
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return found

    def _mounts(self) -> list[str]:
        lines = pathlib.Path("/proc/self/mounts").read_text().splitlines()
        return [line for line in lines if str(self.home) in line]

    def _close(self):
        self._last_output = self.output()
        self._log.close()
        shutil.rmtree(self.home, ignore_errors=True)


def read_key(text: str) -> Credentials:
    """A key as `hearth accounts … --output json` prints it."""
    key = json.loads(text)
    return Credentials(key["access_key_id"], key["secret_access_key"], key["account"])


def clean_environment() -> dict[str, str]:
    """This process's environment without what would steer an AWS client."""
    return {k: v for k, v in os.environ.items()
            if not k.startswith("AWS_") and not k.lower().endswith("_proxy")}


def client_environment(credentials_file=None, endpoint=None) -> dict[str, str]:
    """What a user exports to reach this server."""
    return clean_environment() | {
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials_file or server().data_dir / "credentials"),
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_ENDPOINT_URL": endpoint or server().endpoint,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
        "AWS_PAGER": "",
    }


def hearth(*arguments, code: int | None = 0, stdin: bytes | None = None, env=None):
    """Runs one `hearth` command to its end and checks its exit code."""
    done = subprocess.run(
        [binary(), *map(str, arguments)], input=stdin, capture_output=True,
        timeout=COMMAND_S_MAX, env=env or clean_environment(),
        stdin=subprocess.DEVNULL if stdin is None else None)
    done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
    if code is not None and done.returncode != code:
        raise AssertionError(f"hearth {' '.join(map(str, arguments))}: exit code "
                             f"{done.returncode}, not {code}\n{done.stdout}{done.stderr}")
    return done


_starting = threading.Lock()


@functools.cache
def _start() -> Server:
    started = Server()
    atexit.register(lambda: started.process.poll() is None and started.kill())
    return started


def server() -> Server:
    """The run's server; the first call starts it."""
    with _starting:
        return _start()


@functools.cache
def other_account() -> Credentials:
    """A second account that all tests share."""
    return server().new_account()
