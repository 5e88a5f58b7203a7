"""A Hub small enough for a test: it takes uploads over real HTTP and keeps the files of each commit."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0" * 40


class SmallHub(ThreadingHTTPServer):
    """Speaks create-repo, validate-yaml, preupload and commit on a free loopback port.

    `files` holds what was committed, as `{"org/name": {"path": bytes}}`.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.files: dict[str, dict[str, bytes]] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> SmallHub:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()
        self.server_close()


class _Answers(BaseHTTPRequestHandler):
    server: SmallHub

    def log_message(self, *words: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer({"id": "nobody", "sha": COMMIT, "siblings": []})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/api/repos/create"):
            asked = json.loads(body)
            repo = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
            self.server.files.setdefault(repo, {})
            self._answer({"url": f"{self.server.url}/{repo}", "id": repo, "name": repo})
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            self._answer({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]})
        elif "/commit/" in self.path:
            repo = self.path.split("/api/models/")[1].split("/commit/")[0]
            for line in body.decode().splitlines():
                record = json.loads(line)
                if record["key"] == "file":
                    self.server.files[repo][record["value"]["path"]] = base64.b64decode(record["value"]["content"])
            url = f"{self.server.url}/{repo}/commit/{COMMIT}"
            self._answer({"commitUrl": url, "commitOid": COMMIT, "hookOutput": ""})
        else:
            self._answer({"errors": [], "warnings": []})

    def _answer(self, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
