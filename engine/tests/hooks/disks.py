"""Small disks of their own for data directories, and what goes wrong with them: full, read-only, failing.

They are mounted, which needs root or sudo; where that is forbidden the tests that want one fail with what mount says.
"""

import os
import subprocess

DISK_BYTES = 8 << 20
FILE_SYSTEM_BYTES = 16 << 20


class Disk:
    """A file system in memory. `data` is a directory on it that nobody has made yet."""

    def __init__(self, place):
        self.place, self.data = place, place / "data"
        place.mkdir()
        self.mount()

    def mount(self):
        as_root("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=777", "none", self.place)

    def remount(self, how):
        as_root("mount", "-o", f"remount,{how}", self.place)

    def fill(self, left_bytes):
        """Leaves so much room and no more."""
        room = os.statvfs(self.place)
        (self.place / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - left_bytes))

    def make_room(self):
        (self.place / "filler").unlink()

    def close(self):
        as_root("umount", "--lazy", self.place)


class FileSystem(Disk):
    """ext4 in a file: it knows files that cannot be changed, and can be told to fail."""

    def __init__(self, place):
        self.image = place.with_suffix(".image")
        self.image.write_bytes(b"")
        os.truncate(self.image, FILE_SYSTEM_BYTES)
        as_root("mkfs.ext4", "-q", "-F", "-E", f"root_owner={os.geteuid()}:{os.getegid()}", self.image)
        super().__init__(place)

    def mount(self):
        as_root("mount", "-o", "loop,errors=remount-ro", self.image, self.place)

    def freeze(self):
        """Its files of the journal cannot be written, even by a process that has them open."""
        as_root("chattr", "+i", *self.frozen())

    def thaw(self):
        as_root("chattr", "-i", *self.frozen())

    def frozen(self):
        return [self.data / "journal.db", self.data / "journal.db-wal"]

    def fail(self):
        """As when the kernel finds its tables broken: it is read-only from now on."""
        device = as_root("findmnt", "-n", "-o", "SOURCE", self.place).strip().rpartition("/")[2]
        as_root("sh", "-c", f"echo a test > /sys/fs/ext4/{device}/trigger_fs_error")

    def repair(self):
        """Nobody may have a file open on it."""
        as_root("umount", self.place)
        as_root("e2fsck", "-f", "-y", self.image, codes=(0, 1))
        self.mount()


def as_root(*words, codes=(0,)):
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    done = subprocess.run([*sudo, *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode in codes, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout
