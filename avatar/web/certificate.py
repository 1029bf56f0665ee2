"""A certificate of our own for TLS: nobody vouches for it, so its fingerprint is shown to be compared."""

from __future__ import annotations

import datetime
import ipaddress
import os
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from avatar.errors import ServerError

DAYS = 30
"""How long it is valid."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, both PEM."""

    chain: bytes
    key: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate as browsers show it: 32 pairs of capitals with colons."""
        digest = x509.load_pem_x509_certificate(self.chain).fingerprint(hashes.SHA256())
        return digest.hex(":").upper()

    def context(self) -> ssl.SSLContext:
        """What a server needs. The key is in a file, which only its owner can read, for that moment alone.

        Raises:
            ServerError: certificate and key do not belong together, or are none.
        """
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        descriptor, name = tempfile.mkstemp(prefix="livehead-", suffix=".pem")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.key + b"\n" + self.chain)
            context.load_cert_chain(name)
        except (ssl.SSLError, OSError) as error:
            raise ServerError(f"the certificate cannot be used: {error}") from error
        finally:
            os.unlink(name)
        return context


def make_certificate(names: Sequence[str]) -> Certificate:
    """A new certificate for `names`, which are addresses or names of this computer."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "livehead")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )


def read_certificate(chain: Path, key: Path) -> Certificate:
    """A certificate of somebody's own, out of two PEM files; OSError if they cannot be read."""
    return Certificate(chain.read_bytes(), key.read_bytes())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
