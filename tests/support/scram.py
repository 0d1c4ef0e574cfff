"""SCRAM-SHA-256 verifiers, in the form that Postgres and the rules file store (RFC 5803)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets


def verifier(password: str, *, iterations: int = 4096) -> str:
    """`SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>` for an ASCII password."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    server = _hmac(salted, b"Server Key")
    encode = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{encode[0]}${encode[1]}:{encode[2]}"


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()
