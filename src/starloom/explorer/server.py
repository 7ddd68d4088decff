"""The page on this machine alone: a server of a site's files from memory."""

import sys
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from starloom.errors import ConfigError
from starloom.explorer.site import MEDIA_TYPES

HOST = "127.0.0.1"


class Server(ThreadingHTTPServer):
    """Serves ``content`` (bytes by path) on this machine; ``port`` 0 takes a free one.

    Raises ConfigError where the port is taken or cannot be had.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, content: Mapping[str, bytes], port: int = 0):
        self.content = content
        try:
            super().__init__((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            raise ConfigError(f"port = {port} cannot be used: {error}") from error

    def handle_error(self, request, client_address):
        """A traceback, but not where a browser has gone away meanwhile."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the files of its server and nothing else."""

    protocol_version = "HTTP/1.1"  # one connection for all files

    def do_GET(self):
        self._answer(True)

    def do_HEAD(self):
        self._answer(False)

    def _answer(self, with_body: bool) -> None:
        name = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        body = self.server.content.get(name)
        self.send_response(404 if body is None else 200)
        body = b"not found" if body is None else body
        self.send_header("Content-Type", MEDIA_TYPES.get(PurePosixPath(name).suffix, "text/plain"))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-cache")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format, *values):
        """Nothing: a line for each request would hide what the command prints."""
