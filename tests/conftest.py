"""Fixtures that several rooms share."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

# one thread a test process: the tests run side by side, and torch's threads would fight for cores
os.environ.setdefault("OMP_NUM_THREADS", "1")

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
