"""A hub on the loopback interface, which serves files as the Hugging Face hub does."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" * 6 + "abcd"
#: What decides where huggingface_hub looks, and through what.
_ENVIRONMENT = re.compile(r"(HF|HUGGINGFACE)_.*|.*_PROXY|XDG_CACHE_HOME", re.IGNORECASE)


@dataclass
class LoopbackHub:
    """Repositories by name, each with its files; `main` and `commits` are their revisions.

    Attributes:
        asked: what was requested, as `METHOD path`.
        stalled: a file of which the hub sends half and then nothing; None for none.
    """

    repositories: Mapping[str, Mapping[str, bytes]]
    commits: Mapping[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stalled: str | None = None
    stalling: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """Variables for a process that is to use this hub, whatever is set around the tests."""
        kept = {name: value for name, value in os.environ.items() if not _ENVIRONMENT.match(name)}
        set_ = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
        return kept | set_ | more


@contextmanager
def serving(hub: LoopbackHub) -> Iterator[LoopbackHub]:
    """Serves `hub` while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def refuse(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self) -> None:
            hub.asked.append(f"{self.command} {self.path}")
            match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
            if match is None or match[1] not in hub.repositories:
                return self.refuse("RepoNotFound")
            repository, revision, name = match.groups()
            commit = hub.commits.get(repository, COMMIT)
            if revision not in ("main", commit):
                return self.refuse("RevisionNotFound")
            if name not in hub.repositories[repository]:
                return self.refuse("EntryNotFound")
            content = hub.repositories[repository][name]
            start = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
            begin = int(start[1]) if start else 0
            self.send_response(206 if start else 200)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}"
                )
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            if self.command == "GET" and name == hub.stalled:
                self.wfile.write(content[begin : (begin + len(content)) // 2])
                hub.stalling.set()
                ended.wait()
            elif self.command == "GET":
                self.wfile.write(content[begin:])
            return None

    ended = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
