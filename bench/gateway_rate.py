"""Images a second through the gateway, beside nginx before the same store. Needs nginx and wrk.

python -m bench.gateway_rate [--seconds 10]

Images of 100 kB in a folder and in an S3 server, on the same cores. Three ways: nginx before the store
(links signed beforehand); the gateway; nginx with deploy/nginx.conf before it, which sends the bytes of
a folder by itself.
That each way gives the right bytes, and nothing but labelloop's headers, is looked at first.
"""

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
from tests.chaos.served import Instance
from tests.odd_keys import ODD_KEYS

from labelloop.demo.process import free_ports
from labelloop.demo.servers import SeaweedFS
from labelloop.loop import Loop
from labelloop.project import Project
from labelloop.settings.file import load
from labelloop.testing import MemoryAnnotator
from labelloop.web.media import SAFELY

N = 200
AT_ONCE = 4
KEPT = "connection content-length content-type date server access-control-allow-origin etag"
DEPLOY = Path(__file__).parents[1] / "deploy" / "nginx.conf"
SETTINGS = """
[project]
name = "images"
classes = ["cat", "dog"]
[store]
{store}
[label_studio]
url = "http://127.0.0.1:9"
api_key = "k"
[service]
port = {port}
run_every = "1 day"
log = "json"
x_accel = "/labelloop-images/"
[service.auth]
trusted_proxies = ["127.0.0.2"]
[[queue]]
name = "accuracy"
purpose = "evaluation"
images = "gateway"
budget = 1000
"""
WRK = """
local paths = {{}}
for line in io.lines("{paths}") do table.insert(paths, line) end
local i = 0
request = function()
  i = i % #paths + 1
  return wrk.format("GET", paths[i])
end
"""


def image(n: int) -> bytes:
    """A PNG, as far as anybody looks."""
    return b"\x89PNG\r\n\x1a\n" + f"{n:08}".encode() + os.urandom(100_000)


def names() -> list[str]:
    """Names of images, odd ones among them."""
    odd = [key for key in ODD_KEYS if not key.endswith("/") and "//" not in key]
    return odd + [f"class_07/{n:04}.png" for n in range(N - len(odd))]


def tags() -> dict[str, str]:
    """What the application says of each."""
    at = datetime.now(UTC) - timedelta(hours=1)
    return {"predicted_class": "cat", "confidence": "0.9", "timestamp": at.isoformat()}


@contextmanager
def nginx(folder: Path, *, service: int, at: int, store: str) -> Iterator[None]:
    """The configuration to deploy with, on ports of ours, before a store: a host, or a folder.

    It asks from 127.0.0.2, so that the service tells it from others.
    """
    text = DEPLOY.read_text()
    text = re.sub(r"listen 443 ssl;|ssl_certificate\w* [^;]+;", "", text)
    text = text.replace("server_name", f"listen 127.0.0.1:{at}; proxy_bind 127.0.0.2; server_name")
    text = text.replace("127.0.0.1:8500", f"127.0.0.1:{service}")
    bare = f"location /bare/ {{ alias {store}/; }}"
    text = text.replace("/srv/images", store)
    if not store.startswith("/"):
        bare = f"""location /bare/ {{ proxy_pass http://{store}/; proxy_http_version 1.1;
            proxy_set_header Connection ""; proxy_buffers 16 16k; proxy_max_temp_file_size 0; }}"""
    text = text.replace("location / {", f"{bare}\n    location / {{", 1)
    config = folder / "nginx.conf"
    config.write_text(
        f"user root; daemon off; worker_processes 2; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{ }} http {{ access_log off; sendfile on; client_body_temp_path {folder}/body;\n"
        f"proxy_temp_path {folder}/proxy; include /etc/nginx/mime.types;\n{text}\n}}\n"
    )
    command = [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(config)]
    with subprocess.Popen(command) as process:
        try:
            wait(lambda: httpx.get(f"http://127.0.0.1:{at}/healthz", trust_env=False).is_success)
            yield
        finally:
            process.terminate()


