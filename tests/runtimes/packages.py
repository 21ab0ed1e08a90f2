"""The packages that some functions bring along, for the image's interpreter rather
than for the one that runs the tests.
"""

import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
TARGET = HERE.parents[1] / "target"
VENV, PACKAGES = TARGET / "runtimes-venv", TARGET / "runtimes-packages"
# Says which requirements they are.
MARK = PACKAGES / "requirements.txt"


def installed() -> pathlib.Path:
    """Where they are, once installed."""
    assert is_current(), "tests/runtimes/run --install"
    return PACKAGES


def is_current() -> bool:
    return MARK.exists() and MARK.read_bytes() == REQUIREMENTS.read_bytes()


def install():
    """Fetches them, unless they are there."""
    if is_current():
        return
    python = VENV / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    shutil.rmtree(PACKAGES, ignore_errors=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:",
         "--ignore-requires-python",
         "--implementation=cp", "--python-version=3.13", "--platform=manylinux2014_x86_64",
         "--platform=manylinux_2_28_x86_64", f"--target={PACKAGES}", "-r", REQUIREMENTS],
        check=True)
    shutil.copyfile(REQUIREMENTS, MARK)
