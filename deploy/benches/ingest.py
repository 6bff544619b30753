#!/usr/bin/python3
"""deploy/bench ingest: what a hub takes in, beside nginx's WebDAV PUT of the same files.

Tests/IngestLoad is all nodes at once: it makes keys, logs and footage first, connects with mutual TLS 1.3, and then sends bodies
that are encoded already. For nginx it sends the same files from the same memory over the same TLS, one PUT a file, and `sync -f`
at the end is within nginx's time; Fieldpost's answers come when files, folders and catalogue are synced. Both write to the same file
system, one after the other in alternating order, and what they wrote is removed when all is measured: for minutes after a removal ext4 looks
twice at every inode that it gives out, which tripled the cost of a small file. Generator and hub share this machine's processors.
"""
import argparse
import json
import os
import select
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FIELDPOST_BIN", "")
# Nodes, segments of each, bytes of a segment, bytes of a push: what fits into memory, and lasts for seconds.
LARGE = {1: (1, 500, 2_000_000, 200 << 20), 50: (50, 10, 2_000_000, 100 << 20), 2000: (2000, 1, 1_000_000, 4 << 20)}
SMALL = {1: (1, 8_000, 65_536, 200 << 20), 50: (50, 200, 65_536, 100 << 20), 2000: (2000, 8, 65_536, 4 << 20)}
METRICS = {
    "mb_per_s_ratio": ("ratio", 0.8, "higher"),
    "small_segments_per_s": ("1/s", 2000, "higher"),
    "rss_mb_2000": ("MB", 512, "lower"),
    "hello_p99_ms_2000": ("ms", None, "lower"),
}
# Beside the metrics, as they come out of the same runs.
NOTED = {
    "mb_per_s_ratio_1": ("ratio", None, "higher"),
    "mb_per_s_ratio_2000": ("ratio", None, "higher"),
    "small_segments_per_s_1": ("1/s", None, "higher"),
    "small_segments_per_s_2000": ("1/s", None, "higher"),
    "rss_mb_50": ("MB", None, "lower"),
    "hello_p99_ms_50": ("ms", None, "lower"),
}
NGINX = """
daemon off; master_process on; worker_processes auto; worker_rlimit_nofile 16384; pid {work}/nginx.pid; error_log {work}/nginx.log error; user root;
events {{ worker_connections 8192; }}
http {{
    access_log off; client_body_temp_path {work}/incoming; client_max_body_size 0; client_body_buffer_size 64k; keepalive_requests 1000000;
    proxy_temp_path {work}/t1; fastcgi_temp_path {work}/t2; uwsgi_temp_path {work}/t3; scgi_temp_path {work}/t4;
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096; ssl_protocols TLSv1.3; ssl_certificate {work}/hub.crt; ssl_certificate_key {work}/hub.key;
        ssl_verify_client optional_no_ca;
        root {work}/put;
        location / {{ dav_methods PUT; create_full_put_path on; }}
    }}
}}
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def emit(metric, value, runs, note):
    unit, target, better = {**METRICS, **NOTED}[metric]
    line = {"bench": "ingest", "metric": metric, "value": value, "unit": unit, "target": target, "better": better, "runs": runs, "note": note}
    print(json.dumps(line), flush=True)


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status_mb(pid, key):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(key + ":")) / 1024


def sync_all(path):
    subprocess.run(["sync", "-f", path], check=True)


class Load:
    """The generator: made ready first, then told where to send."""

    def __init__(self, mode, shape, hub=None):
        arguments = [f"{BIN}/IngestLoad", mode, *map(str, shape)] + ([hub] if hub else [])
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.line()

    def line(self, seconds=300):
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise RuntimeError("the generator did not answer in time")
        text = self.process.stdout.readline()
        if not text:
            raise RuntimeError(f"the generator ended with {self.process.wait()}")
        return text

    def run(self, host, port):
        self.process.stdin.write(f"{host} {port}\n")
        self.process.stdin.flush()
        return json.loads(self.line())

    def stop(self):
        self.process.kill()
        self.process.wait()


def push(work, shape):
    """One run against a new hub: the generator's result, with the hub's peak memory."""
    data = tempfile.mkdtemp(prefix="hub-", dir=work)
    hub = load = None
    try:
        subprocess.run([f"{BIN}/fieldpost-hub", "init", "--data", data, "--nodes-port", "0", "--people-port", "0"], check=True, stdout=subprocess.DEVNULL)
        with open(f"{data}/hub.yaml", "a") as file:
            # All nodes come from one address here.
            file.write("limits:\n  connections_per_address: 4000\n")
        load = Load("push", shape, data)
        sync_all(work)
        hub = subprocess.Popen([f"{BIN}/fieldpost-hub", "serve", "--data", data], stdout=subprocess.PIPE, stderr=open(f"{work}/hub.log", "w"), text=True)
        host, port = json.loads(hub.stdout.readline())["nodes"].rsplit(":", 1)
        before = cpu_seconds(hub.pid)
        result = load.run(host, port)
        result["cpu_seconds"] = cpu_seconds(hub.pid) - before
        result["rss_mb"] = status_mb(hub.pid, "VmHWM")
        wanted = shape[0] * shape[1]
        if result["segments"] != wanted or sum(len(files) for _, _, files in os.walk(f"{data}/blobs")) != wanted:
            raise RuntimeError(f"not every segment is at the hub: {result}")
        return result
    finally:
        for process in (hub, load and load.process):
            if process:
                process.kill()
                process.wait()


def put(work, shape):
    """One run against nginx, its sync included."""
    server = load = None
    work = tempfile.mkdtemp(prefix="nginx-", dir=work)
    try:
        for name in ("hub.crt", "hub.key"):
            os.link(f"{os.path.dirname(work)}/{name}", f"{work}/{name}")
        for name in ("incoming", "put"):
            os.makedirs(f"{work}/{name}")
        port = free_port()
        with open(f"{work}/nginx.conf", "w") as file:
            file.write(NGINX.format(work=work, port=port))
        load = Load("put", shape)
        sync_all(work)
        server = subprocess.Popen(["/usr/sbin/nginx", "-c", f"{work}/nginx.conf", "-e", f"{work}/nginx.log"])
        wait_for(port)
        result = load.run("127.0.0.1", port)
        began = time.monotonic()
        sync_all(work)
        result["seconds"] += time.monotonic() - began
        if sum(len(files) for _, _, files in os.walk(f"{work}/put")) != shape[0] * shape[1]:
            raise RuntimeError("not every file is at nginx")
        return result
    finally:
        if server:
            server.send_signal(signal.SIGTERM)
            server.wait()
        if load:
            load.stop()


def wait_for(port):
    import socket
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("nginx does not listen")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rate(result):
    return result["bytes"] / result["seconds"] / 1e6


def measure_ratio(work, metric, nodes, runs):
    shape, ours, theirs, processor = LARGE[nodes], [], [], []
    for number in range(runs):
        both = [("fieldpost", push), ("nginx", put)]
        for name, measure in both if number % 2 == 0 else reversed(both):
            result = measure(work, shape)
            say(f"{metric}: {name} {rate(result):.0f} MB/s ({result['seconds']:.2f} s)")
            (ours if name == "fieldpost" else theirs).append(rate(result))
            if name == "fieldpost":
                processor.append(result["cpu_seconds"] / (result["bytes"] / 1e9))
    ratios = [a / b for a, b in zip(ours, theirs)]
    note = f"{shape[1]} files of {shape[2] / 1e6:g} MB from each of {nodes} nodes: fieldpost {statistics.median(ours):.0f}, nginx {statistics.median(theirs):.0f} MB/s; "
    note += f"runs {', '.join(f'{ratio:.2f}' for ratio in ratios)}; hub's processor {statistics.median(processor):.1f} s a GB; generator and hub share {os.cpu_count()} cores"
    emit(metric, round(statistics.median(ratios), 3), runs, note)


def measure_small(work, metric, nodes, runs, wanted):
    results = [push(work, SMALL[nodes]) for _ in range(runs)]
    rates = [result["segments"] / result["seconds"] for result in results]
    for result in results:
        say(f"{metric}: {json.dumps(result)}")
    spread = f"{min(rates):.0f} to {max(rates):.0f}"
    note = f"{SMALL[nodes][1]} of 64 KiB from each of {nodes} nodes, entries included; {spread}; generator and hub share {os.cpu_count()} cores"
    if metric in wanted:
        emit(metric, round(statistics.median(rates)), runs, note)
    if (name := f"rss_mb_{nodes}") in wanted:
        emit(name, round(statistics.median(result["rss_mb"] for result in results), 1), runs, f"VmHWM with {nodes} nodes connected and pushing {SMALL[nodes][1]} segments each")
    if (name := f"hello_p99_ms_{nodes}") in wanted:
        middle = statistics.median(result["hello_p50_ms"] for result in results)
        value = statistics.median(result["hello_p99_ms"] for result in results)
        emit(name, round(value, 1), runs, f"{nodes} connected nodes say hello in one moment and push as soon as they are answered; median {middle:.0f} ms")


def main():
    parser = argparse.ArgumentParser(prog="deploy/bench ingest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the metrics and stop")
    parser.add_argument("--only", nargs="+", default=[], metavar="METRIC")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--directory", help="for working files; default: .build/bench of this tree")
    options = parser.parse_args()
    names = [*METRICS, *NOTED]
    if options.list:
        print("ingest", *names)
        return
    if strange := [name for name in options.only if name not in names]:
        parser.error(f"--only: there is no {', '.join(strange)}; there are {', '.join(names)}")
    wanted = set(options.only or names)
    parent = options.directory or os.path.join(ROOT, ".build", "bench")
    os.makedirs(parent, exist_ok=True)
    work = tempfile.mkdtemp(prefix=f"ingest-{os.getpid()}-", dir=parent)
    good = True
    try:
        for name in ("hub.crt", "hub.key"):
            open(f"{work}/{name}", "w").close()
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=hub"]
            + ["-keyout", f"{work}/hub.key", "-out", f"{work}/hub.crt"], check=True, stderr=subprocess.DEVNULL)
        jobs = [({f"mb_per_s_ratio{end}"}, measure_ratio, (f"mb_per_s_ratio{end}", nodes, options.runs)) for nodes, end in ((50, ""), (1, "_1"), (2000, "_2000"))]
        for nodes, end in ((50, ""), (1, "_1"), (2000, "_2000")):
            metric = f"small_segments_per_s{end}"
            jobs.append(({metric, f"rss_mb_{nodes}", f"hello_p99_ms_{nodes}"}, measure_small, (metric, nodes, options.runs, wanted)))
        for metrics, measure, arguments in jobs:
            if not metrics & wanted:
                continue
            try:
                measure(work, *arguments)
            except (RuntimeError, OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
                good = False
                for metric in sorted(metrics & wanted):
                    emit(metric, None, 0, f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(0 if good else 1)


main()
