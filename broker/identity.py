"""Who is speaking, and who alone may read? An agent's keys, and the half of them that others hold.

Signatures are Ed25519. Sealing is HPKE (RFC 9180) in base mode with the hybrid KEM ML-KEM-768 + X25519,
HKDF-SHA-256 and AES-256-GCM: what is recorded today stays closed to a quantum computer of tomorrow, and to
whoever breaks only one of the two. The hybrid key has no PEM form, so a key file keeps the three secrets
from which everything is rebuilt: the Ed25519 seed (32 bytes), the ML-KEM seed (64) and the X25519 key (32).

Keys are replaced by `rotated` ones. These still open what was sealed to the keys before them, since messages may
be on their way for days, and still derive the first keys' home key, since the home's files are sealed under it.
"""

import hashlib
import os
import re
import secrets
import stat
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from hansa.broker.codec import decode, encode
from hansa.broker.errors import (
    BadName,
    BadSignature,
    IdentityExists,
    IdentityMissing,
    MalformedIdentity,
    OpenPermissions,
    Refused,
    Unopenable,
    WrongPassphrase,
)
from hansa.broker.fields import pack_fields
from hansa.broker.records import from_plain, to_plain

EVERYBODY = "all"  # the recipient of events; nobody's name
SEAL_KEY_BYTES = 1_184 + 32  # ML-KEM-768, then X25519
SIGNATURE_BYTES = 64
SEAL_OVERHEAD_BYTES = 1_088 + 32 + 16  # ML-KEM ciphertext, X25519 share, AES-GCM tag

_NAME = re.compile(r"[a-z0-9-]{1,40}")
_FORMAT = "hansa-identity-1"
_SECRET_BYTES = 32 + 64 + 32
_SEED_BYTES = 32  # of the home key
_ROTATED_BYTES = _SECRET_BYTES + _SEED_BYTES + _SECRET_BYTES  # the keys, the home's seed, the keys before
_HOME_LABEL = b"hansa-home-v1"
_SCRYPT_N = 2**15  # with r = 8: 32 MiB and about a tenth of a second per guess
_SCRYPT_N_MAX = 2**20
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def check_name(name: str) -> str:
    """Return an agent's name unchanged.

    Raises:
        BadName: not 1 to 40 of ``a-z 0-9 -``, or reserved; such a name fits topics, files and entries.
    """
    if not _NAME.fullmatch(name):
        raise BadName(f"names are 1 to 40 of a-z, 0-9 and '-', not {name!r:.60}")
    if name == EVERYBODY:
        raise BadName(f"{EVERYBODY!r} means everybody and is nobody's name")
    return name


