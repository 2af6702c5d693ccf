"""A recording relay: TCP in, TCP out, every SMB frame written down on its way.

A hook may change, drop or add frames. What is recorded is what arrived, before the hook.
"""

import socket
import struct
import threading
import time
from dataclasses import dataclass, field

from harness import free_port, new_address, wait_until
from smb2 import is_smb2, split_chain

TO_SERVER, TO_CLIENT = "to server", "to client"


@dataclass
class Frame:
    """What one direct-TCP frame carried, without its four bytes of length."""

    direction: str
    data: bytes
    at: float

    def messages(self):
        """Its SMB2 messages; none for SMB1 and for encrypted frames."""
        return split_chain(self.data) if is_smb2(self.data) else []


@dataclass
class Connection:
    """One relayed connection and everything that went over it, in order of arrival."""

    client: socket.socket
    server: socket.socket
    source: str = ""  # the address that the server sees
    frames: list = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    ended_by: str = ""  # whose end of stream came first: TO_SERVER means the client's
    lock: threading.Lock = field(default_factory=threading.Lock)
    send_locks: dict = field(
        default_factory=lambda: {TO_SERVER: threading.Lock(), TO_CLIENT: threading.Lock()})

    def inject(self, direction, data):
        """Sends a frame of our own; it is not recorded."""
        out = self.server if direction == TO_SERVER else self.client
        with self.send_locks[direction]:
            out.sendall(struct.pack(">I", len(data)) + data)

    def messages(self, direction=None, command=None):
        """Every SMB2 message so far, of one direction or command."""
        with self.lock:
            frames = list(self.frames)
        return [message for frame in frames if direction in (None, frame.direction)
                for message in frame.messages() if command in (None, message.header.command)]

    def close(self):
        """Ends the connection on both sides."""
        for end in (self.client, self.server):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def receive_exactly(connection, size):
    """`size` bytes, or None at the end of the stream; TimeoutError at the socket's deadline."""
    data = bytearray()
    while len(data) < size:
        try:
            part = connection.recv(min(size - len(data), 1 << 20))
        except TimeoutError:
            raise
        except OSError:
            return None
        if not part:
            return None
        data += part
    return bytes(data)


def receive_frame(connection):
    """One frame's payload, or None at the end of the stream."""
    head = receive_exactly(connection, 4)
    return None if head is None else receive_exactly(connection, int.from_bytes(head[1:], "big"))


class Relay:
    """Listens on an address of its own and connects each client to `target`; a context manager.

    `hook(connection, direction, data)` returns None to pass a frame on, or the list of frames to
    send in its place. `target` may be changed while running.
    """

    def __init__(self, target=None, address=None, source=None):
        self.target, self.source = target, source  # the address that it connects from
        self.address = address or new_address()
        self.port = free_port(self.address)
        self.connections = []
        self.hook = None
        self._listener = None

    def __enter__(self):
        self._listener = socket.create_server((self.address, self.port), backlog=64)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for connection in self.connections:
            connection.close()

    def clear(self):
        """Forgets what was recorded, and the hook."""
        self.hook = None
        for connection in self.connections:
            connection.close()
        self.connections = []

    def last(self, seconds=5):
        """The connection that came last; waits for one."""
        wait_until(lambda: self.connections, "a connection through the relay", seconds)
        return self.connections[-1]

    def wait_ended(self, seconds=10):
        """Waits until every connection has ended, so that the recording is whole."""
        for connection in self.connections:
            wait_until(connection.ended.is_set, "a relayed connection to end", seconds)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(
                    self.target, timeout=10, source_address=(self.source, 0) if self.source else None)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(client, server, server.getsockname()[0])
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        back = threading.Thread(target=self._pump, args=(connection, TO_CLIENT), daemon=True)
        back.start()
        self._pump(connection, TO_SERVER)
        back.join()
        for end in (connection.client, connection.server):
            end.close()
        connection.ended.set()

    def _pump(self, connection, direction):
        source, out = connection.client, connection.server
        if direction == TO_CLIENT:
            source, out = out, source
        while True:
            data = receive_frame(source)
            if data is None:
                break
            with connection.lock:
                connection.frames.append(Frame(direction, data, time.monotonic()))
            instead = self.hook(connection, direction, data) if self.hook else None
            try:
                for frame in [data] if instead is None else instead:
                    connection.inject(direction, frame)
            except OSError:
                break
        with connection.lock:
            connection.ended_by = connection.ended_by or direction
        # What the other side already sent still arrives; it learns of the end by itself.
        for end, how in ((out, socket.SHUT_WR), (source, socket.SHUT_RD)):
            try:
                end.shutdown(how)
            except OSError:
                pass
