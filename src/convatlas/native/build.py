"""C++ code of this package, built by the compiler at hand at its first use, and kept."""

import contextlib
import ctypes
import functools
import hashlib
import itertools
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from convatlas.errors import FileError, UserError
from convatlas.files import cache_folder, whole_file

COMPILERS = ("g++", "clang++", "c++")
_TARGET = "-mcpu=native" if platform.machine().lower() in ("arm64", "aarch64") else "-march=native"
FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", _TARGET, "-fPIC", "-shared")
FOLDER = Path(__file__).parent  # of code and headers that several libraries share
_SECONDS = 120  # to build in; it takes two
_DIGEST_BYTES = hashlib.sha256().digest_size


class BuildError(UserError, RuntimeError):
    """C++ code that can't be built here."""


def no_compiler() -> str:
    """Say which C++ compiler is not there; or nothing."""
    if _compiler():
        return ""
    named = os.environ.get("CXX")
    if named:
        return f"CXX names the C++ compiler {named!r}, which is not there"
    return f"there is no C++ compiler: none of {', '.join(COMPILERS)} is in PATH"


def versions(source: Path) -> dict[str, str]:
    """Give what a library depends on: the code, and the compiler where there is one."""
    compiler = _compiler()
    version = _version(tuple(compiler)) if compiler else "none"
    files = [source, *sorted(source.parent.glob("*.h")), *sorted(FOLDER.glob("*.h"))]
    code = hashlib.sha256(b"".join(file.read_bytes() for file in files))
    return {"code": code.hexdigest(), "compiler": version, "flags": " ".join(FLAGS)}


@functools.cache
def openmp() -> ctypes.c_void_p:
    """Give what runs work on the threads that torch has begun; null: torch has no OpenMP."""
    parallel = getattr(ctypes.CDLL(None), "GOMP_parallel", None)
    return ctypes.cast(parallel, ctypes.c_void_p) if parallel else ctypes.c_void_p()


def library(source: Path) -> ctypes.CDLL:
    """Load the library of a file of C++ code, and build it where it is not kept.

    It is kept in CONVATLAS_CACHE for this code, compiler and processor, with its own checksum at
    its end: a damaged one is built anew. Where nothing can be kept, it is built for this process.

    Raises:
        BuildError: There is no compiler, it fails, or what it made can't be loaded; one line.
    """
    reason = no_compiler()
    if reason:
        raise BuildError(reason)
    return _library(source, tuple(_compiler()))


def can_build(source: Path) -> bool:
    """Say whether the library of a file of C++ code is there, or can be built."""
    try:
        library(source)
    except BuildError:
        return False
    return True


@functools.lru_cache
def _library(source: Path, compiler: tuple[str, ...]) -> ctypes.CDLL:
    kept = cache_folder("native") / f"{source.stem}-{_key(source, compiler)}.so"
    if _is_whole(kept):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(str(kept))
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / f"{source.stem}.so"
        _build(compiler, source, built)
        with contextlib.suppress(FileError), whole_file(kept) as aside:
            code = built.read_bytes()
            aside.write_bytes(code + hashlib.sha256(code).digest())
        try:
            return ctypes.CDLL(str(built))  # stays mapped when the folder goes
        except OSError as error:
            raise BuildError(f"what {compiler[0]} built can't be loaded: {error}") from error


def _build(compiler: tuple[str, ...], code: Path, built: Path) -> None:
    command = [*compiler, *FLAGS, f"-I{FOLDER}", str(code), "-o", str(built)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, errors="replace", check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{compiler[0]} can't build {code.name}: {error}") from error
    if done.returncode != 0 or not built.is_file():
        lines = [line for line in done.stderr.splitlines() if "error" in line] or ["no message"]
        raise BuildError(f"{compiler[0]} can't build {code.name}: {lines[0].strip()}")


def _compiler() -> list[str]:
    """Give the command of the compiler that CXX names, or the first that is in PATH."""
    named = shlex.split(os.environ.get("CXX", ""))
    for command in [named] if named else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    return []


@functools.lru_cache
def _version(compiler: tuple[str, ...]) -> str:
    command = [*compiler, "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.partition("\n")[0]


def _key(source: Path, compiler: tuple[str, ...]) -> str:
    facts = [*compiler, *versions(source).values(), _processor()]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _processor() -> str:
    """Give the model and the instructions of the processor, as Linux lists them."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        first = itertools.takewhile(bool, lines)  # of the cores, which are alike
        words = ("flags", "features", "model", "cpu")
        return "\n".join(
            line for line in first if line.lower().startswith(words) and "MHz" not in line
        )
    return platform.processor()


def _is_whole(kept: Path) -> bool:
    """Say whether a kept library is there and is what was written: a torn one ends the process."""
    try:
        code = kept.read_bytes()
    except OSError:
        return False
    return hashlib.sha256(code[:-_DIGEST_BYTES]).digest() == code[-_DIGEST_BYTES:]
