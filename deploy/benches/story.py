#!/usr/bin/python3
"""deploy/bench story: a day of four cameras, a link of 64 kbit/s that is up for two hours, and what the hub can show of the day then.

Each camera's day is 24 recordings of an hour (640x360, 5 pictures/s, a moving test picture), imported into one real node, so that the
whole day is there when the link comes up, as after a day without one. `story` is a node with thumbnails (one a minute, at most 6 KiB),
`oldest_first` the same node without: everything that it sends is footage, the oldest first. Both have joined a hub of their own.
The link (linkemu: 600 ms round trip, 1 % loss) runs --speed times as fast for that part of two hours, so it carries the same bytes; a
faster link wastes a little less on waiting. Then the hub is asked for its own timeline of the day, over its API, as a person's page is.

known_share: seconds of the day (of all cameras) for which the hub knows what there is: footage here, footage only on the node, or a gap
with its cause. full_share: footage on the hub. thumbnail_share: footage, proxy or a thumbnail of that time. Shares of 4 x 24 hours.
"""
import argparse
import concurrent.futures
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request

import linklib
from linklib import EVENT_TOKEN, EVENTS_PORT, HUB_IP, NODES_PORT, Rig, Scenario, output, pause, program, say

CAMERAS = ["gate", "yard", "road", "hall"]
DAY, DAY_MS = "20260102", 1_767_312_000_000  # 2026-01-02T00:00:00Z
KBIT, LINK_SECONDS = 64, 7200
PASSWORD = "only-for-this-bench-0123456789"
TARGETS = {"known_share": 1.0, "thumbnail_share": 0.95}
CONTENDERS = {"": True, "_oldest_first": False}
METRICS = [share + suffix for suffix in CONTENDERS for share in ("known_share", "thumbnail_share", "full_share")]
THUMBNAIL_SECONDS_MAX = 1800


def emit(metric, value, note):
    line = {"bench": "story", "metric": metric, "value": value, "unit": "ratio", "target": TARGETS.get(metric), "better": "higher", "runs": 1, "note": note}
    print(json.dumps(line), flush=True)


def make_cards(work):
    """An hour of video, and a card for each camera with 24 copies that differ in a `free` box at the end: no two have the same hash."""
    hour = os.path.join(work, "hour.mp4")
    say("encoding an hour of video")
    output(
        *"ffmpeg -v error -y -nostdin -f lavfi -i testsrc2=size=640x360:rate=5 -t 3600 -c:v libx264 -preset veryfast -pix_fmt yuv420p".split(),
        *"-g 25 -keyint_min 25 -b:v 60k -maxrate 90k -bufsize 180k".split(), hour)
    with open(hour, "rb") as file:
        content = file.read()
    for camera in CAMERAS:
        os.makedirs(f"{work}/cards/{camera}")
        for number in range(24):
            with open(f"{work}/cards/{camera}/{DAY}_{number:02}0000.mp4", "wb") as file:
                file.write(content + (16).to_bytes(4, "big") + b"free" + CAMERAS.index(camera).to_bytes(4, "big") + number.to_bytes(4, "big"))


def write_configuration(path, data, has_thumbnails, names=CAMERAS):
    cameras = "".join(f'  - {{id: "{camera}", url: "test:?size=160x96&fps=1&gop=2&bitrate=16k", mode: events}}\n' for camera in names)
    token = f"{path}.token"
    thumbnails = "{every_seconds: 60, max_bytes: 6144}" if has_thumbnails else "{enabled: false}"
    # They record nothing of their own: nobody raises an event.
    events = f'events: {{listen: "127.0.0.1:{EVENTS_PORT}", token_file: "{token}"}}\n'
    for name, text in ((token, EVENT_TOKEN + "\n"), (path, f'data_directory: "{data}"\ncameras:\n{cameras}compress: {{thumbnails: {thumbnails}}}\n{events}')):
        with open(name, "w", opener=lambda file, flags: os.open(file, flags, 0o600)) as file:
            file.write(text)


def prepare(rig, work, has_thumbnails):
    """A node with the day in it that has joined a hub, and, where it makes them, with its thumbnails made. Returns its configuration."""
    config, node, hub = (os.path.join(rig.directory, name) for name in ("node.yaml", "node", "hub"))
    rig.run("hub", "ip", "addr", "add", f"{HUB_IP}/32", "dev", "lo")
    first = json.loads(output(program("fieldpost-hub"), "init", "--data", hub, "--host", "0.0.0.0", "--nodes-port", NODES_PORT, "--people-port", 0, "--json"))
    serving = rig.spawn("hub", [program("fieldpost-hub"), "serve", "--data", hub])
    rig.wait_for_port(NODES_PORT)
    # An import is refused for a camera that the node records: these become its own afterwards.
    write_configuration(config, node, has_thumbnails, ["other"])
    output(program("fieldpost-edge"), "init", "--prepare", "--config", config)
    token = output(program("fieldpost-hub"), "join-token", "bench", "--data", hub, "--address", f"{HUB_IP}:{NODES_PORT}")
    rig.run("hub", program("fieldpost-edge"), "enrol", "-", "--config", config, input=token)
    rig.stop(serving)
    rig.run("hub", "ip", "addr", "del", f"{HUB_IP}/32", "dev", "lo")
    for camera in CAMERAS:
        output(program("fieldpost-edge"), "import", f"{work}/cards/{camera}", "--config", config, "--camera", camera, "--operator", "bench", "--json")
    write_configuration(config, node, has_thumbnails)
    if has_thumbnails:
        say("making thumbnails, without a link")
        making = rig.spawn("edge", [program("fieldpost-edge"), "run", "--config", config])
        began, last, since = time.monotonic(), -1, time.monotonic()
        while time.monotonic() - since < 20:
            if making.poll() is not None or time.monotonic() - began > THUMBNAIL_SECONDS_MAX:
                raise RuntimeError(f"thumbnails were not made: {rig.last_lines('edge')}")
            pause(1)
            made = sum(len(os.listdir(folder)) for camera in CAMERAS if os.path.isdir(folder := f"{node}/segments/{camera}/thumbs"))
            if made != last or made < 2 * 23 * len(CAMERAS):
                last, since = made, time.monotonic()
        # The last hour is packed by the stop.
        rig.stop(making)
    return config, hub, first


