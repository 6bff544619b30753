"""Bad links for benches: two network namespaces joined by linkemu (linkemu.c beside this file), the processes in them, real
footage in a real node, and a hub that this node has joined. Needs root, iproute2, gcc and ffmpeg.

A Rig is one link with everything that runs over it. Its processes die with the thread that started them, and its
namespaces carry this process's id in their names, so that a later run removes what a killed one left behind.
"""
import collections
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HUB_IP = "10.77.0.2"
NODES_PORT, EVENTS_PORT = 7443, 8620
EVENT_TOKEN = "only-for-this-bench-0123456789"
PREFIX = "fpbench"

# Rate each way in kbit/s, round trip in ms, loss each way in percent, seconds up and down (0: always up), and the link time of
# one run in seconds.
Scenario = collections.namedtuple("Scenario", "kbit rtt_ms loss_percent up_s down_s link_s", defaults=(0, 0, 60))
SCENARIOS = {
    "clean": Scenario(8000, 40, 0),
    "lte1": Scenario(10000, 80, 1),
    "vsat1": Scenario(1000, 600, 1),
    "vsat5": Scenario(1000, 600, 5),
    "flapping": Scenario(1000, 200, 1, 20, 20),
    "gprs": Scenario(40, 700, 2),
    "duty_gprs": Scenario(40, 700, 1, 10, 50, 100),
    "duty_vsat": Scenario(2000, 600, 1, 10, 50, 100),
}

stopping = threading.Event()


