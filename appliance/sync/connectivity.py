"""The kernel says when a network came, so that the workshop is tried at once and not minutes later.

rtnetlink(7) tells of every interface that gets a carrier, every address and every route. That is a
hint and nothing else: whoever was woken tries, and finds out.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable

log = logging.getLogger("fieldkit.sync")

SETTLES_S = 1.0
"""An address, its routes and the resolver come one after the other; so long they are gathered."""
_NETLINK_ROUTE = 0
# RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_RUNNING = 0x40  # IFF_RUNNING
_CAN = 280  # ARPHRD_CAN: a car is no way to the workshop
_MOST_BYTES = 1 << 16


class Connectivity:
    """A thread that waits for the kernel's word.

    Args:
        came: called from it when a network may have come.
    """

    def __init__(self, came: Callable[[], None]) -> None:
        self._came = came
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin. Where the kernel gives no such socket, whoever waits tries by itself only."""
        try:
            listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)
            listener.bind((0, _GROUPS))
        except OSError as error:
            log.warning("The kernel does not tell when a network comes: %s", error.strerror)
            return
        self._stop, self._socket = os.eventfd(0), listener
        self._thread = threading.Thread(target=self._work, name="connectivity", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        if self._thread is None:
            return
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        os.close(self._stop)

    def _work(self) -> None:
        with self._socket:
            while self._wait(None):
                if self._read_all():
                    self._came()

    def _wait(self, limit_s: float | None) -> bool:
        """Until the kernel says something; False on the limit, and when this is to stop."""
        socket_number = self._socket.fileno()
        readable, _, _ = select.select([socket_number, self._stop], [], [], limit_s)
        return readable == [socket_number]

    def _read_all(self) -> bool:
        """Did anything that was told until it became quiet mean that a network came?"""
        came, until = False, time.monotonic() + SETTLES_S
        while True:
            try:
                came = network_came(self._socket.recv(_MOST_BYTES)) or came
            except OSError:
                came = True  # ENOBUFS: more was told than fitted, so something came.
            if not self._wait(max(until - time.monotonic(), 0.0)):
                return came


def network_came(packet: bytes) -> bool:
    """Does a packet of rtnetlink tell of an address, a route, or an interface with a carrier?"""
    at = 0
    while at + _HEADER.size <= len(packet):
        length, kind, _, _, _ = _HEADER.unpack_from(packet, at)
        if kind in (_NEW_ADDRESS, _NEW_ROUTE):
            return True
        if kind == _NEW_LINK and at + _HEADER.size + _LINK.size <= len(packet):
            _, hardware, _, flags, _ = _LINK.unpack_from(packet, at + _HEADER.size)
            if flags & _RUNNING and hardware != _CAN:
                return True
        at += max((length + 3) & ~3, _HEADER.size)
    return False