@dataclass(frozen=True, slots=True)
class PublicIdentity:
    """What others know of an agent.

    Attributes:
        name: see `check_name`.
        verify_key: 32 bytes, Ed25519.
        seal_key: 1,216 bytes, ML-KEM-768 then X25519.

    Raises:
        BadName, MalformedIdentity: on construction, so that no unusable key is ever admitted.
    """

    name: str
    verify_key: bytes
    seal_key: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        try:
            _verify_key(self.verify_key)
            _seal_key(self.seal_key)
        except ValueError as error:
            raise MalformedIdentity(f"{self.name}'s public keys: {error}") from None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over name and keys, 64 hex digits: what two people compare."""
        packed = pack_fields("hansa-fingerprint-1", self.name, self.verify_key, self.seal_key)
        return hashlib.sha256(packed).hexdigest()

    @property
    def short_fingerprint(self) -> str:
        """The first 16 hex digits: for logs, where nobody is trying to collide."""
        return self.fingerprint[:16]

    def verify(self, signature: bytes, data: bytes) -> None:
        """Raise BadSignature unless this agent signed exactly these bytes."""
        try:
            _verify_key(self.verify_key).verify(signature, data)
        except InvalidSignature:
            raise BadSignature(f"not signed by {self.name} ({self.short_fingerprint})") from None

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """Encrypt for this agent alone, bound to `info`; adds SEAL_OVERHEAD_BYTES."""
        return _SUITE.encrypt(plaintext, _seal_key(self.seal_key), info)

    def __repr__(self) -> str:
        return f"PublicIdentity({self.name!r}, {self.short_fingerprint})"


class Identity:
    """An agent's secret keys; shows its name and fingerprint, nothing else.

    Make one with `generate` or `load`.
    """

    __slots__ = ("_home_seed", "_open_key", "_others", "_secrets", "_sign_key", "public")

    public: PublicIdentity

    def __init__(self, name: str, secrets_: bytes) -> None:
        signing, mlkem, x25519 = secrets_[:32], secrets_[32:96], secrets_[96:_SECRET_BYTES]
        lattice = MLKEM768PrivateKey.from_seed_bytes(mlkem)
        curve = X25519PrivateKey.from_private_bytes(x25519)
        rest = secrets_[_SECRET_BYTES:]
        self._secrets = secrets_
        self._home_seed = rest[:_SEED_BYTES] or signing
        # These open, too, but never sign.
        self._others: tuple[Identity, ...] = (Identity(name, rest[_SEED_BYTES:]),) if rest else ()
        self._sign_key = Ed25519PrivateKey.from_private_bytes(signing)
        self._open_key = hpke.MLKEM768X25519PrivateKey(lattice, curve)
        self.public = PublicIdentity(
            name,
            self._sign_key.public_key().public_bytes_raw(),
            lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw(),
        )

    @classmethod
    def generate(cls, name: str) -> "Identity":
        """Make new keys from the system's randomness; BadName if the name is none."""
        return cls(check_name(name), secrets.token_bytes(_SECRET_BYTES))

    def rotated(self) -> "Identity":
        """Return new keys in place of these, for the same agent and home."""
        kept = self._home_seed + self._secrets[:_SECRET_BYTES]
        return Identity(self.name, secrets.token_bytes(_SECRET_BYTES) + kept)

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.public.name

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature; callers separate domains with `fields.pack_fields`."""
        return self._sign_key.sign(data)

    def open(self, sealed: bytes | memoryview, info: bytes) -> bytes:
        """Decrypt what was sealed to us, or to our keys before these, under this `info`; Unopenable otherwise."""
        for keys in (self, *self._others):
            with suppress(InvalidTag, ValueError):
                return _SUITE.decrypt(sealed, keys._open_key, info)
        raise Unopenable(f"not sealed to {self.public.short_fingerprint} under this header")

    def expect(self, fresh: "Identity") -> None:
        """Open what is sealed to the keys to come, too: others may know them before they are in use here."""
        if fresh.public not in {keys.public for keys in self._others}:
            self._others = (*self._others, fresh)

    def home_key(self) -> bytes:
        """Derive the 32 bytes that encrypt this agent's journal and files."""
        return HKDF(SHA256(), 32, salt=None, info=_HOME_LABEL).derive(self._home_seed)

    def save(self, path: Path, passphrase: bytes | None = None) -> None:
        """Write the key file: mode 0600, whole or not at all, never over another.

        Args:
            path: in an existing folder.
            passphrase: protects the file with scrypt and AES-256-GCM; None leaves that to the disk.

        Raises:
            IdentityExists: something is at `path` already.
            OSError: the folder is missing or not writable.
        """
        content = encode(to_plain(_protect(self.public, self._secrets, passphrase)))
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            os.link(draft, path)  # unlike a rename, fails if the name is taken
        except FileExistsError:
            raise IdentityExists(f"{path} exists; keys are never overwritten") from None
        finally:
            draft.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None = None) -> "Identity":
        """Read a key file; a passphrase that the file does not need is ignored.

        Raises:
            IdentityMissing: nothing there.
            OpenPermissions: the group or others may read or write it.
            WrongPassphrase: it needs one, or another one.
            MalformedIdentity: not a key file, or damaged.
        """
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                content = file.read(65_536)
        except FileNotFoundError:
            raise IdentityMissing(f"no key file at {path}") from None
        if mode & 0o077:
            raise OpenPermissions(f"{path} has mode {mode:04o}; `chmod 600` it, and consider the keys seen")
        try:
            stored = from_plain(_KeyFile, decode(content))
        except Refused as error:
            raise MalformedIdentity(f"{path} is not a key file: {error}") from None
        identity = cls(stored.name, _unprotect(stored, passphrase, path))
        if identity.public.fingerprint != stored.fingerprint:
            raise MalformedIdentity(f"{path} is damaged: its keys are not those it names")
        return identity

    def __repr__(self) -> str:
        return f"Identity({self.name!r}, {self.public.short_fingerprint})"


