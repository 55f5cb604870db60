"""A certificate authority of the test's own, made with openssl, and what it vouches for."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Issued:
    certificate: Path
    key: Path


def openssl(*arguments: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Raises CalledProcessError."""
    return subprocess.run(
        ["openssl", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=30, cwd=folder
    )


class Authority:
    """Its files lie in `folder`; `certificate` is what others are to trust."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._root = Issued(folder / f"{name}.pem", folder / f"{name}.key")
        self._new_key(self._root.key)
        openssl(
            *("req", "-x509", "-key", self._root.key, "-out", self._root.certificate, "-days", "30"),
            *("-subj", f"/CN=Test authority {name}"),
            *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    @property
    def certificate(self) -> Path:
        return self._root.certificate

    def issue(self, name: str, *extensions: str) -> Issued:
        """A certificate with these extensions, as openssl's configuration files write them."""
        issued = Issued(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, wanted = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        self._new_key(issued.key)
        openssl("req", "-new", "-key", issued.key, "-out", request, "-subj", f"/CN={name}")
        wanted.write_text("\n".join(extensions) + "\n", encoding="ascii")
        openssl(
            *("x509", "-req", "-in", request, "-CA", self._root.certificate, "-CAkey", self._root.key),
            *("-CAcreateserial", "-out", issued.certificate, "-days", "30", "-extfile", wanted),
        )
        return issued

    @staticmethod
    def _new_key(path: Path) -> None:
        openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path)
