"""Building C++ code: what is kept, and what goes wrong."""

import functools
import stat

import pytest

from convatlas.engines import native_build as of_engines
from convatlas.engines.engine import EngineError
from convatlas.engines.native_build import library, no_compiler, versions
from convatlas.native import build as native_build


@pytest.fixture(autouse=True)
def unloaded(monkeypatch):
    """Each test builds or loads anew; other tests keep what they have."""
    if no_compiler():
        pytest.skip(no_compiler())
    anew = functools.lru_cache(native_build._library.__wrapped__)
    monkeypatch.setattr(native_build, "_library", anew)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A library that is built in no time."""
    code = tmp_path / "small.cpp"
    code.write_text('extern "C" int answer() { return 42; }')
    monkeypatch.setattr(of_engines, "source", lambda _: code)
    return code


def kept(cache):
    return list((cache / "native").glob("small-*.so"))


def test_it_is_built_once_and_kept(small, cache):
    assert library("small").answer() == 42
    (file,) = kept(cache)
    written = file.stat().st_mtime_ns
    native_build._library.cache_clear()
    assert library("small").answer() == 42
    assert file.stat().st_mtime_ns == written


def test_other_code_is_another_library(small, cache):
    library("small")
    before = versions("small")["code"]
    small.write_text('extern "C" int answer() { return 43; }')
    assert versions("small")["code"] != before
    native_build._library.cache_clear()
    assert library("small").answer() == 43
    assert len(kept(cache)) == 2


@pytest.mark.parametrize("damage", [lambda code: code[:1000], lambda _: b"", lambda c: c[::-1]])
def test_a_damaged_library_is_built_anew(small, cache, damage):
    library("small")
    (file,) = kept(cache)
    file.write_bytes(damage(file.read_bytes()))
    native_build._library.cache_clear()
    assert library("small").answer() == 42
    assert native_build._is_whole(file)


def test_a_cache_that_is_a_file_only_costs_time(small, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONVATLAS_CACHE", str(tmp_path / "file"))
    assert library("small").answer() == 42


def test_no_compiler(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert no_compiler() == "there is no C++ compiler: none of g++, clang++, c++ is in PATH"
    with pytest.raises(EngineError, match="there is no C\\+\\+ compiler"):
        library("small")
    monkeypatch.setenv("CXX", "icpx -fast")
    assert no_compiler() == "CXX names the C++ compiler 'icpx -fast', which is not there"
    assert versions("winograd")["compiler"] == "none"


def compiler_that(folder, script: str) -> str:
    file = folder / "compiler"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (
            "echo 'note: x'; echo 'winograd.cpp:3: error: no such thing' >&2; exit 1",
            "no such thing",
        ),
        ("exit 0", "no message"),  # and nothing written
        (
            '[ "$1" = --version ] && exit; for f; do :; done; echo no library > "$f"',
            "can't be loaded",
        ),
    ],
)
def test_a_compiler_that_fails_says_why_in_one_line(small, tmp_path, monkeypatch, script, reason):
    monkeypatch.setenv("CXX", compiler_that(tmp_path, script))
    with pytest.raises(EngineError, match=reason) as caught:
        library("small")
    assert "\n" not in str(caught.value)


def test_the_compiler_named_by_cxx_is_taken(small, tmp_path, monkeypatch):
    real = native_build._compiler()[0]
    script = f'echo ran >> {tmp_path}/ran; exec {real} "$@"'
    monkeypatch.setenv("CXX", compiler_that(tmp_path, script) + " -DSOMETHING")
    assert library("small").answer() == 42
    assert (tmp_path / "ran").is_file()
