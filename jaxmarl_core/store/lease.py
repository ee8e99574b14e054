"""A lease on a folder: one process writes to it at a time, and a dead one's place can be taken.

    lease.json   {"host": ..., "pid": ..., "since": ..., "process": ...}

The file is made whole and takes its name in one step that fails where the name is taken. Its holder
touches it every few seconds, the heartbeat. On the holder's own machine the process table says
whether it lives; elsewhere a pid says nothing, and a lease that has not been touched for `TIMEOUT`
seconds, by the clock of the disk it is on, is a dead one's.
"""

import datetime
import json
import os
import platform
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

FILE = "lease.json"
HEARTBEAT = 10.0  # seconds between two touches
TIMEOUT = 60.0  # seconds without a touch after which the holder counts as dead


class Leased(ValueError):
    """Another process holds the folder."""


class Lost(OSError):
    """The folder was taken by another process, or is gone."""


class Lease:
    """The right to write to a folder, as a context; within it the heartbeat goes on.

    Args:
      folder: one that exists.

    Raises:
      Leased: on entering, where a living process holds it, naming host, pid and since when.
      OSError: on entering, where the folder cannot be written to.
    """

    def __init__(self, folder: str | os.PathLike):
        self.path = Path(folder).absolute() / FILE
        self._mine: dict[str, Any] = {}
        self._over = threading.Event()

    def __enter__(self) -> "Lease":
        self._mine = {
            "host": platform.node(),
            "pid": os.getpid(),
            "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "process": process_of(os.getpid()),
            "token": secrets.token_hex(8),
        }
        while not self._claim():
            there = _read(self.path)
            if there is not None and is_alive(self.path, there):
                raise Leased(
                    f"out: expected a folder that nobody writes to, got {self.path.parent}, which "
                    f"process {there.get('pid')} on {there.get('host')} has held since "
                    f"{there.get('since')}; if that one is dead, wait {TIMEOUT:.0f} s"
                )
            self._bury(there)
        self._over.clear()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        if _read(self.path) == self._mine:
            self.path.unlink(missing_ok=True)

    def check(self) -> None:
        """Raises Lost unless this process still holds the folder: it may have slept too long."""
        there = _read(self.path)
        if there != self._mine:
            whose = f"process {there['pid']} on {there['host']} has it" if there else "it is gone"
            raise Lost(f"the lease on {self.path.parent} was lost: {whose}")

    def _claim(self) -> bool:
        aside = self.path.with_name(f".{FILE}-{self._mine['token']}.tmp")
        aside.write_text(json.dumps(self._mine))
        try:
            os.link(aside, self.path)  # unlike a rename it never replaces
        except FileExistsError:
            return False
        except OSError:  # a disk without hard links
            return self._claim_without_links()
        finally:
            aside.unlink(missing_ok=True)
        return True

    def _claim_without_links(self) -> bool:
        try:
            with open(self.path, "x") as file:
                file.write(json.dumps(self._mine))
        except FileExistsError:
            return False
        return True

    def _bury(self, dead: dict[str, Any] | None) -> None:
        """Takes a dead one's lease away; of several who try, one does."""
        aside = self.path.with_name(f".{FILE}-{secrets.token_hex(4)}.tmp")
        try:
            os.rename(self.path, aside)
            if _read(aside) != dead:  # somebody else was quicker, and this is theirs
                os.link(aside, self.path)
        except (FileNotFoundError, FileExistsError):
            pass
        except OSError:  # a disk without hard links
            with suppress(FileExistsError), open(self.path, "x") as file:
                file.write(aside.read_text())
        finally:
            aside.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(HEARTBEAT):
            try:
                if _read(self.path) == self._mine:
                    os.utime(self.path)
            except OSError:  # `check` will tell
                pass


def living_holder(folder: str | os.PathLike) -> dict[str, Any] | None:
    """Returns who holds a folder and lives, as its lease tells; None where nobody does."""
    path = Path(folder) / FILE
    there = _read(path)
    return there if there is not None and is_alive(path, there) else None


def is_alive(path: Path, holder: dict[str, Any]) -> bool:
    """Returns whether the holder of a lease lives, as far as can be known from here."""
    if str(holder.get("process", "")).startswith(_machine() + " "):
        return holder["process"] == process_of(int(holder["pid"]))
    age = _age(path)
    if age < -HEARTBEAT:  # touched in the future: a clock was set back; see whether it moves
        before = path.stat().st_mtime_ns
        time.sleep(2 * HEARTBEAT)
        return path.exists() and path.stat().st_mtime_ns != before
    return age < TIMEOUT


def _age(path: Path) -> float:
    """Returns the seconds since a file was touched, both ends by the clock of its disk."""
    probe = path.with_name(f".{path.name}-{secrets.token_hex(4)}.tmp")
    try:
        with open(probe, "x") as file:
            now = os.fstat(file.fileno()).st_mtime
    finally:
        probe.unlink(missing_ok=True)
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:  # given back just now
        return float("inf")


def process_of(pid: int) -> str:
    """Returns what tells a process from every other that ever had its pid.

    "" where there is none, or none can be told (not on POSIX).
    """
    if os.name != "posix":
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:  # it is there, and not ours to signal
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # no such file system here
        return f"{_machine()} {pid}"
    # a killed one whose parent has not asked after it yet is dead ("Z"); [19]: when it started
    return "" if fields[0] in "ZX" else f"{_machine()} {pid} {fields[19]}"


def _machine() -> str:
    """Returns what tells this boot of this machine, and this space of pids, from others."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _read(path: Path) -> dict[str, Any] | None:
    """Returns what a lease says; None where there is none, {} where it cannot be read."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
