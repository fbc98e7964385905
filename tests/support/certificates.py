"""Certificates for TLS servers and clients, from a private authority, made with `openssl`."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


@dataclass(frozen=True)
class Certificates:
    """Files in PEM form.

    Args:
        ca: certificate of the authority.
        server: certificate of the servers.
        client: certificate of the clients.
    """

    ca: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path

    @property
    def query(self) -> str:
        """The URL options of a client that trusts the servers."""
        return f"ssl_ca_certs={self.ca}"

    @property
    def client_query(self) -> str:
        """The URL options of a client that also presents a certificate."""
        return f"{self.query}&ssl_certfile={self.client}&ssl_keyfile={self.client_key}"

    @property
    def options(self) -> list[str]:
        """The command-line options of a server."""
        return [
            *("--tls-cert-file", str(self.server), "--tls-key-file", str(self.server_key)),
            *("--tls-ca-cert-file", str(self.ca), "--tls-auth-clients", "no"),
            *("--tls-replication", "yes", "--tls-cluster", "yes"),
        ]


def make_certificates(home: Path, name: str = "127.0.0.1") -> Certificates:
    """Make an authority, and certificates that it signs.

    Args:
        home: directory for the files.
        name: IP address or host name in the server's certificate.
    """
    kind = "IP" if name[0].isdigit() else "DNS"
    ca, ca_key = home / "ca.crt", home / "ca.key"
    _openssl("-x509", *_NEW_KEY, "-subj", "/CN=authority", "-keyout", ca_key, "-out", ca)
    for who, names in (("server", f"{kind}:{name}"), ("client", "DNS:client")):
        key, out = home / f"{who}.key", home / f"{who}.crt"
        signed = ("-CA", ca, "-CAkey", ca_key, "-addext", f"subjectAltName={names}")
        _openssl("-x509", *_NEW_KEY, *signed, "-subj", f"/CN={who}", "-keyout", key, "-out", out)
    files = (home / f"{part}" for part in ("ca.crt", "server.crt", "server.key", "client.crt", "client.key"))
    return Certificates(*files)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", "req", *arguments], check=True, capture_output=True)  # noqa: S607
