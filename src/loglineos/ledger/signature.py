"""Ed25519 by libsodium, the one door: no other module signs or verifies.

Always holds: verification accepts exactly what libsodium accepts (a pinned set in the tests), and
a public key of low order or of non-canonical form is refused before it can be enrolled.
Source: RFC 8032; C2SP/CCTV ed25519 (where implementations disagree).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import nacl.exceptions
from nacl import bindings

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_PARALLEL_FROM: Final = 16
_FIELD_PRIME: Final = 2**255 - 19


class SigningKey(NamedTuple):
    """A private key, ready to sign; made by `signing_key`. Never logged: its repr hides it."""

    secret: bytes
    public: bytes

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()})"

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of `message`."""
        return bindings.crypto_sign(message, self.secret)[:SIGNATURE_BYTES]


class Claim(NamedTuple):
    """Something that a signature is said to be for."""

    public: bytes
    signature: bytes
    message: bytes


def signing_key(seed: bytes) -> SigningKey:
    """Make the signing key of a 32-byte seed. Source: RFC 8032 section 5.1.5."""
    if len(seed) != SEED_BYTES:
        raise ValueError("an Ed25519 seed has 32 bytes")
    public, secret = bindings.crypto_sign_seed_keypair(seed)
    return SigningKey(secret, public)


def sign(seed: bytes, message: bytes) -> bytes:
    """Sign `message` with the key of a 32-byte seed; 64 bytes."""
    return signing_key(seed).sign(message)


def public_of(seed: bytes) -> bytes:
    """Return the 32-byte public key of a 32-byte seed."""
    return signing_key(seed).public


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Tell whether `signature` (64 bytes) by `public` (32 bytes) is for `message`.

    Never raises for bad input: what cannot be a signature is none.
    """
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + message, public)
    except (nacl.exceptions.CryptoError, ValueError):
        return False
    return True


def verify_many(claims: list[Claim], *, pool: ThreadPoolExecutor | None = None) -> list[bool]:
    """Verify each claim, in order; with a `pool`, on several cores (libsodium frees the GIL)."""
    if pool is None or len(claims) < _PARALLEL_FROM:
        return [verify(c.public, c.signature, c.message) for c in claims]
    half = (len(claims) + 1) // 2
    later = pool.submit(verify_many, claims[half:])
    return verify_many(claims[:half]) + later.result()


def is_safe_public_key(public: bytes) -> bool:
    """Tell whether a public key may be enrolled: canonical, on the curve, of the prime-order group.

    Refuses the low-order points and non-canonical encodings on which verifiers disagree.
    """
    if len(public) != PUBLIC_BYTES:
        return False
    y = int.from_bytes(public, "little") & (2**255 - 1)
    return y < _FIELD_PRIME and bool(bindings.crypto_core_ed25519_is_valid_point(public))