class Stopped(Exception):
    """Somebody interrupted the bench."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def pause(seconds):
    if stopping.wait(max(0.0, seconds)):
        raise Stopped


def output(*argv, check=True, **options):
    result = subprocess.run([str(word) for word in argv], capture_output=True, text=True, **options)
    if check and result.returncode != 0:
        raise RuntimeError(f"{' '.join(str(word) for word in argv[:4])} … ended with {result.returncode}: {result.stderr.strip()[-500:]}")
    return result.stdout


def program(name):
    return os.path.join(os.environ["FIELDPOST_BIN"], name)


def up_seconds(scenario, elapsed):
    """How long the link was up during its first `elapsed` seconds."""
    if not scenario.down_s:
        return elapsed
    cycles, rest = divmod(elapsed, scenario.up_s + scenario.down_s)
    return cycles * scenario.up_s + min(rest, scenario.up_s)


def wall_seconds(scenario, link_seconds):
    """How long a run lasts in which the link is up for `link_seconds`; it ends with an up phase."""
    if not scenario.down_s:
        return link_seconds
    contacts = max(1, -(-int(link_seconds) // scenario.up_s))
    return contacts * scenario.up_s + (contacts - 1) * scenario.down_s


def build_emulator(directory):
    emulator = os.path.join(directory, "linkemu")
    output("gcc", "-O2", "-o", emulator, os.path.join(os.path.dirname(os.path.abspath(__file__)), "linkemu.c"))
    return emulator


def remove_leftovers(parent):
    """Namespaces of benches that were killed, and their folders in `parent`; those of running ones stay."""
    def is_left(name):
        match = re.match(rf"{PREFIX}-(\d+)-", name)
        return match and not os.path.exists(f"/proc/{match[1]}")

    for name in filter(is_left, output("ip", "netns", "list").split()):
        remove_namespace(name)
    for name in filter(is_left, os.listdir(parent)):
        shutil.rmtree(os.path.join(parent, name), ignore_errors=True)


def remove_namespace(name):
    for pid in output("ip", "netns", "pids", name, check=False).split():  # only what was started there can be in it
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    output("ip", "netns", "del", name, check=False)


class Rig:
    """Two namespaces, `edge` and `hub`, the link between them and the processes of one run; gone at its end."""

    def __init__(self, tag, directory, emulator):
        self.names = {side: f"{PREFIX}-{os.getpid()}-{tag}-{side}" for side in ("edge", "hub")}
        self.directory, self.emulator, self.children, self.link = directory, emulator, [], None
        os.makedirs(directory)

    def __enter__(self):
        try:
            for side, name in self.names.items():
                output("ip", "netns", "add", name)
                self.run(side, "ip", "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop(*self.children)
        for name in self.names.values():
            remove_namespace(name)
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, side, *argv, check=True, **options):
        return output("ip", "netns", "exec", self.names[side], *argv, check=check, **options)

    def spawn(self, side, argv):
        """The process has the id of the program itself: everything before it is replaced by it."""
        prefix = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", self.names[side]]
        with open(os.path.join(self.directory, f"{side}.log"), "ab") as log:
            child = subprocess.Popen([*prefix, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        self.children.append(child)
        return child

    def last_lines(self, side, count=5):
        with contextlib.suppress(OSError), open(os.path.join(self.directory, f"{side}.log"), errors="replace") as log:
            return "".join(log.readlines()[-count:]).strip()
        return ""

    def wait_for_port(self, port, seconds=30):
        deadline = time.monotonic() + seconds
        while not self.run("hub", "ss", "-Hltn", f"sport = :{port}", check=False):
            if time.monotonic() > deadline:
                raise RuntimeError(f"nothing listens on port {port} at the hub: {self.last_lines('hub')}")
            pause(0.1)

    def start_link(self, scenario, seed, congestion, shows_carrier=False):
        """Starts the emulator; the link is up when this returns. Returns the time at which its schedule began."""
        self.counts_file = os.path.join(self.directory, "link.json")
        argv = [self.emulator, "-a", self.names["edge"], "-b", self.names["hub"], "-r", scenario.kbit, "-d", scenario.rtt_ms / 2]
        argv += ["-l", scenario.loss_percent, "-u", scenario.up_s, "-w", scenario.down_s, "-s", seed, "-o", self.counts_file]
        argv += ["-c"] if shows_carrier else []
        self.link = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *map(str, argv)], stderr=subprocess.PIPE, text=True, start_new_session=True)
        self.children.append(self.link)
        line = self.link.stderr.readline()
        if "ready" not in line:
            raise RuntimeError(f"linkemu did not start: {line.strip()}")
        began = time.monotonic()
        for side in self.names:
            # Not the sysctl: a namespace may be refused that, a route takes any algorithm of the kernel.
            self.run(side, "ip", "route", "change", "10.77.0.0/24", "dev", "lnk0", "congctl", congestion, check=False)
            if f"congctl {congestion}" not in self.run(side, "ip", "route", "show", "dev", "lnk0"):
                raise RuntimeError(f"this kernel does not give a route the congestion control {congestion}")
        return began

    def stop_link(self):
        """Ends the link. Returns the emulator's counts each way."""
        self.stop(self.link)
        with open(self.counts_file) as file:
            return json.load(file)

    def congestion_controls(self):
        """What the connections open right now use at the sending side, by asking the kernel."""
        found = self.run("edge", "ss", "-Hti", "dst", "10.77.0.0/24", check=False)
        return set(re.findall(r"\b(reno|cubic|bbr)\b", found))

    def stop(self, *children):
        for how in (signal.SIGTERM, signal.SIGKILL):
            for child in children:
                if child.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(child.pid, how)  # each leads its own session, so its own group
            deadline = time.monotonic() + 5
            while any(child.poll() is None for child in children) and time.monotonic() < deadline:
                time.sleep(0.05)
        for child in children:
            if child.stderr:
                child.stderr.close()
        self.children = [child for child in self.children if child not in children]


