"""Fixtures that several rooms share."""

import contextlib
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# one thread a test process: the tests run side by side, and torch's threads would fight for cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

CLASSES = ("bar", "dot", "ring")
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Real images and weights, kept outside the repository."""
    given = os.environ.get("CONVATLAS_DATA")
    root = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"needs real data: set CONVATLAS_DATA (looked in {root})")
    return root


@pytest.fixture
def file_server(monkeypatch) -> Iterator[Callable[..., str]]:
    """Give `serve(files, cut=0, ranges=True, stall=0)`, which starts a server and gives its URL.

    It cuts its first `cut` answers off in the middle, after `stall` seconds. `serve.requests`
    lists the (path, Range header) of each request.
    """
    monkeypatch.setenv("no_proxy", "*")
    servers = []

    def serve(
        files: Mapping[str, bytes], cut: int = 0, ranges: bool = True, stall: float = 0
    ) -> str:
        left = [cut]

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args) -> None:
                """Keep the output of the tests clean."""

            def do_GET(self) -> None:
                wanted = self.headers.get("Range")
                serve.requests.append((self.path, wanted))
                content = files.get(self.path.lstrip("/"))
                if content is None:
                    self.send_error(404)
                    return
                begun = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and ranges else 0
                if begun and begun >= len(content):
                    self.send_error(416)
                    return
                self.send_response(206 if begun else 200)
                if begun:
                    self.send_header("Content-Range", f"bytes {begun}-/{len(content)}")
                rest = content[begun:]
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                if left[0]:
                    left[0] -= 1
                    self.wfile.write(rest[: len(rest) // 2])
                    self.wfile.flush()
                    time.sleep(stall)
                else:
                    self.wfile.write(rest)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/"

    serve.requests = []
    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def files_of_at_most(size: int):
    """Let the system refuse longer files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk():
    """Give `files_of_at_most(size)`, a context."""
    return files_of_at_most


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> str:
    """A source of 60 + 12 + 12 grey pictures of three easy classes."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 4), ("test", 4)):
        for label, name in enumerate(CLASSES):
            for i in range(count):
                _draw(folder / split / name / f"{i}.png", label, rng)
    return f"folder:{folder}"


def _draw(path: Path, label: int, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 60, (12, 12), np.uint8)
    patch = np.zeros((6, 6), np.uint8)
    if label == 0:
        patch[2:4] = 180
    elif label == 1:
        patch[1:5, 1:5] = 180
    else:
        patch[:] = 180
        patch[1:5, 1:5] = 0
    top, left = rng.integers(0, 7, 2)
    pixels[top : top + 6, left : left + 6] += patch
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
