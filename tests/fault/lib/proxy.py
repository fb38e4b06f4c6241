"""A TCP proxy between a program and its server that misbehaves on command.

Held bytes are not lost: they go on when the hold ends, as TCP's own retransmission would bring them. `abandon` is what a
middlebox does that forgot its connections: those that exist are silent for good, new ones work.
"""
import socket
import threading
import time

CHUNK = 16384


class Proxy:
    """Forwards 127.0.0.1:port to another local port. All settings may be changed at any time, from any thread."""

    def __init__(self, target):
        self.target = target  # a port, or a function that returns one
        self.hold_up = self.hold_down = self.refuse = False
        self.hold_from = None   # so many bytes of all connections together go down, and no more; None: all
        self.delay = 0.0        # seconds that each piece waits
        self.rate = 0           # bytes a second in each direction; 0: all at once
        self.change = None      # a function (bytes, upward, offset) -> bytes, to damage what passes
        self.connections = self.bytes_up = self.bytes_down = 0
        self._pairs, self._lock, self._ended = [], threading.Lock(), threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self._ended.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                reset(near)
                continue
            try:
                port = self.target() if callable(self.target) else self.target
                far = socket.create_connection(("127.0.0.1", port), timeout=5)
            except OSError:
                reset(near)
                continue
            for each in (near, far):
                each.settimeout(None)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pair = Pair(self, near, far)
            with self._lock:
                self._pairs = [p for p in self._pairs if p.open] + [pair]
                self.connections += 1
            pair.start()

    def hold(self, up=True, down=True):
        self.hold_up, self.hold_down = up, down

    def heal(self):
        self.hold_up = self.hold_down = self.refuse = False
        self.hold_from = None
        self.delay, self.rate, self.change = 0.0, 0, None

    def pairs(self):
        with self._lock:
            return [p for p in self._pairs if p.open]

    def abandon(self):
        for pair in self.pairs():
            pair.abandoned = True

    def reset(self):
        for pair in self.pairs():
            pair.reset()

    def half_close(self, up=True):
        """No more bytes in one direction, and the end of them is told; the other direction goes on."""
        for pair in self.pairs():
            try:
                (pair.far if up else pair.near).shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def end(self):
        self._ended.set()
        self._listener.close()
        self.heal()
        self.reset()


class Pair:
    def __init__(self, proxy, near, far):
        self.proxy, self.near, self.far = proxy, near, far
        self.abandoned, self.open, self._left = False, True, 2
        self._lock = threading.Lock()

    def start(self):
        threading.Thread(target=self._pump, args=(self.near, self.far, True), daemon=True).start()
        threading.Thread(target=self._pump, args=(self.far, self.near, False), daemon=True).start()

    def reset(self):
        self.open = False
        for each in (self.near, self.far):
            reset(each)

    def _held(self, up):
        if up:
            return self.open and (self.abandoned or self.proxy.hold_up)
        full = self.proxy.hold_from is not None and self.proxy.bytes_down >= self.proxy.hold_from
        return self.open and (self.abandoned or self.proxy.hold_down or full)

    def _wait(self, size, up):
        if self.proxy.delay:
            time.sleep(self.proxy.delay)
        if self.proxy.rate:
            time.sleep(size / self.proxy.rate)
        while self._held(up):
            time.sleep(0.01)

    def _pump(self, source, sink, up):
        offset = 0
        try:
            while self.open:
                piece = source.recv(min(CHUNK, max(1, self.proxy.rate // 20)) if self.proxy.rate else CHUNK)
                self._wait(len(piece), up)
                if not piece:
                    break
                change = self.proxy.change
                if change is not None:
                    piece = change(piece, up, offset)
                offset += len(piece)
                if up:
                    self.proxy.bytes_up += len(piece)
                else:
                    self.proxy.bytes_down += len(piece)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.reset()
        with self._lock:
            self._left -= 1
            if self._left == 0:
                self.open = False
                self.near.close()
                self.far.close()


def reset(each):
    """Closes so that the other side is told by a reset."""
    try:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    each.close()