class Footage:
    """Segments of a node that has joined a hub, as folders to copy, and the same segment files for everybody else."""

    # Name, size in bytes and SHA-256 of each segment.
    Segment = collections.namedtuple("Segment", "name bytes sha256")

    def __init__(self, segments, segment_bytes, directory, emulator):
        self.directory, self.files = directory, os.path.join(directory, "files")
        self.segments = []
        video = make_video(segments, segment_bytes)
        with Rig(f"prepare{segments}x{segment_bytes}", os.path.join(directory, "run"), emulator) as rig:
            self.node, self.hub, self.config = (os.path.join(directory, name) for name in ("node", "hub", "node.yaml"))
            # The hub's address without a link: joining is not measured.
            rig.run("hub", "ip", "addr", "add", f"{HUB_IP}/32", "dev", "lo")
            output(program("fieldpost-hub"), "init", "--data", self.hub, "--host", "0.0.0.0", "--nodes-port", NODES_PORT, "--json")
            hub = rig.spawn("hub", [program("fieldpost-hub"), "serve", "--data", self.hub])
            rig.wait_for_port(NODES_PORT)
            write_node_configuration(self.config, self.node, directory)
            output(program("fieldpost-edge"), "init", "--prepare", "--config", self.config)
            token = output(program("fieldpost-hub"), "join-token", "bench", "--data", self.hub, "--address", f"{HUB_IP}:{NODES_PORT}")
            rig.run("hub", program("fieldpost-edge"), "enrol", "-", "--config", self.config, input=token)
            output(
                program("fieldpost-edge"), "import", video, "--config", self.config, "--camera", "card", "--operator", "bench",
                "--start", "2026-01-02T03:04:05Z", "--json")
            rig.stop(hub)
        os.mkdir(self.files)
        folder = os.path.join(self.node, "segments", "card", "main")
        for name in sorted(os.listdir(folder)):
            if re.fullmatch(r"\d+\.mp4", name):
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
                self.segments.append(self.Segment(name, len(content), hashlib.sha256(content).hexdigest()))
                shutil.copyfile(os.path.join(folder, name), os.path.join(self.files, name))
        if len(self.segments) != segments:
            raise RuntimeError(f"importing made {len(self.segments)} segments, {segments} were wanted")
        self.bytes = sum(segment.bytes for segment in self.segments)

    def copy_node(self, directory):
        """A node and a hub as they were after joining. Returns the node's configuration file and the hub's folder."""
        shutil.copytree(self.node, os.path.join(directory, "node"))
        shutil.copytree(self.hub, os.path.join(directory, "hub"))
        config = os.path.join(directory, "node.yaml")
        write_node_configuration(config, os.path.join(directory, "node"), directory)
        return config, os.path.join(directory, "hub")


def write_node_configuration(path, data, directory):
    """One camera that records nothing until there is an event, and then little: 16 kbit/s."""
    token = os.path.join(directory, "events.token")
    for name, text in ((token, EVENT_TOKEN + "\n"), (path, f"""\
data_directory: "{data}"
segment_seconds: 10
cameras:
  - id: "gate"
    url: "test:?size=160x96&fps=2&gop=2&bitrate=16k"
    mode: events
    pre_roll_seconds: 1
    post_roll_seconds: 1
compress: {{thumbnails: {{enabled: false}}}}
events: {{listen: "127.0.0.1:{EVENTS_PORT}", token_file: "{token}"}}
""")):
        with open(name, "w", opener=lambda file, flags: os.open(file, flags, 0o600)) as file:
            file.write(text)


def make_video(segments, segment_bytes):
    """H.264 that an import cuts into `segments` of a minute and about `segment_bytes`; kept for the next time."""
    path = os.path.join(ROOT, ".build", "bench", f"link-{segments}x{segment_bytes}.mp4")
    if os.path.exists(path):
        return path
    say(f"encoding {segments} segments of about {segment_bytes / 1000:.0f} kB")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    # A picture every 5 s, since an import cuts each minute. Grey noise costs 0.575 bytes a pixel, so that segments are alike in
    # size and in nothing else; header and fragments take 2,200 bytes.
    side = max(16, round(((segment_bytes - 2200) / 12 / 0.575) ** 0.5 / 2) * 2)
    part = f"{path}.{os.getpid()}.part"
    output(
        *"ffmpeg -v error -y -nostdin -f lavfi -i".split(), f"nullsrc=size={side}x{side}:rate=12/60,geq=random(1)*255:128:128", "-t", 60 * segments,
        *"-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 12 -keyint_min 12 -x264-params scenecut=0 -qp 30 -f mp4".split(), part)
    os.rename(part, path)
    return path
