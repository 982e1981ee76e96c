"""Kill a process, or cut its power, at a named point of what it does to the files of some folders.

A point is a call that changes what is on the disk (or brings it there): opening a file to write, rename, replace, link,
unlink, mkdir, rmdir, truncate, fsync, sync; and, since SQLite makes such calls unseen, each statement of SQL that
changes a database or begins or ends a transaction. A first run counts and names them; a later run ends at the n-th.

What a power cut leaves is made from what was brought to the disk before: of each file what it held at its last fsync,
of each folder the names that it had at its own last fsync. A database keeps what SQLite has written, which sees to that
by itself. Three models of what a file system may leave of the rest:

| how | content that was not synced | names that were not synced |
| --- | --- | --- |
| `kill` | all there | all there |
| `tear` | all there, but half of what is new in the file that is about to be synced | all there |
| `empty` | gone | all there |
| `prefix` | a seeded beginning of it | all there |
| `names` | gone | as at the last fsync of the folder: new ones gone, removed ones back |
"""

import builtins
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOW = ("kill", "tear", "empty", "prefix", "names")
CALLS = ("replace", "rename", "link", "unlink", "remove", "mkdir", "rmdir", "truncate")
STATEMENTS = ("BEGIN", "COMMIT", "CREATE", "DELETE", "INSERT", "REPLACE", "ROLLBACK", "UPDATE")
# the real ones, for what is done here
_open, _listdir, _fsync, _sync = os.open, os.listdir, os.fsync, os.sync
_link, _unlink, _mkdir, _truncate = os.link, os.unlink, os.mkdir, os.truncate


@dataclass(frozen=True)
class Plan:
    """Where and how a run ends.

    Attributes:
        point: From 1; 0 only counts.
        how: One of `HOW`.
        seed: Of what is left.
    """

    point: int = 0
    how: str = "kill"
    seed: int = 0