@dataclass(frozen=True, slots=True)
class _KeyFile:
    """What a key file holds; `body` is the secrets, or salt-keyed nonce + ciphertext of them."""

    format: str
    name: str
    fingerprint: str
    scrypt_n: int  # 0: the body is not protected
    salt: bytes
    body: bytes

    def __post_init__(self) -> None:
        if self.format != _FORMAT:
            raise ValueError(f"format {self.format!r:.40}, this build reads {_FORMAT!r}")
        check_name(self.name)
        if self.scrypt_n == 0:
            if len(self.body) not in (_SECRET_BYTES, _ROTATED_BYTES):
                raise ValueError("secrets of the wrong length")
        elif not 2 <= self.scrypt_n <= _SCRYPT_N_MAX or self.scrypt_n & (self.scrypt_n - 1):
            raise ValueError("scrypt's cost is no power of two within bounds")


def _protect(public: PublicIdentity, secrets_: bytes, passphrase: bytes | None) -> _KeyFile:
    if passphrase is None:
        return _KeyFile(_FORMAT, public.name, public.fingerprint, 0, b"", secrets_)
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    lock = AESGCM(_stretch(passphrase, salt, _SCRYPT_N))
    body = nonce + lock.encrypt(nonce, secrets_, _bound(public.name, public.fingerprint))
    return _KeyFile(_FORMAT, public.name, public.fingerprint, _SCRYPT_N, salt, body)


def _unprotect(stored: _KeyFile, passphrase: bytes | None, path: Path) -> bytes:
    if stored.scrypt_n == 0:
        return stored.body
    if passphrase is None:
        raise WrongPassphrase(f"{path} is protected by a passphrase")
    lock = AESGCM(_stretch(passphrase, stored.salt, stored.scrypt_n))
    try:
        secrets_ = lock.decrypt(stored.body[:12], stored.body[12:], _bound(stored.name, stored.fingerprint))
    except (InvalidTag, ValueError):
        raise WrongPassphrase(f"the passphrase does not open {path}, or the file is damaged") from None
    if len(secrets_) not in (_SECRET_BYTES, _ROTATED_BYTES):
        raise MalformedIdentity(f"{path} holds secrets of the wrong length")
    return secrets_


def _stretch(passphrase: bytes, salt: bytes, cost: int) -> bytes:
    return Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(passphrase)


def _bound(name: str, fingerprint: str) -> bytes:
    return pack_fields(_FORMAT, name, fingerprint)


# Parsing a key costs as much as using it, and a federation has few members: parse each once.
@lru_cache(maxsize=4_096)
def _verify_key(raw: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(raw)


@lru_cache(maxsize=4_096)
def _seal_key(raw: bytes) -> hpke.MLKEM768X25519PublicKey:
    if len(raw) != SEAL_KEY_BYTES:
        raise ValueError(f"a seal key has {SEAL_KEY_BYTES} bytes, not {len(raw)}")
    lattice = MLKEM768PublicKey.from_public_bytes(raw[:1_184])
    return hpke.MLKEM768X25519PublicKey(lattice, X25519PublicKey.from_public_bytes(raw[1_184:]))
