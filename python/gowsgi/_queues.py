"""How many connections wait to be accepted."""

from __future__ import annotations

import socket
import struct
from typing import Sequence

__all__ = ["queued"]

# struct tcp_info begins with eight bytes and the numbers rto, ato, snd_mss, rcv_mss and unacked, a listener's queue.
_TCP_INFO = struct.Struct("8B5I")


def queued(fds: Sequence[int]) -> int | None:
    """Of all these listeners that are TCP; None: none is, or the system does not tell."""
    known = []
    for fd in fds:
        try:
            sock = socket.socket(fileno=fd)
        except OSError:  # it is no socket
            continue
        try:
            if sock.family in (socket.AF_INET, socket.AF_INET6):
                known.append(_TCP_INFO.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))[-1])
        except (OSError, AttributeError):
            pass
        finally:
            sock.detach()
    return sum(known) if known else None
