"""A root of its own, made by mmdebstrap, where packages are installed and a unit's command runs as systemd would run it."""

import ctypes
import os
import pwd
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

from confined import confine

CLONE_NEWNS = 0x20000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
SUITE = "bookworm"
# systemd is there for what judges and expands units. It is not started.
INCLUDED = "systemd,bash-completion,man-db"
libc = ctypes.CDLL(None, use_errno=True)


class Root:
    """Its mounts belong to this process and go with it."""

    def __init__(self, directory):
        assert os.geteuid() == 0, "a root of its own can be made by root alone"
        self.path = directory / "root"
        if libc.unshare(CLONE_NEWNS) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        # Packages come from where those of this machine come from.
        sources = [path for path in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*.sources")) if path.exists()]
        command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={INCLUDED}", SUITE, str(self.path), *map(str, sources)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        subprocess.run(["mount", "-t", "proc", "proc", self.path / "proc"], check=True)
        subprocess.run(["mount", "--bind", "/sys", self.path / "sys"], check=True)

    def close(self):
        subprocess.run(["umount", self.path / "proc", self.path / "sys"], check=True)

    def run(self, *command, user="root", fails=False):
        """What a command prints, run in here by this user."""
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
            env=environment(),
            preexec_fn=lambda: self.enter(user),
        )
        assert (done.returncode != 0) == fails, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def read(self, path):
        return (self.path / path.lstrip("/")).read_text()

    def enter(self, user):
        """From now on this process is in here, and is this user."""
        entry = self.user(user)
        os.chroot(self.path)
        os.chdir("/")
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)

    def user(self, name):
        for line in self.read("/etc/passwd").splitlines():
            fields = line.split(":")
            if fields[0] == name:
                return pwd.struct_passwd((*fields[:2], int(fields[2]), int(fields[3]), *fields[4:]))
        raise KeyError(name)


class Unit:
    """A unit file, as far as a process can be given what it says without systemd."""

    def __init__(self, root, path):
        self.root = root
        lines = [line.split("=", 1) for line in root.read(path).splitlines() if "=" in line and not line.startswith("#")]
        self.lines = [(name, value) for name, value in lines]

    def all(self, name):
        return [value for key, value in self.lines if key == name]

    def one(self, name):
        [value] = self.all(name)
        return value

    def allowed(self):
        """The calls of SystemCallFilter=, as systemd comes to them, as a profile."""
        names = set()
        for line in self.all("SystemCallFilter"):
            of_line = {name for word in line.lstrip("~").split() for name in self._expand(word)}
            names = names - of_line if line.startswith("~") else names | of_line
        # What every allow-list has.
        names |= self._expand("@default")
        return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": sorted(names), "action": "SCMP_ACT_ALLOW"}]}

    def _expand(self, word):
        if not word.startswith("@"):
            return {word}
        listed = self.root.run("systemd-analyze", "syscall-filter", word).splitlines()
        words = [line.strip() for line in listed if line.startswith("    ") and not line.strip().startswith("#")]
        return {name for word in words for name in self._expand(word)}

    def start(self, notify):
        """Runs ExecStartPre= to its end, and then ExecStart=, with the user, the limits and the calls of the unit."""
        profile = self.allowed()

        def become():
            for kind, name in ((resource.RLIMIT_NOFILE, "LimitNOFILE"), (resource.RLIMIT_MEMLOCK, "LimitMEMLOCK")):
                resource.setrlimit(kind, (limit(self.one(name), resource.getrlimit(kind)[1]),) * 2)
            self.root.enter(self.one("User"))
            os.umask(int(self.one("UMask"), 8))
            os.chdir(self.one("WorkingDirectory"))
            # With a parent-death signal no server outlives a test run that is killed.
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            confine(profile)

        common = {"preexec_fn": become, "stdin": subprocess.DEVNULL, "stdout": sys.stderr, "env": environment()}
        subprocess.run(self.one("ExecStartPre").split(), check=True, timeout=60, **common)
        common["env"]["NOTIFY_SOCKET"] = notify.name
        return subprocess.Popen(self.one("ExecStart").split(), **common)


class Notify:
    """What a server tells its supervisor."""

    name = "/run/notify"

    def __init__(self, root):
        self.path = root.path / self.name.lstrip("/")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.socket.settimeout(60)
        self.path.chmod(0o777)

    def wait_for(self, line):
        while line not in self.socket.recv(4096).decode().splitlines():
            pass

    def close(self):
        self.socket.close()
        self.path.unlink()


def limit(wanted, here):
    """A limit of a unit, or what this machine lets a process have where that is less."""
    wanted = resource.RLIM_INFINITY if wanted == "infinity" else int(wanted)
    both = [it for it in (wanted, here) if it != resource.RLIM_INFINITY]
    return min(both, default=resource.RLIM_INFINITY)


def environment():
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
