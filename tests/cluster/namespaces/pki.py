"""The cluster's certificates and kubeconfigs, for one life of the cluster."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFE = timedelta(days=30)
_PEM = serialization.Encoding.PEM
_PLAIN = serialization.NoEncryption()


class Authority:
    """A certificate authority that writes what it signs into ``folder``, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "notifyx-test-cluster")])
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        self._certificate = (
            self._builder(self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(usage, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.write("ca.crt", self._certificate.public_bytes(_PEM))
        self.write("ca.key", self._key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _PLAIN))

    def issue(
        self, name: str, common_name: str, *, group: str = "", names: tuple[str, ...] = (), life: timedelta = LIFE
    ) -> None:
        """Write ``name``.crt and ``name``.key: for a client, and for a server where it has ``names``."""
        key = ec.generate_private_key(ec.SECP256R1())
        parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
        subject = x509.Name([*parts, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH, *([ExtendedKeyUsageOID.SERVER_AUTH] if names else [])]
        usage = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
        builder = (
            self._builder(subject, key.public_key(), life)
            # Python 3.13 and newer refuse a certificate that does not name its authority's key.
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        )
        if names:
            alternatives = [_general_name(value) for value in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        self.write(f"{name}.crt", builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM))
        self.write(f"{name}.key", key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _PLAIN))

    def issue_service_account_keys(self) -> None:
        """Write ``sa.key`` and ``sa.pub``, which sign and check the tokens of ServiceAccounts."""
        key = rsa.generate_private_key(65537, 2048)
        public = key.public_key().public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.write("sa.key", key.private_bytes(_PEM, serialization.PrivateFormat.TraditionalOpenSSL, _PLAIN))
        self.write("sa.pub", public)

    def kubeconfig(self, file: str, name: str, server: str) -> Path:
        """Write a kubeconfig with the certificate ``name``."""

        def inline(path: str) -> str:
            return base64.b64encode((self.folder / path).read_bytes()).decode()

        user = {"client-certificate-data": inline(f"{name}.crt"), "client-key-data": inline(f"{name}.key")}
        config: Mapping[str, object] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "test", "cluster": {"server": server, "certificate-authority-data": inline("ca.crt")}}
            ],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
            "current-context": "test",
        }
        return self.write(file, json.dumps(config).encode())

    def write(self, name: str, data: bytes) -> Path:
        """Write a file that only its owner can read."""
        path = self.folder / name
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
        return path

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta = LIFE
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - timedelta(minutes=5),
            not_valid_after=now + life,
        )


def _general_name(value: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(value))
    except ValueError:
        return x509.DNSName(value)