def wait(what: object) -> None:
    """Return once it is so."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if what():  # type: ignore[operator]
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("it did not come to that in time")


def wrk(url: str, paths: list[str], seconds: float, folder: Path) -> tuple[float, str]:
    """Requests a second over some connections at once, and what failed."""
    (folder / "paths").write_text("\n".join(paths))
    (folder / "wrk.lua").write_text(WRK.format(paths=folder / "paths"))
    command = ["wrk", "-t1", f"-c{AT_ONCE}", f"-d{seconds:g}s", "-s", str(folder / "wrk.lua"), url]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", said)
    assert found is not None, said
    wrong = re.search(r"(Non-2xx[^\n]*|Socket errors[^\n]*)", said)
    return float(found[1]), wrong[1] if wrong else ""


def p95_ms(url: str, paths: list[str], rate: float, seconds: float) -> float:
    """The 95th percentile of the time for an image, at a rate that is kept."""
    took: list[float] = []
    began = time.monotonic()

    def ask(which: int) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            for n in range(which, int(rate * seconds), 8):
                time.sleep(max(0.0, began + n / rate - time.monotonic()))
                at = time.monotonic()
                client.get(paths[n % len(paths)]).raise_for_status()
                took.append(1000 * (time.monotonic() - at))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sorted(took)[int(0.95 * len(took))]


def cpu_s(pid: int) -> float:
    """The time that a process has kept a core busy."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check(url: str, direct: str, paths: list[str], bodies: set[bytes], *, by_nginx: bool) -> None:
    """Raise unless every image comes whole and in parts, with labelloop's headers alone."""
    seen = set()
    with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
        for path in paths:
            shown = client.get(path)
            assert shown.status_code == 200, (path, shown.text[:200])
            seen.add(shown.content)
            own = client.get(path, headers={"Range": "bytes=8-15"})
            assert (own.status_code, own.content) == (206, shown.content[8:16]), own.headers
            assert (
                client.get(path, headers={"If-None-Match": shown.headers["etag"]}).status_code
                == 304
            )
            assert client.head(path).headers["content-length"] == str(len(shown.content))
            allowed = {name.lower() for name in SAFELY} | set(KEPT.split())
            assert set(shown.headers) <= allowed, set(shown.headers) - allowed
            assert shown.headers["content-type"] == "image/png"
            for name in ("X-Content-Type-Options", "Content-Security-Policy", "Cache-Control"):
                assert shown.headers.get_list(name) == [SAFELY[name]], (name, shown.headers)
            assert "nginx" in shown.headers["server"] if by_nginx else True
    assert seen == bodies
    assert "x-accel-redirect" not in httpx.get(direct + paths[0], trust_env=False).headers
    assert httpx.get(f"{url}/labelloop-images/x", trust_env=False).is_error


def measure(
    what: str, folder: Path, store: str, bare: list[str], host: str, seconds: float
) -> None:
    """Print a line a way."""
    port, front = free_ports(2)
    config = folder / "labelloop.toml"
    config.write_text(SETTINGS.format(store=store, port=port))
    annotator = MemoryAnnotator()
    with Loop(Project(load(config, {}), annotator=annotator)) as loop:
        failures = loop.run(now=True).failures
        assert not failures, failures
    [project] = annotator.projects()
    ids = annotator.task_ids(project.project_ref)
    links = [urlsplit(str(annotator.data_of(i)["image"])).path for i in ids]
    assert len(links) == N, len(links)
    bodies = BODIES[what]
    service = Instance(folder, port, name="serve", aim=False)
    service.start()
    url, direct = f"http://127.0.0.1:{front}", service.url
    try:
        wait(lambda: httpx.get(f"{direct}/healthz", trust_env=False).is_success)
        with nginx(folder, service=port, at=front, store=host):
            check(url, direct, links, bodies, by_nginx=True)
            check(direct, direct, links, bodies, by_nginx=False)
            wait(lambda: sum(line["what"] in {"done", "failed"} for line in service.lines()) > 6)
            for way, at, paths in (
                ("nginx before the store", url, bare),
                ("the gateway", direct, links),
                ("nginx before the gateway", url, links),
            ):
                assert service.process is not None
                before = cpu_s(service.process.pid)
                rate, wrong = wrk(at, paths, seconds, folder)
                cpu_ms = 1000 * (cpu_s(service.process.pid) - before) / (rate * seconds)
                half = p95_ms(at, paths, rate / 2, seconds)
                held = Path(f"/proc/{service.process.pid}/status").read_text()
                memory = int(re.findall(r"VmRSS:\s+(\d+)", held)[0]) / 1024
                print(
                    f"{what:<8} {way:<26} {rate:7.0f}/s  p95 at half {half:6.1f} ms  "
                    f"web {memory:4.0f} MB {cpu_ms:5.2f} ms of CPU  {wrong}",
                    flush=True,
                )
    finally:
        service.kill("both")


BODIES: dict[str, set[bytes]] = {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="labelloop-gateway-") as home:
        folder, images = Path(home, "folder"), Path(home, "folder", "images")
        made = {name: image(n) for n, name in enumerate(names())}
        for name, body in made.items():
            path = images / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)
            lines = ", ".join(f'"{key}": "{value}"' for key, value in tags().items())
            Path(f"{path}.json").write_text(f"{{{lines}}}")
        BODIES["folder"] = BODIES["S3"] = set(made.values())
        bare = [f"/bare/{quote(name)}" for name in made]
        measure("folder", folder, 'uri = "images"', bare, str(images), asked.seconds)
        with SeaweedFS(Path(home, "s3")) as server:
            client = server.client()  # its links don't sign a Host
            client.create_bucket(Bucket="production")
            said = "&".join(f"{key}={quote(value)}" for key, value in tags().items())
            for name, body in made.items():
                client.put_object(Bucket="production", Key=name, Body=body, Tagging=said)
            signed = [
                client.generate_presigned_url(
                    "get_object", Params={"Bucket": "production", "Key": k}
                )
                for k in made
            ]
            client.close()
            bare = [f"/bare{url.removeprefix(server.endpoint_url)}" for url in signed]
            store = (
                f'uri = "s3://production"\nendpoint_url = "{server.endpoint_url}"\n'
                f'access_key = "{server.access_key}"\nsecret_key = "{server.secret_key}"'
            )
            place = Path(home, "bucket")
            place.mkdir()
            measure("S3", place, store, bare, urlsplit(server.endpoint_url).netloc, asked.seconds)


if __name__ == "__main__":
    main()
