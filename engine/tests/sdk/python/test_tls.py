"""The server SDK for Python over https, by an authority of its own, and who hears it over wss."""

import json
import ssl
import subprocess
import sys

import pusher
import pytest
import requests
import websocket

from server import APP_ID, HOST, KEY, SECRET, Server, free_port

WAIT_S_MAX = 15


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """An authority, and a certificate of it for the address of the tests."""
    folder = tmp_path_factory.mktemp("tls")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Tests", *usage)
    openssl("req", *key, "-keyout", "key.pem", "-out", "request.pem", "-subj", f"/CN={HOST}")
    extensions = [f"subjectAltName=IP:{HOST}", "basicConstraints=CA:FALSE", "authorityKeyIdentifier=keyid", "extendedKeyUsage=serverAuth"]
    (folder / "names").write_text("\n".join(extensions) + "\n")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "1", "-extfile", "names"]
    openssl("x509", "-req", "-in", "request.pem", *signing, "-out", "certificate.pem")
    return folder


@pytest.fixture(scope="module")
def secure(pair):
    port = free_port()
    files = ("--tls-cert", str(pair / "certificate.pem"), "--tls-key", str(pair / "key.pem"))
    running = Server(arguments=("--tls-listen", f"{HOST}:{port}", *files))
    running.secure_port = port
    yield running
    running.stop()


def sdk(secure, **more):
    return pusher.Pusher(APP_ID, KEY, SECRET, ssl=True, host=HOST, port=secure.secure_port, timeout=15, **more)


def test_what_is_published_by_https_arrives_by_wss(pair, secure, monkeypatch):
    # The SDK trusts the authorities of a file of its own, and no others.
    monkeypatch.setattr("pusher.requests.CERT_PATH", str(pair / "ca.pem"))
    url = f"wss://{HOST}:{secure.secure_port}/app/{KEY}?protocol=7"
    trusts = {"ca_certs": str(pair / "ca.pem"), "cert_reqs": ssl.CERT_REQUIRED}
    client = websocket.create_connection(url, timeout=WAIT_S_MAX, sslopt=trusts)

    def hear(name):
        while (frame := json.loads(client.recv()))["event"] != name:
            pass
        return frame

    hear("pusher:connection_established")
    client.send(json.dumps({"event": "pusher:subscribe", "data": {"channel": "tls-python"}}))
    hear("pusher_internal:subscription_succeeded")
    for data in ("東京", "x" * 9_000):
        sdk(secure).trigger("tls-python", "said", data)
        assert hear("said")["data"] == data
    assert sdk(secure).channels_info("tls-python")["channels"] == {"tls-python": {}}
    client.close()


def test_an_authority_that_is_not_known_is_not_trusted(secure):
    with pytest.raises(requests.exceptions.SSLError):
        sdk(secure).trigger("tls-python", "said", "x")


def test_nothing_is_below_the_intermediate_level_of_mozilla(pair, secure):
    address, authority = f"{HOST}:{secure.secure_port}", str(pair / "ca.pem")
    command = [sys.executable, "-m", "sslyze", "--mozilla_config=intermediate", "--certinfo_ca_file", authority, address]
    scanned = subprocess.run(command, capture_output=True, text=True, timeout=120)
    print(scanned.stdout[-4000:], scanned.stderr[-1000:])
    assert scanned.returncode == 0 and f"{address}: OK - Compliant." in scanned.stdout
