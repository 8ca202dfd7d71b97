"""A server with all that can be scraped: TLS, hooks through a Redis stream, a cluster, a back end that knows apps, the console.
And what its scrape has."""

import re
import subprocess

from measured import HOST, Measured, free_port

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Everything(Measured):
    def __init__(self, directory, redis):
        certificate, key = directory / "cert.pem", directory / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "90"]
            + ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
            capture_output=True,
            check=True,
        )
        settings = directory / "corecast.toml"
        settings.write_text(f"""
            admin_token = "a-token-of-the-tests"
            apps_url = "http://{HOST}:{free_port()}/app"
            [tls]
            listen = "{HOST}:{free_port()}"
            cert = "{certificate}"
            key = "{key}"
            [cluster]
            redis = ["{redis.url}"]
            [hooks]
            data_dir = "{directory / "data"}"
            redis_url = "{redis.url}"
            stream = "corecast:hooks"
            [[apps]]
            id = "7001"
            key = "sdk-key"
            secret = "sdk-secret"
            [[apps.hooks]]
            url = "http://{HOST}:{free_port()}/hook"
        """)
        super().__init__(arguments=["--config", str(settings)], app=())


def families(text):
    """Each family of a scrape: its type, its help, and the labels of its samples."""
    found = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, help_text = line[7:].split(" ", 1)
            found[name] = {"help": help_text, "labels": set()}
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            found[name]["type"] = kind
        elif line:
            name, labels, _ = SAMPLE.match(line).groups()
            family = found[family_of(name, found)]
            family["labels"] |= {label for label, _ in LABEL.findall(labels or "")}
    return found


def family_of(name, found):
    """The family that a sample of this name belongs to."""
    for end in ("_bucket", "_sum", "_count"):
        base = name.removesuffix(end)
        if base != name and found.get(base, {}).get("type") == "histogram":
            return base
    return name
