"""What capturing costs a request: `python -m bench.capture`.

A store that takes 20 ms an input; 4 threads that log 100 kB each time, as fast as a server with 200
requests a second does. The same loop without a capture is the limit.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from labelloop_capture import Capture

CALLS, THREADS, PAUSE_S, STORE_S, SIZE = 2_000, 4, 0.02, 0.02, 100_000


class Store(BaseHTTPRequestHandler):
    """Takes everything, slowly."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(STORE_S)
        self.send_response_only(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def calls_of(capture: Capture | None) -> np.ndarray:
    """Seconds of each call, over all threads."""
    body = b"\x89PNG\r\n\x1a\n" + bytes(SIZE)
    took: list[float] = []

    def serve() -> None:
        own = []
        for _ in range(CALLS // THREADS):
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            if capture is not None:
                capture.log(body, "Bread", 0.9, attributes={"site": "Bern"})
            own.append(time.perf_counter() - began)
        took.extend(own)

    threads = [threading.Thread(target=serve) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.array(took)


def main() -> None:
    """Print the table."""
    command = [sys.executable, "-c", "import labelloop_capture"]
    bare = [sys.executable, "-c", "pass"]
    least = {}
    for name, each in (("bare", bare), ("import", command)):
        runs = []
        for _ in range(9):
            began = time.perf_counter()
            subprocess.run(each, check=True)
            runs.append(time.perf_counter() - began)
        least[name] = min(runs)
    print(f"import: {1000 * (least['import'] - least['bare']):.0f} ms beyond Python's own start")
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Store) as server,
        tempfile.TemporaryDirectory() as spool,
    ):
        store = os.fork()  # a store in this process would take turns with the requests
        if not store:
            server.serve_forever()
        capture = Capture(
            "s3://b",
            spool=Path(spool),
            endpoint_url=f"http://127.0.0.1:{server.server_port}",
            aws_access_key_id="a",
            aws_secret_access_key="b",  # noqa: S106
            region_name="r",
        )
        capture.log(b"first", "Bread")
        capture.flush(20)
        for name, own in (("no capture", None), ("capture", capture)):
            us = 1e6 * calls_of(own)
            p50, p99 = np.quantile(us, [0.5, 0.99])
            print(f"{name:12} {len(us):,} calls: p50 {p50:.1f} us, p99 {p99:.1f} us")
        print(capture.counts())
        capture.close()
        os.kill(store, signal.SIGKILL)


if __name__ == "__main__":
    main()
