"""Ed25519 keys and key texts as sluiced makes them, made independently: libsodium by ctypes, base32 and BLAKE2b by Python."""
import base64
import ctypes
import hashlib
import os

_sodium = ctypes.CDLL("libsodium.so.23")
assert _sodium.sodium_init() >= 0


class Signer:
    def __init__(self, seed=None):
        self.seed = seed or os.urandom(32)
        public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
        _sodium.crypto_sign_seed_keypair(public, secret, self.seed)
        self.public, self._secret = public.raw, secret.raw

    def sign(self, purpose, message):
        out = ctypes.create_string_buffer(64)
        whole = purpose.encode() + b"\0" + message
        _sodium.crypto_sign_detached(out, None, whole, ctypes.c_ulonglong(len(whole)), self._secret)
        return out.raw

    def manifest(self, body):
        return self.sign("sluice manifest v1", body)

    def tree(self, size, top):
        return self.sign("sluice manifest tree v1", size.to_bytes(4, "big") + top)

    def announce(self, epoch, other):
        return self.sign("sluice manifest key v1", epoch.to_bytes(4, "big") + other.public)

    def refresh(self, epoch, sequence, expires_s, digest):
        return self.sign("sluice refresh v1", epoch.to_bytes(4, "big") + sequence.to_bytes(8, "big") + expires_s.to_bytes(8, "big") + digest)

    def release(self, app_id, version_id, digest):
        return self.sign("sluice release v1", app_id.encode() + b"\0" + version_id.encode() + b"\0" + digest)

    def config(self, instance_id, app_id, stamp, box):
        return self.sign("sluice config v1", instance_id.encode() + b"\0" + app_id.encode() + b"\0" + stamp + digest(box))


def seal(public, message):
    """What only the owner of the X25519 key opens."""
    out = ctypes.create_string_buffer(len(message) + 48)
    assert _sodium.crypto_box_seal(out, message, ctypes.c_ulonglong(len(message)), public) == 0
    return out.raw


def digest(body):
    return hashlib.blake2b(body, digest_size=32).digest()


def is_signed(public, purpose, message, signature):
    whole = purpose.encode() + b"\0" + message
    return len(signature) == 64 and _sodium.crypto_sign_verify_detached(signature, whole, ctypes.c_ulonglong(len(whole)), public) == 0


# --- trees, as RFC 9162, 2.1, defines them: by halving ---


def leaf(salt, body):
    return digest(b"\0" + salt + digest(body))


def root(leaves):
    return leaves[0] if len(leaves) == 1 else digest(b"\1" + b"".join(root(half) for half in _halves(leaves)))


def path(leaves, index):
    """The hashes beside the way of leaf `index`, from its neighbour up."""
    if len(leaves) == 1:
        return b""
    left, right = _halves(leaves)
    return path(left, index) + root(right) if index < len(left) else path(right, index - len(left)) + root(left)


def root_by(hashed, index, size, hashes):
    """The root that a path of hashes leads to; as in 2.1.3.2."""
    first, last = index, size - 1
    for at in range(0, len(hashes), 32):
        beside = hashes[at:at + 32]
        assert last > 0 and len(beside) == 32
        if first % 2 or first == last:
            hashed = digest(b"\1" + beside + hashed)
            while first % 2 == 0 and first:
                first, last = first >> 1, last >> 1
        else:
            hashed = digest(b"\1" + hashed + beside)
        first, last = first >> 1, last >> 1
    assert last == 0
    return hashed


def _halves(leaves):
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return leaves[:half], leaves[half:]


def key_text(kind, raw):
    check = hashlib.blake2b(kind.encode() + b"\0" + raw, digest_size=32).digest()[:4]
    text = base64.b32encode(raw + check).decode().lower().rstrip("=")
    return kind + ":" + "-".join(text[i:i + 4] for i in range(0, len(text), 4))


def pin_files(folder, epoch, manifest, recovery=None, release=None):
    """Flags of an agent that pins these keys."""
    os.makedirs(folder, exist_ok=True)
    texts = {"manifest-key": key_text("manifest-public-key", epoch.to_bytes(4, "big") + manifest.public)}
    if recovery:
        texts["recovery-key"] = key_text("recovery-public-key", recovery.public)
    if release:
        texts["release-key"] = key_text("release-public-key", release.public)
    flags = []
    for name, text in texts.items():
        path = os.path.join(folder, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text + "\n")
        flags += ["--" + name, path]
    return flags
