"""Certificates that are made here, good and bad."""

import subprocess


class Pair:
    """A certificate for a name and its key, good for so many days from now, or from some days ago."""

    def __init__(self, directory, name, days=90, days_ago=0):
        self.cert, self.key = directory / f"{name}.pem", directory / f"{name}.key"
        then = ["faketime", "-f", f"-{days_ago}d"] if days_ago else []
        subprocess.run(
            [*then, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            + ["-days", str(days), "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
            + ["-keyout", self.key, "-out", self.cert],
            capture_output=True,
            check=True,
        )

    def flags(self):
        return ["--tls-cert", self.cert, "--tls-key", self.key]
