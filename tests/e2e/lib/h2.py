"""HTTP/2 by the byte, for peers that do not behave."""
import socket
import ssl
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 0, 1, 3, 4, 6, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def text(value):
    """An HPACK string, as it is."""
    size, digits = len(value) - 127, b""
    if size < 0:
        return bytes([len(value)]) + value
    while size >= 128:
        digits += bytes([size % 128 + 128])
        size //= 128
    return b"\x7f" + digits + bytes([size]) + value


def field(name, value):
    """A header that goes into no table."""
    return b"\x00" + text(name) + text(value)


def headers(path=b"/sluice.v1.AppService/ListApps", extra=()):
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x"), (b"te", b"trailers"), (b"content-type", b"application/grpc"), *extra]
    return b"".join(field(name, value) for name, value in fields)


def client_hello(context):
    """The first message of a TLS handshake, as this context would say it."""
    said = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="127.0.0.1").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return said.read()


class Peer:
    """A connection that has said the preface, unless told otherwise. What the server says is not looked at, so SETTINGS are never acknowledged.
    With a context it has shaken hands, and may yet be refused: TLS 1.3 tells that later."""

    def __init__(self, port, greet=True, context=None, timeout=5):  # of a flood, which does not wait
        self.socket, self.tls = socket.create_connection(("127.0.0.1", port), timeout), context is not None
        if context is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")
        if greet:
            self.send(PREFACE + frame(SETTINGS))

    def send(self, data):
        """False: the server has hung up, or takes nothing any more."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def frames(self, seconds=5):
        """What the server says, as (kind, flags, stream, payload), until it hangs up or is silent for so long."""
        data = b""
        self.socket.settimeout(seconds)
        while True:
            while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
                size = int.from_bytes(data[:3], "big")
                kind, flags, stream = struct.unpack(">BBI", data[3:9])
                yield kind, flags, stream, data[9:9 + size]
                data = data[9 + size:]
            try:
                more = self.socket.recv(65536)
            except OSError:
                return
            if not more:
                return
            data += more

    def hung_up(self, seconds):
        """Has the server hung up, or does it within that time? What it says until then is thrown away."""
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                self.socket.settimeout(max(0.001, until - time.monotonic()))
                if not self.socket.recv(65536):
                    self.close()
                    return True
        except TimeoutError:
            pass
        except OSError:
            self.close()
            return True
        self.socket.settimeout(5)
        return False

    def close(self):
        self.socket.close()
