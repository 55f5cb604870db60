"""A time-stamp authority: `openssl ts` behind HTTP."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.certificates import Authority

CONFIG = """
[tsa]
default_tsa = it
[it]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {certificate}
certs = {chain}
signer_key = {key}
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


class TimestampAuthority:
    """`ca` is what its tokens lead to. With `chain`, a reply holds the authority's certificate beside its own."""

    def __init__(self, folder: Path, ca: Authority | None = None, *, chain: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = ca or Authority(folder)
        own = self.ca.issue("tsa", "keyUsage=critical,digitalSignature", "extendedKeyUsage=critical,timeStamping")
        (folder / "serial").write_text("01\n", encoding="ascii")
        config = CONFIG.format(
            folder=folder,
            certificate=own.certificate,
            key=own.key,
            chain=self.ca.certificate if chain else own.certificate,
        )
        self._config = folder / "tsa.cnf"
        self._config.write_text(config, encoding="ascii")
        self._folder = folder
        self._turn = threading.Lock()
        self.asked = 0
        self.answers: list[bytes] = []
        """What is answered to the next requests instead of a token."""
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                reply = authority.reply(query)
                self.send_response(200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
                """Nothing: the test looks for itself."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/tsr"

    def reply(self, query: bytes) -> bytes:
        with self._turn:
            self.asked += 1
            if self.answers:
                return self.answers.pop(0)
            (self._folder / "query.tsq").write_bytes(query)
            command = ["openssl", "ts", "-reply", "-config", str(self._config), "-queryfile", "query.tsq"]
            done = subprocess.run(command, capture_output=True, check=True, timeout=30, cwd=self._folder)
            return done.stdout

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
