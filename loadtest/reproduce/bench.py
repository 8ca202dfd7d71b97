"""Servers that are started, measured once by one run of the load test, and ended; and rounds of such runs, interleaved."""

import json
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

APP = "1:key:secret"
FLAMES = Path(__file__).resolve().parents[1] / "flames"


class Bench:
    def __init__(self, options, cores, reports):
        self.options, self.cores, self.reports = options, cores, reports
        self.quick, self.rounds = options.quick, options.rounds
        self.seconds = 2 if options.quick else 10
        # Commands before both processes, for a network of their own.
        self.prefix = []
        self.commands = []
        # While set, the server yields to the generator, which has its core besides its own, and precedence over others.
        self.generator_first = False
        self.flames = FLAMES
        self.precedence = precedence()
        reports.mkdir(parents=True, exist_ok=True)
        told = subprocess.run([options.loadtest, "fanout", "--help"], capture_output=True, text=True, check=True)
        self.has_pages = "--report" in told.stdout

    def few(self, connections):
        """As many connections as asked for, or what shows in short that it works."""
        return max(connections // 20, 1) if self.quick else connections

    def measure(self, row, server, *scenario, **extra):
        """One run against a fresh server: the JSON of the load test, with that of the floor under `floor`."""
        with self.serve(server, **extra) as (pid, address, told):
            report = self.drive(f"{row}-{server}", pid, address, scenario)
        report["floor"] = told
        return report

    def drive(self, name, pid, address, scenario):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            arguments = [*map(str, scenario), "--ws", address, "--app", APP]
            cores = f"{self.cores.server},{self.cores.generator}" if self.generator_first else self.cores.generator
            first = self.precedence if self.generator_first else []
            command = self.pinned(cores, *first, self.options.loadtest, *arguments, "--pid", pid, "--json", file.name)
            if self.has_pages:
                command += ["--report", str(self.reports / f"{name}.html")]
            shown = "corecast-loadtest " + " ".join(map(str, scenario))
            if shown not in self.commands:
                self.commands.append(shown)
            ran = subprocess.run(command, capture_output=True, text=True, timeout=900)
            if ran.returncode != 0:
                raise RuntimeError(ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else "the load test failed")
            return json.loads(Path(file.name).read_text())

    @contextmanager
    def serve(self, server, shards=None, config=None, arguments=(), binary=None, tls=False):
        """`corecast`, or a mode of the floor. Gives pid, address, and what the floor says when it has ended. `config` is the
        text of a file that has the app; FOLDER in it is one for this run. With `tls` the address is one with TLS."""
        told, address = {}, f"127.0.0.1:{free_port()}"
        with tempfile.TemporaryDirectory() as folder:
            last_words = Path(folder) / "floor.json"
            if server == "corecast":
                command = [binary or self.options.corecast, "serve", *listen(address, tls, folder), *arguments]
                command += ["--shards", shards] if shards else []
                command += self.app_of(config, Path(folder))
            else:
                command = [self.options.loadtest, "floor", "--mode", server, "--listen", address, "--json", last_words]
            command = ["nice", "-n", 19, *command] if self.generator_first else command
            command = self.pinned(self.cores.server, *command)
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                wait_until_listening(process)
                yield process.pid, address, told
            finally:
                # A floor writes its figures down at its end; a server that drains only takes its time.
                end(process, signal.SIGKILL if server == "corecast" else signal.SIGTERM)
            if last_words.exists():
                told.update(json.loads(last_words.read_text()))

    def app_of(self, config, folder):
        if config is None:
            return ["--app", APP]
        file = folder / "corecast.toml"
        file.write_text(config.replace("FOLDER", str(folder)))
        return ["--config", file]

    def pinned(self, core, *command):
        return [*self.prefix, "taskset", "-c", str(core), *map(str, command)]

    def repeated(self, row, *scenario):
        """A run against a fresh server in each round."""
        return [self.measure(row, "corecast", *scenario) for _ in range(self.rounds)]

    def interleaved(self, row, runs):
        """Runs each of `runs` (name: arguments of `measure`) in turn, over all rounds. Gives a list of reports by name."""
        found = {name: [] for name in runs}
        for _ in range(self.rounds):
            for name, (server, scenario, extra) in runs.items():
                found[name].append(self.measure(row, server, *scenario, **extra))
        return found


def listen(address, tls, folder):
    """Flags for an address, and a certificate for it that is made in this folder."""
    if not tls:
        return ["--listen", address]
    cert, key = (f"{folder}/{name}.pem" for name in ["cert", "key"])
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9"]
    subprocess.run([*made, "-subj", "/CN=corecast", "-keyout", key, "-out", cert], check=True, capture_output=True)
    plain = f"127.0.0.1:{free_port(25_000)}"
    return ["--listen", plain, "--tls-listen", address, "--tls-cert", cert, "--tls-key", key]


def cpu(reports, per="delivery"):
    """Nanoseconds of the server and of ksoftirqd for each delivery, or whatever it is per."""
    return [r["server"][f"cpu_ns_per_{per}"] + (r["server"].get(f"ksoftirqd_ns_per_{per}") or 0) for r in reports]


def us(values):
    return f"{median(values) / 1000:.3f} µs"


def spoiled(*groups):
    """What makes figures doubtful, for the last column."""
    reports = [report for group in groups for report in group]
    bottleneck = sum(report["generator"]["bottleneck"] for report in reports)
    late = sum(report["generator"]["late"] for report in reports)
    waited = sum((report["server"].get("wait_ratio") or 0) > 0.05 for report in reports)
    notes = [f"generator was the bottleneck in {bottleneck} of {len(reports)} runs"] if bottleneck else []
    notes += [f"generator sent late in {late} of {len(reports)} runs"] if late else []
    notes += [f"server waited for its core in {waited} of {len(reports)} runs"] if waited else []
    return "".join(f"; {note}" for note in notes)


def precedence():
    """What gives a process precedence over others, if this user may."""
    told = subprocess.run(["nice", "-n", "-10", "true"], capture_output=True, text=True)
    return ["nice", "-n", "-10"] if told.returncode == 0 and not told.stderr else []


def median(values):
    return statistics.median(values)


def ratio(ours, theirs):
    """Median of the ratios within each round, with their range."""
    ratios = sorted(mine / other for mine, other in zip(ours, theirs))
    return median(ratios), f"{median(ratios):.2f} × ({ratios[0]:.2f}–{ratios[-1]:.2f})"


def free_port(first=21_000):
    """Below the range from which the kernel gives ports to clients."""
    for port in range(first, 32_000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port
    raise RuntimeError("no free port")


def wait_until_listening(process):
    """A listening socket of the process shows in its descriptors; asking it would be a connection that counts."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        if is_listening(process.pid):
            return time.sleep(0.3)
        time.sleep(0.05)
    raise RuntimeError("the server does not listen")


def is_listening(pid):
    try:
        lines = Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]
        listening = {f"socket:[{line.split()[9]}]" for line in lines if line.split()[3] == "0A"}
        return any(str(fd.readlink()) in listening for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def end(process, by):
    process.send_signal(by)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