def timeline(hub, first):
    """The hub's own answer for the day, camera by camera. It serves on this machine now: the link is gone."""
    path = os.path.join(hub, "hub.yaml")
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace("0.0.0.0", "127.0.0.1"))
    serving = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", program("fieldpost-hub"), "serve", "--data", hub], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        people = json.loads(serving.stdout.readline())["people"]
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

        def ask(path, body=None, token=None):
            headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
            request = urllib.request.Request(people.rstrip("/") + path, data=json.dumps(body).encode() if body else None, headers=headers)
            with urllib.request.urlopen(request, context=context, timeout=120) as answer:
                return json.load(answer)

        token = ask("/api/v1/session", {"user": first["user"], "password": first["one_time_password"], "newPassword": PASSWORD})["token"]
        nodes = ask("/api/v1/nodes", token=token)
        node = (nodes["nodes"] if isinstance(nodes, dict) else nodes)[0]
        name = node.get("id") or node.get("node")
        return [ask(f"/api/v1/nodes/{name}/cameras/{camera}/timeline?from={DAY_MS}&to={DAY_MS + 86_400_000}", token=token) for camera in CAMERAS]
    finally:
        serving.terminate()
        serving.wait(30)


def shares(timelines):
    total = 86_400_000 * len(timelines)
    sums = {"known_share": 0, "thumbnail_share": 0, "full_share": 0}
    for answer in timelines:
        for span in answer["spans"]:
            length = min(span["endUnixMilliseconds"], DAY_MS + 86_400_000) - max(span["startUnixMilliseconds"], DAY_MS)
            is_full, is_known = span["state"] == "on-hub", span["state"] != "unknown"
            sums["known_share"] += length * is_known
            sums["full_share"] += length * is_full
            sums["thumbnail_share"] += length * (is_full or span.get("standIn") is not None)
    return {name: round(value / total, 4) for name, value in sums.items()}


def run(work, emulator, suffix, speed):
    has_thumbnails = CONTENDERS[suffix]
    with Rig(f"story{suffix.replace('_', '')}", os.path.join(work, f"run{suffix}"), emulator) as rig:
        config, hub, first = prepare(rig, work, has_thumbnails)
        rig.start_link(Scenario(KBIT * speed, 600, 1), 42, "cubic")
        rig.spawn("hub", [program("fieldpost-hub"), "serve", "--data", hub])
        rig.wait_for_port(NODES_PORT)
        began = time.monotonic()
        node = rig.spawn("edge", [program("fieldpost-edge"), "run", "--config", config])
        while time.monotonic() - began < LINK_SECONDS / speed:
            if node.poll() is not None:
                raise RuntimeError(f"the node ended by itself: {rig.last_lines('edge')}")
            pause(1)
        counts = rig.stop_link()
        rig.stop(*rig.children)
        sent = counts["a_to_b"]["in_bytes"]
        note = f"{sent / 1e6:.1f} of {KBIT * 125 * LINK_SECONDS / 1e6:.1f} MB went up; link {speed} times as fast for {LINK_SECONDS // speed} s"
        return suffix, shares(timeline(hub, first)), note


def main():
    parser = argparse.ArgumentParser(prog="deploy/bench story", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the metrics and stop")
    parser.add_argument("--only", nargs="+", default=[], metavar="METRIC", choices=METRICS)
    parser.add_argument("--speed", type=int, default=8, help="of the link, and so much less time; 1 is two hours (default 8)")
    parser.add_argument("--directory", help="where to work; 9 GB are needed (default: the system's)")
    options = parser.parse_args()
    if options.list:
        for metric in METRICS:
            print("story", metric)
        return
    wanted = options.only or METRICS
    suffixes = [suffix for suffix in CONTENDERS if any(metric.endswith("_oldest_first") == (suffix != "") for metric in wanted)]
    linklib.remove_leftovers(options.directory or tempfile.gettempdir())
    work = tempfile.mkdtemp(prefix=f"{linklib.PREFIX}-{os.getpid()}-", dir=options.directory)
    try:
        emulator = linklib.build_emulator(work)
        make_cards(work)
        with concurrent.futures.ThreadPoolExecutor(len(suffixes)) as pool:
            for suffix, found, note in pool.map(lambda suffix: run(work, emulator, suffix, options.speed), suffixes):
                for share, value in found.items():
                    if share + suffix in wanted:
                        emit(share + suffix, value, note)
    except (RuntimeError, OSError, KeyError, ValueError) as error:
        emit("all", None, str(error))
        sys.exit(1)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
