#!/usr/bin/env python3
"""A power loss: of what a process wrote, only what it synced is sure to be there afterwards.

    ops/faults/power.py --self-check

`powerloss.c` notes every change of a file that is not synced yet. Once the process is killed, `lose` takes all of them back and does some again.
"""

import os
import random
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "powerloss.c"
HEAD = struct.Struct("=5Q")
WRITE, TRUNCATE = 0, 1
SECTOR = 512


def build(folder):
    """The library, or nothing and why not."""
    if sys.platform != "linux" or sys.maxsize < 1 << 32:
        return None, "needs Linux on 64 bits"
    swift = shutil.which("swift")
    beside = [str(Path(swift).resolve().parent / "clang")] if swift else []
    compiler = next((found for found in map(shutil.which, ["cc", "clang", *beside]) if found), None)
    if not compiler:
        return None, "needs a C compiler"
    library = Path(folder) / "powerloss.so"
    words = [compiler, "-std=gnu11", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-lpthread"]
    built = subprocess.run(words, capture_output=True, text=True)
    if built.returncode:
        return None, f"{compiler} does not build powerloss.c: {(built.stderr.strip() or '?').splitlines()[0]}"
    return library, None


def environment(library, folder, notes, lies=None):
    """For a process whose changes in a folder are noted. Of files with a part of their names its disk may say that they are synced when they are not."""
    notes.mkdir(exist_ok=True)
    lie = {"POWERLOSS_LIES": lies} if lies else {}
    return {"LD_PRELOAD": str(library), "POWERLOSS_FOLDER": str(folder.resolve()), "POWERLOSS_NOTES": str(notes), **lie}


class Change:
    def __init__(self, kind, offset, size, old, new):
        self.kind, self.offset, self.size, self.old, self.new = kind, offset, size, old, new

    def undo(self, content):
        content[self.offset:self.offset + len(self.old)] = self.old
        resize(content, self.size)

    def redo(self, content, random=None):
        """With a source of randomness: only some sectors of it."""
        if self.kind == TRUNCATE:
            return resize(content, self.offset)
        start, end = self.offset, self.offset + len(self.new)
        while start < end:
            stop = min(end, (start // SECTOR + 1) * SECTOR)
            if random is None or random.random() < 0.5:
                resize(content, max(len(content), start))
                content[start:stop] = self.new[start - self.offset:stop - self.offset]
            start = stop


def resize(content, size):
    del content[size:]
    content.extend(bytes(size - len(content)))


def changes(note):
    """The last may be torn: its writer was killed."""
    found, at = [], 0
    while at + HEAD.size <= len(note):
        kind, offset, size, old, new = HEAD.unpack_from(note, at)
        at += HEAD.size
        if at + old + new > len(note):
            break
        found.append(Change(kind, offset, size, note[at:at + old], note[at + old:at + old + new]))
        at += old + new
    return found


def kept(count, random):
    """Which changes reached the disk all the same: none, all, the first few, or some; and which of them only in part, if any."""
    which = random.choice(("none", "all", "first", "some"))
    first = random.randint(0, count)
    kept = [{"none": False, "all": True, "first": number < first, "some": random.random() < 0.5}[which] for number in range(count)]
    last = max((number for number in range(count) if kept[number]), default=None)
    return kept, last if which in ("first", "some") and random.random() < 0.5 else None


def lose(folder, notes, random):
    """What the disk holds after a power loss. The process is dead. Returns what became of each file, for people."""
    told = []
    for note in sorted(notes.glob("*.changes")):
        name = note.name.removesuffix(".changes").replace("%", "/")
        file = folder / name
        if not file.exists():
            continue  # killed between the unlink and the end of its notes
        pending = changes(note.read_bytes())
        content = bytearray(file.read_bytes())
        before = bytes(content)
        for change in reversed(pending):
            change.undo(content)
        synced = len(content)
        choice, torn = kept(len(pending), random)
        for number, change in enumerate(pending):
            if choice[number]:
                change.redo(content, random if number == torn else None)
        # In its place: the disk may be full.
        with open(file, "r+b") as out:
            if content != before:
                out.write(content)
                out.truncate(len(content))
        told.append(f"{name}: {len(before)} bytes, {synced} without {len(pending)} changes; kept {sum(choice)}, torn {torn}, so {len(content)}")
    for note in sorted(notes.glob("*.new")):
        name = note.name.removesuffix(".new").replace("%", "/")
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
        told.append(f"{name}: its name is gone")
    for memory in folder.glob("*-shm"):
        memory.unlink()
    for note in notes.iterdir():
        note.unlink()
    return told


def jobs(journal, is_in_use):
    """The jobs that a broker's journal knows of; None: that cannot be read now."""
    if not journal.exists():
        return set()
    with tempfile.TemporaryDirectory() as folder:
        try:
            if not is_in_use:
                # Whoever opens it and is the last to close it changes it.
                for file in journal.parent.glob(journal.name + "*"):
                    if file.is_file() and not file.name.endswith("-shm"):
                        shutil.copy(file, folder)
                journal = Path(folder) / journal.name
            connection = sqlite3.connect(f"file:{journal}?mode={'ro' if is_in_use else 'rw'}", uri=True, timeout=1)
            try:
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone():
                    return set()
                return {job for job, in connection.execute("SELECT job FROM jobs")}
            finally:
                connection.close()
        except (sqlite3.Error, OSError):
            return None


# The self-check

def self_check(library, folder):
    """A small process under the library, and what is left of its files.

    The process has a folder `d`, and in it a file `old` that says `0123456789` and is synced."""
    sync_folder = "f = os.open('.', os.O_RDONLY); os.fsync(f)"
    cases = [
        ("an overwrite that is not synced", "os.pwrite(old, b'xx', 3)", {"old": b"0123456789"}),
        ("an overwrite that is synced", "os.pwrite(old, b'xx', 3); os.fdatasync(old)", {"old": b"012xx56789"}),
        ("an overwrite that is said to be synced", "os.pwrite(old, b'xx', 3); os.fsync(old)", {"old": b"0123456789"}),
        ("a longer file that is not synced", "os.pwrite(old, b'xx', 20)", {"old": b"0123456789"}),
        ("one change synced, one not", "os.lseek(old, 8, 0); os.writev(old, [b'x', b'y']); os.fsync(old); os.ftruncate(old, 4); os.write(old, b'z')",
         {"old": b"01234567xy"}),
        ("a file opened with O_TRUNC", "os.open('old', os.O_WRONLY | os.O_TRUNC)", {"old": b"0123456789"}),
        ("a file opened to write only", "f = os.open('old', os.O_WRONLY | os.O_APPEND); os.write(f, b'x')", {"old": b"0123456789"}),
        ("a new file that is synced, and its folder is not", "f = os.open('new', os.O_CREAT | os.O_WRONLY); os.write(f, b'x'); os.fsync(f)",
         {"old": b"0123456789"}),
        ("a new file that is not synced, and its folder is", f"g = os.open('new', os.O_CREAT | os.O_WRONLY); os.write(g, b'x'); {sync_folder}",
         {"old": b"0123456789", "new": b""}),
        ("a new file that is synced with its folder",
         f"g = os.open('new', os.O_CREAT | os.O_WRONLY); os.write(g, b'x'); os.fsync(g); {sync_folder}", {"old": b"0123456789", "new": b"x"}),
        ("a new folder that is not synced", "os.mkdir('in'); f = os.open('in/new', os.O_CREAT | os.O_RDWR); os.fsync(f)", {"old": b"0123456789"}),
        ("a folder's name is not synced with the folder",
         "os.mkdir('in'); os.open('in/new', os.O_CREAT | os.O_RDWR); f = os.open('in', os.O_RDONLY); os.fsync(f)", {"old": b"0123456789"}),
        ("an unlinked file", "os.pwrite(old, b'xx', 3); os.unlink('old')", {}),
        ("a renamed file", "os.pwrite(old, b'xx', 3); os.rename('old', 'new')", {"new": b"0123456789"}),
        ("a new file that is renamed", "f = os.open('new', os.O_CREAT | os.O_RDWR); os.fsync(f); os.rename('new', 'newer')", {"old": b"0123456789"}),
        ("a rename to elsewhere", "os.rename('old', os.path.abspath('../old'))", None),
        ("a mapping", "import mmap; mmap.mmap(old, 0)", None),
        ("an allocation", "os.posix_fallocate(old, 0, 100)", None),
    ]
    failures = []
    for number, (what, script, expected) in enumerate(cases):
        disk, notes = folder / f"disk-{number}", folder / f"notes-{number}"
        disk.mkdir(parents=True)
        (disk / "old").write_bytes(b"0123456789")
        script = f"import os, signal; old = os.open('old', os.O_RDWR); {script}; os.kill(os.getpid(), signal.SIGKILL)"
        process = subprocess.run(
            [sys.executable, "-c", script], cwd=disk, capture_output=True, text=True,
            env={**os.environ, **environment(library, disk, notes, lies="old" if "said to be" in what else None)})
        if expected is None:
            found = None if process.returncode == -signal.SIGABRT else "it went on"
        elif process.returncode != -signal.SIGKILL:
            found = process.stderr
        else:
            lose(disk, notes, Nothing())
            found = {str(file.relative_to(disk)): file.read_bytes() for file in disk.rglob("*") if file.is_file()}
        if found != expected:
            failures.append(f"{what}: {found} and not {expected}")
    failures += check_choices()
    return failures


class Nothing(random.Random):
    """Nothing reaches the disk by itself."""

    def choice(self, _):
        return "none"


def check_choices():
    """All kept is what was written; some kept is made of old and new sectors only."""
    pending = [Change(WRITE, 100, 200, b"a" * 100, b"b" * 2000), Change(TRUNCATE, 600, 2100, b"b" * 1500, b""), Change(WRITE, 600, 600, b"", b"c" * 700)]
    whole = bytearray(b"a" * 100 + b"b" * 500 + b"c" * 700)
    content = bytearray(whole)
    for change in reversed(pending):
        change.undo(content)
    failures = [] if content == b"a" * 200 else ["changes are not undone"]
    for change in pending:
        change.redo(content)
    failures += [] if content == whole else ["changes are not done again"]
    torn = bytearray(b"a" * 200)
    pending[0].redo(torn, random.Random(1))
    sectors = [set(torn[start:start + SECTOR]) for start in range(SECTOR, len(torn) - SECTOR, SECTOR)]
    failures += [] if len(torn) < 2100 or {0} in sectors or set(b"a") in sectors else ["a torn change is whole"]
    failures += [] if all(len(sector) == 1 for sector in sectors) else ["a sector is torn"]
    return failures


def main():
    if sys.argv[1:] != ["--self-check"]:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        library, why_not = build(folder)
        failures = self_check(library, Path(folder).resolve()) if library else [why_not]
    print("\n".join(failures) or "well")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
