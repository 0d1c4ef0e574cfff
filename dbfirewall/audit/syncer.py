"""The thread behind `fsync: interval`: syncs the audit file once in a while, off the event loop."""

from __future__ import annotations

import os
import threading


class Syncer:
    """Syncs a file every `interval` seconds while `wanted`, by duplicates of the descriptors it is given.

    `error`: why a sync failed, None as long as all went well; never cleared.
    """

    def __init__(self, fd: int, interval: float) -> None:
        self.wanted = False
        self.error: str | None = None
        self._interval = interval
        self._fds = [os.dup(fd)]
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dbfirewall-audit-sync", daemon=True)
        self._thread.start()

    def follow(self, fd: int) -> None:
        """Sync `fd` from now on; the file before it is synced one last time."""
        with self._lock:
            self._fds.append(os.dup(fd))
        self.wanted = True

    def stop(self) -> None:
        """Sync once more and end the thread."""
        self._stopped.set()
        self._thread.join()
        for fd in self._fds:
            os.close(fd)

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            self.sync()
        self.sync()

    def sync(self) -> None:
        """Sync now if anything was written since the last time."""
        if not self.wanted:
            return
        self.wanted = False
        with self._lock:
            fds = list(self._fds)
        try:
            for fd in fds:
                os.fdatasync(fd)
        except OSError as error:
            self.error = error.strerror or str(error)
            return
        with self._lock:
            done, self._fds = self._fds[: len(fds) - 1], self._fds[len(fds) - 1 :]
        for fd in done:
            os.close(fd)
