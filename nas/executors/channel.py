"""Messages between a worker process and its master, of which a damaged one is never taken for a result."""

from __future__ import annotations

import hashlib
import secrets
import socket
import struct

from ..errors import WorkerError

TOKEN_BYTES = 16
LENGTH = struct.Struct(">Q")
READ_BYTES = 1 << 20


def new_token() -> bytes:
    """Random bytes that begin each message of one worker, and key its digest."""
    return secrets.token_bytes(TOKEN_BYTES)


class Channel:
    """One end of a stream socket that carries messages: token, length, content, digest of the content.

    Code that shares the process may write to the socket too, as to all descriptors that it finds open. It does not know
    the token, so what it writes is an error and no message.

    Args:
        end: The socket, in blocking mode.
        token: Bytes from `new_token`, the same at both ends.
    """

    def __init__(self, end: socket.socket, token: bytes) -> None:
        self._socket = end
        self._token = token
        self._received = bytearray()

    def fileno(self) -> int:
        """The socket's descriptor, to wait for."""
        return self._socket.fileno()

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()

    def send(self, content: bytes) -> None:
        """Sends a message. Raises OSError where the other end is closed."""
        self._socket.sendall(b"".join([self._token, LENGTH.pack(len(content)), content, self._digest(content)]))

    def receive(self) -> bytes:
        """Waits for a message. Raises EOFError where the other end is closed, WorkerError for what is no message."""
        while (message := self.received()) is None:
            self.read()
        return message

    def read(self) -> None:
        """Reads what has arrived, or waits until something does. Raises EOFError where the other end is closed."""
        data = self._socket.recv(READ_BYTES)
        if not data:
            raise EOFError
        self._received += data

    def received(self) -> bytes | None:
        """The next message, where all of it was read; else None.

        Raises:
            WorkerError: Something else than a message was read.
        """
        received, begin = self._received, TOKEN_BYTES + LENGTH.size
        if not self._token.startswith(received[:TOKEN_BYTES]):
            raise WorkerError(_DAMAGED)
        if len(received) < begin:
            return None
        (length,) = LENGTH.unpack_from(received, TOKEN_BYTES)
        end = begin + length
        if len(received) < end + TOKEN_BYTES:
            return None
        content, digest = bytes(received[begin:end]), bytes(received[end : end + TOKEN_BYTES])
        if digest != self._digest(content):
            raise WorkerError(_DAMAGED)
        del received[: end + TOKEN_BYTES]
        return content

    def _digest(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, key=self._token, digest_size=TOKEN_BYTES).digest()


_DAMAGED = (
    "the message of a worker is damaged: what ran in it wrote to descriptors that it did not open; its worker was ended"
)