class Injection:
    """Counts the points in this process and ends it at the planned one.

    Args:
        roots: The folders whose files matter; they exist.
        plan: Where to end.
        side: A folder on the same file system where removed files are kept, for a cut that brings them back.
        names: A file that the names of the points are written to.
    """

    def __init__(self, roots: list[Path], plan: Plan, side: Path, names: Path | None = None) -> None:
        self.roots = [root.resolve() for root in roots]
        self.plan, self.side, self.names_file = plan, side, names
        self.count, self.pid, self.inside = 0, os.getpid(), False
        self.synced_content: dict[int, tuple[int, int]] = {}  # by inode: size and time of the last change
        self.synced_names: dict[int, dict[str, int]] = {}  # by the folder's inode: name and inode
        self._everything_is_synced()

    def install(self) -> None:
        """Put this between the program and the system, for the rest of the process."""
        for name in CALLS:
            setattr(os, name, self._around(name, getattr(os, name)))
        os.fsync = self._fsync
        os.sync = self._sync
        os.open = self._opening("open", os.open, lambda args, kwargs: _writes(args[1] if len(args) > 1 else 0))
        opened = self._opening("open", io.open, lambda args, kwargs: _mode_writes(args, kwargs))
        io.open = builtins.open = opened
        sqlite3.connect = self._connecting(sqlite3.connect)

    def _around(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if not self.inside and os.getpid() == self.pid:
                folder = kwargs.get("dir_fd")
                self._point(name, args[1] if name in ("replace", "rename", "link") else args[0], folder)
            return call(*args, **kwargs)

        return wrapper

    def _opening(self, name: str, call: Callable[..., Any], writes: Callable[[Any, Any], bool]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            if not self.inside and os.getpid() == self.pid and writes(args, kwargs) and not isinstance(args[0], int):
                self._point(name, args[0], kwargs.get("dir_fd"))
            return result

        return wrapper

    def _connecting(self, call: Callable[..., sqlite3.Connection]) -> Callable[..., sqlite3.Connection]:
        def wrapper(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            database = call(*args, **kwargs)
            _, _, path = database.execute("PRAGMA database_list").fetchone()

            def before(statement: str) -> None:
                word = statement.split(maxsplit=1)[0]
                if word in STATEMENTS and not self.inside and os.getpid() == self.pid:
                    self._point(word, path, None)

            database.set_trace_callback(before)
            return database

        return wrapper

    def _fsync(self, file: Any) -> None:
        number = file if isinstance(file, int) else file.fileno()
        if os.getpid() != self.pid or self.inside:
            return _fsync(number)
        path = os.readlink(f"/proc/self/fd/{number}")
        self._point("fsync", path, None)
        if not self._inside(path):
            return _fsync(number)
        found = os.fstat(number)
        if stat.S_ISDIR(found.st_mode):
            self._names_are_synced(path)
        else:
            self.synced_content[found.st_ino] = (found.st_size, found.st_mtime_ns)
        return None  # the disk itself is not waited for: nothing is cut off but here

    def _sync(self) -> None:
        if os.getpid() == self.pid and not self.inside:
            self._point("sync", self.roots[0], None)
            self._everything_is_synced()  # the disk itself need not be waited for: nothing is cut off but here

    def _point(self, call: str, path: Any, folder: int | None) -> None:
        try:
            place = os.fsdecode(path)
            if folder is not None:
                place = os.path.join(os.readlink(f"/proc/self/fd/{folder}"), place)
        except (TypeError, OSError):
            return
        place = os.path.abspath(place)
        inside = self._inside(place)
        if not inside or os.path.basename(place) == "lock":
            return
        self.inside = True
        try:
            self.count += 1
            if self.names_file is not None:
                with self.names_file.open("a", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(json.dumps(f"{call} {os.path.relpath(place, inside[0].parent)}") + "\n")
            if self.count == self.plan.point:
                self.end(call, place)
        finally:
            self.inside = False

    def _inside(self, place: str) -> list[Path]:
        return [root for root in self.roots if place == str(root) or place.startswith(f"{root}/")]

    def end(self, call: str = "", place: str = "") -> None:
        """End here: leave what a kill or a power cut would."""
        self.inside = True
        if self.plan.how == "tear" and call == "fsync" and os.path.isfile(place):
            found = os.stat(place)
            least = min(self.synced_content.get(found.st_ino, (0, 0))[0], found.st_size)
            _truncate(place, (least + found.st_size) // 2)
        if self.plan.how in ("empty", "prefix", "names"):
            self._lose_content(random.Random(self.plan.seed))
        if self.plan.how == "names":
            for root in self.roots:
                self._lose_names(str(root), root.stat().st_ino)
        os.kill(os.getpid(), signal.SIGKILL)

    def _lose_content(self, seeded: random.Random) -> None:
        for path, found in self._files():
            if path.endswith(".sqlite"):
                self.synced_content[found.st_ino] = (found.st_size, found.st_mtime_ns)
        for path, found in sorted(self._files()):
            kept = self.synced_content.get(found.st_ino)
            if kept == (found.st_size, found.st_mtime_ns):
                continue
            least = min(kept[0] if kept else 0, found.st_size)
            more = seeded.randrange(found.st_size - least + 1) if self.plan.how == "prefix" else 0
            _truncate(path, least + more)

    def _lose_names(self, folder: str, number: int) -> None:
        synced = self.synced_names.get(number, {})
        for name in _listdir(folder):
            path = f"{folder}/{name}"
            found = os.lstat(path)
            if synced.get(name) == found.st_ino:
                continue
            if stat.S_ISDIR(found.st_mode):
                shutil.rmtree(path)
            else:
                _unlink(path)
        for name, inode in synced.items():
            path = f"{folder}/{name}"
            if (self.side / str(inode)).exists():
                if not os.path.lexists(path):
                    _link(self.side / str(inode), path)
            else:
                if not os.path.lexists(path):
                    _mkdir(path)
                if os.path.isdir(path):
                    self._lose_names(path, inode)

    def _everything_is_synced(self) -> None:
        self.inside = True
        for root in self.roots:
            for folder, folders, _ in os.walk(root):
                self._names_are_synced(folder)
                for name in folders:
                    self._names_are_synced(f"{folder}/{name}")
        for _, found in self._files():
            self.synced_content[found.st_ino] = (found.st_size, found.st_mtime_ns)
        self.inside = False

    def _names_are_synced(self, folder: str) -> None:
        names: dict[str, int] = {}
        for name in _listdir(folder):
            found = os.lstat(f"{folder}/{name}")
            names[name] = found.st_ino
            kept = self.side / str(found.st_ino)
            if stat.S_ISREG(found.st_mode) and not kept.exists():
                _link(f"{folder}/{name}", kept)
        self.synced_names[os.stat(folder).st_ino] = names

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        for root in [*self.roots, self.side]:
            for folder, _, names in os.walk(root):
                for name in names:
                    path = os.path.join(folder, name)
                    found = os.lstat(path)
                    if stat.S_ISREG(found.st_mode):
                        yield path, found


def from_environment() -> None:
    """Install what `FANCNN_FAULT` asks for: JSON with the keys roots, point, how, seed, side, names."""
    asked = json.loads(os.environ["FANCNN_FAULT"])
    side = Path(asked["side"])
    side.mkdir(parents=True, exist_ok=True)
    plan = Plan(asked.get("point", 0), asked.get("how", "kill"), asked.get("seed", 0))
    names = Path(asked["names"]) if asked.get("names") else None
    Injection([Path(root) for root in asked["roots"]], plan, side, names).install()


def _writes(flags: int) -> bool:
    return bool(flags & (os.O_WRONLY | os.O_RDWR))


def _mode_writes(args: Any, kwargs: Any) -> bool:
    mode = args[1] if len(args) > 1 else kwargs.get("mode", "r")
    return isinstance(mode, str) and bool(set(mode) & set("wax+"))
