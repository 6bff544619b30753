#!/usr/bin/python3
"""deploy/bench link: what gets through a bad link, Fieldpost beside others that send files, over the same link.

A run joins two network namespaces with linkemu (rate, round trip, loss each way with a seed, drop-tail queue of 500 ms,
outages), starts a contender on both sides with the link just come up, and ends after --seconds of link time (outages come on
top; the duty cycles have ten contacts). There is more to send than the link can carry. Everybody sends the same files: segments
of a real Fieldpost node, 1 MB from 8 Mbit/s, 500 kB from 1 Mbit/s, 44 kB at 40 kbit/s.

utilisation_SCENARIO_CONTENDER: payload at the hub / rate times up time. Payload are whole segments whose SHA-256 is right
(Fieldpost: those that the hub's catalogue calls held, their blobs hashed), and of unfinished ones what lies at the hub and
equals the source at its place, whoever will make use of it later or not; of nncp, whose packets are encrypted, what lies there.
Headers let TCP show at most 96.5 % without loss, 95.6 % at 1 %, 91.7 % at 5 %.
small_files_ratio: 1,000 items of 4 kB, vsat1 without loss; seconds until all are at the hub / (payload at link rate + 3 round trips).
alarm_p95_s_LINK: Fieldpost with bulk in its backlog; events are posted to the node's webhook, and timed from before the post until
the entry stands in the log at the hub. vsat is vsat1.

Settings. A sender that ends is started again after 0.5 s. CUBIC and BBR are set by the route (`congctl`) on both sides, and `ss -ti`
must confirm it; fieldpost runs with CUBIC as the default, and what its socket then uses is its own doing.
  rsync      over ssh; -a --partial --append-verify; --timeout 5 s with outages (10 s at 40 kbit/s), else 60 s; ConnectTimeout 3 s + 6 RTT
             with outages, else 30 s; AES-GCM, no compression
  rclone     sftp, 4 transfers, 999 retries, time-outs as rsync's; --size-only, no modification times, no remote hashes, no shell: fewest
             round trips; rclonedav the same over WebDAV on plain HTTP, which needs no handshake and protects nothing
  syncthing  TCP, no discovery, no relays, no compression, reconnects every 5 s, watches its folder; its own 300 s receive time-out is fixed
  nncp       packets queued before the clock starts, nncp-call with -onlinedeadline 10 s with outages, else 60 s; daemon with -autotoss
"""
import argparse
import collections
import concurrent.futures
import glob
import json
import math
import os
import random
import re
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time

import linklib
from linklib import ROOT, SCENARIOS, Footage, Rig, pause, say, up_seconds, wall_seconds
from linkpeers import CONTENDERS

TARGETS = {"clean": 0.95, "vsat1": 0.90, "vsat5": 0.82, "flapping": 0.85, "gprs": 0.85, "duty_gprs": 0.60, "duty_vsat": 0.40}
LABELS = ["fieldpost"] + [f"{name}_{control}" for name in CONTENDERS if name != "fieldpost" for control in ("cubic", "bbr")]
SMALL = SCENARIOS["vsat1"]._replace(loss_percent=0)
SMALL_ITEMS, SMALL_BYTES, SMALL_LIMIT_S, SMALL_TARGET = 1000, 4096, 300, 1.15
ALARM_LINKS = {"gprs": (SCENARIOS["gprs"], 5.0), "vsat": (SCENARIOS["vsat1"], 2.5)}
# The first when bulk saturates the link. Between two more than an event takes to be over, and never in step with anything.
ALARM_WARM_S, ALARM_EVERY_S, ALARM_LIMIT_S = 20, (12, 17), 60
FIRST_SEED = 42

# `group` is what --scenarios selects by; `alone`: it needs the processor for itself.
Metric = collections.namedtuple("Metric", "name group label unit target better alone measure")


def emit(metric, value, runs, note):
    line = {"bench": "link", "metric": metric.name, "value": value, "unit": metric.unit, "target": metric.target, "better": metric.better}
    print(json.dumps(line | {"runs": runs, "note": note}), flush=True)


class Bench:
    def __init__(self, options, work):
        self.options, self.work, self.emulator = options, work, linklib.build_emulator(work)
        self.lock, self.footages = threading.Lock(), {}

    def footage(self, segments, segment_bytes):
        """Made once for each shape, whoever asks first."""
        with self.lock:
            if (segments, segment_bytes) not in self.footages:
                directory = os.path.join(self.work, f"footage-{segments}x{segment_bytes}")
                os.mkdir(directory)
                self.footages[segments, segment_bytes] = Footage(segments, segment_bytes, directory, self.emulator)
            return self.footages[segments, segment_bytes]

    def bulk(self, scenario, link_seconds):
        """More than the link can carry in this time."""
        segment_bytes = 1_000_000 if scenario.kbit >= 8000 else 500_000 if scenario.kbit >= 1000 else 44_000
        return self.footage(math.ceil(scenario.kbit * 125 * link_seconds / segment_bytes) + 1, segment_bytes)

    def utilisation(self, scenario, label, seed):
        link_seconds = scenario.link_s * self.options.seconds / 60
        wall = wall_seconds(scenario, link_seconds)
        with Run(self, scenario, label, seed, self.bulk(scenario, link_seconds)) as run:
            run.drive(run.began + wall)
            counts = run.finish()
            capacity = scenario.kbit * 125 * up_seconds(scenario, wall)
            share = run.payload / capacity
            if share > 1:
                raise RuntimeError(f"impossible: {run.payload} bytes arrived over a link that carries {capacity:.0f}")
            return share, run.note(counts)

    def small_files(self, label, seed):
        footage = self.footage(SMALL_ITEMS, SMALL_BYTES)
        with Run(self, SMALL, label, seed, footage) as run:
            seconds = run.drive(run.began + SMALL_LIMIT_S, tick_s=0.2, until_whole=True)
            counts = run.finish()
            if seconds is None:
                return None, f"{run.whole} of {SMALL_ITEMS} items in {SMALL_LIMIT_S} s; {run.note(counts)}"
            ideal = footage.bytes / (SMALL.kbit * 125) + 3 * SMALL.rtt_ms / 1000
            return seconds / ideal, f"{seconds:.1f} s, {ideal:.1f} s would be 1; items of {footage.bytes / SMALL_ITEMS:.0f} bytes; {run.note(counts)}"

    def alarms(self, scenario, seed):
        dice, due, at = random.Random(f"alarms {seed}"), [], ALARM_WARM_S
        for _ in range(self.options.alarms):
            due.append(at)
            at += dice.uniform(*ALARM_EVERY_S)
        end = due[-1] + ALARM_LIMIT_S
        with Run(self, scenario, "fieldpost", seed, self.bulk(scenario, end)) as run:
            alarms = Alarms(run, due)
            run.drive(run.began + end, tick_s=0.05, on_tick=alarms.tick)
            counts = run.finish()
            delays, at_node = alarms.delays("hub"), alarms.delays("node")
            p95 = delays[math.ceil(0.95 * len(due)) - 1]
            load = counts["a_to_b"]["in_bytes"] / (scenario.kbit * 125 * counts["seconds"])
            came = [delay for delay in delays if delay < math.inf]
            note = f"{len(came)} of {len(due)} alarms came within {ALARM_LIMIT_S} s"
            if came:
                note += f", median {statistics.median(came):.1f} s, worst {came[-1]:.1f} s; "
                note += f"the node itself logged them after {statistics.median(at_node):.1f} s (median)"
            note += f"; load {load:.0%} of the link; {run.note(counts)}"
            return (p95 if p95 < math.inf else None), note


class Run:
    """One contender over one link: what it did, and what it brought."""

    numbers = iter(range(1, 1 << 30))

    def __init__(self, bench, scenario, label, seed, footage):
        name, _, control = label.partition("_")
        self.kind, self.control, self.scenario, self.seed, self.bench = CONTENDERS[name], control or "cubic", scenario, seed, bench
        self.is_fieldpost, self.footage = name == "fieldpost", footage
        number = next(self.numbers)
        self.rig = Rig(str(number), os.path.join(bench.work, f"run{number}"), bench.emulator)
        self.controls, self.first_s, self.peak_kb, self.starts, self.edge = set(), None, 0, 0, None

    def __enter__(self):
        self.rig.__enter__()
        try:
            self.contender = self.kind(self.rig, self.footage, self.scenario)
            self.contender.prepare()
            self.hub = self.rig.spawn("hub", self.contender.hub())
            self.rig.wait_for_port(self.contender.port)
            self.began = self.rig.start_link(self.scenario, self.seed, self.control, self.bench.options.carrier)
        except BaseException:
            self.rig.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.rig.__exit__()

    def drive(self, end, tick_s=0.5, until_whole=False, on_tick=None):
        """Keeps the sender going until then. With `until_whole`, until all is there: the seconds that took, or nil."""
        began, again_at, look_at = time.monotonic(), 0.0, 0.0
        while (now := time.monotonic()) < end:
            if self.edge and self.edge.poll() is not None:
                self.edge, again_at = None, now + 0.5
            if self.edge is None and now >= again_at:
                self.edge, self.starts = self.rig.spawn("edge", self.contender.edge()), self.starts + 1
            if self.hub.poll() is not None:
                raise RuntimeError(f"the hub's side ended by itself: {self.rig.last_lines('hub')}")
            if until_whole and self.contender.poll():
                return time.monotonic() - began
            if self.first_s is None and self.contender.has_some():
                self.first_s = time.monotonic() - began
            if on_tick:
                on_tick(now)
            if now >= look_at:
                self.controls |= self.rig.congestion_controls()
                self.peak_kb = max(self.peak_kb, peak_kb(self.edge))
                look_at = now + 5
            pause(min(tick_s, end - time.monotonic()))
        return None

    def finish(self):
        """Cuts the link and counts. What has reached the hub's sockets by then is given a second to get to its disk."""
        self.peak_kb = max(self.peak_kb, peak_kb(self.edge))
        counts = self.rig.stop_link()
        pause(1)
        if self.bench.options.logs:
            for side in ("edge", "hub"):
                say(f"{side}: {self.rig.last_lines(side, 40)}")
        self.rig.stop(*self.rig.children)
        whole_bytes, partial_bytes = self.contender.arrived()
        self.payload, self.whole = whole_bytes + partial_bytes, len(self.footage.segments) - len(self.contender.pending)
        if not self.is_fieldpost and self.controls - {self.control}:
            raise RuntimeError(f"connections used {self.controls}, not {self.control}")
        return counts

    def note(self, counts):
        wire = counts["a_to_b"]["in_bytes"] + counts["b_to_a"]["in_bytes"]
        parts = [f"{self.payload / 1000:.0f} kB, {self.whole} of {len(self.footage.segments)} segments whole"]
        parts.append(f"wire/payload {wire / self.payload:.3f}" if self.payload else f"{wire / 1000:.0f} kB on the wire for nothing")
        parts.append(f"first byte after {self.first_s:.1f} s" if self.first_s is not None else "no byte came")
        if self.is_fieldpost:
            parts.append(f"node's peak memory {self.peak_kb / 1024:.0f} MB, its socket {'/'.join(sorted(self.controls)) or 'not seen'}")
        elif self.starts > 1:
            parts.append(f"started {self.starts} times")
        return ", ".join(parts)


class Alarms:
    """Posts each alarm when it is due, and looks for its entry in the logs at the node and at the hub."""

    def __init__(self, run, due):
        self.run, self.waiting = run, [(number, run.began + at) for number, at in enumerate(due)]
        self.raised, self.seen, self.read = {}, {"node": {}, "hub": {}}, {}
        self.header = os.path.join(run.rig.directory, "header")
        with open(self.header, "w", opener=lambda file, flags: os.open(file, flags, 0o600)) as file:
            file.write(f"Authorization: Bearer {linklib.EVENT_TOKEN}\n")

    def tick(self, _):
        now = time.monotonic()
        if self.waiting and now >= self.waiting[0][1]:
            number, _ = self.waiting.pop(0)
            self.raised[number] = now
            body = json.dumps({"label": f"alarm-{number}-", "duration_seconds": 0})
            url = f"http://127.0.0.1:{linklib.EVENTS_PORT}/events/gate"
            self.run.rig.run("edge", "curl", "-sS", "--fail", "-m", 5, "-H", f"@{self.header}", "-d", body, url)
        for side, pattern in self.run.contender.log_files().items():
            for path in glob.glob(pattern, recursive=True):
                with open(path, "rb") as file:
                    # Whole labels only: the rest of a line comes with the next look.
                    file.seek(max(0, self.read.get(path, 0) - 64))
                    text = file.read()
                    self.read[path] = file.tell()
                for match in re.finditer(rb"alarm-(\d+)-", text):
                    self.seen[side].setdefault(int(match[1]), time.monotonic())

    def delays(self, side):
        """Sorted; those that never came last, as infinity."""
        return sorted(self.seen[side].get(number, math.inf) - at for number, at in self.raised.items())


def peak_kb(process):
    try:
        with open(f"/proc/{process.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    except (OSError, AttributeError, StopIteration):
        return 0


def all_metrics():
    metrics = []
    for name, scenario in SCENARIOS.items():
        for label in LABELS:
            def measure(bench, seed, scenario=scenario, label=label):
                return bench.utilisation(scenario, label, seed)
            target = TARGETS.get(name) if label == "fieldpost" else None
            metrics.append(Metric(f"utilisation_{name}_{label}", name, label, "ratio", target, "higher", scenario.kbit > 2000, measure))
    for label in LABELS:
        def measure(bench, seed, label=label):
            return bench.small_files(label, seed)
        ours = label == "fieldpost"
        name = "small_files_ratio" if ours else f"small_files_ratio_{label}"
        metrics.append(Metric(name, "small", label, "ratio", SMALL_TARGET if ours else None, "lower", True, measure))
    for name, (scenario, target) in ALARM_LINKS.items():
        def measure(bench, seed, scenario=scenario):
            return bench.alarms(scenario, seed)
        metrics.append(Metric(f"alarm_p95_s_{name}", f"alarm_{name}", "fieldpost", "s", target, "lower", False, measure))
    return metrics


def measure_once(bench, metric, seed):
    """(value, note); the value is nil where the note says why."""
    say(f"{metric.name}, seed {seed}")
    try:
        return metric.measure(bench, seed)
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        return None, f"{type(error).__name__}: {error}"


def report(metric, results):
    """One line of all seeds. Returns whether there is a value."""
    good = sorted((result for result in results if result[0] is not None), key=lambda result: result[0])
    bad = [note for value, note in results if value is None]
    if not good:
        emit(metric, None, 0, bad[0])
        return False
    values = [value for value, _ in good]
    note = f"{values[0]:.3f} to {values[-1]:.3f}; the median run: {good[len(good) // 2][1]}" if len(good) > 1 else good[0][1]
    emit(metric, round(statistics.median(values), 3), len(good), note + (f"; {len(bad)} run(s) without a value: {bad[0]}" if bad else ""))
    return True


def measure_all(bench, metrics, jobs):
    """All seeds of all metrics, several at a time, and each metric's line as soon as it is whole."""
    seeds, results, good = range(FIRST_SEED, FIRST_SEED + bench.options.seeds), {}, True
    executor = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        futures = {executor.submit(measure_once, bench, metric, seed): metric for metric in metrics for seed in seeds}
        for future in concurrent.futures.as_completed(futures):
            metric = futures[future]
            results.setdefault(metric.name, []).append(future.result())
            if len(results[metric.name]) == len(seeds):
                good = report(metric, results[metric.name]) and good
    finally:
        # Whatever ended this, every run still removes what it made.
        if sys.exc_info()[0]:
            linklib.stopping.set()
        executor.shutdown(wait=True, cancel_futures=True)
    return good


def interrupted(number, _):
    if not linklib.stopping.is_set():
        linklib.stopping.set()
        raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(prog="deploy/bench link", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the metrics and stop")
    parser.add_argument("--only", nargs="+", default=[], metavar="METRIC")
    parser.add_argument("--scenarios", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(SCENARIOS)}, small, alarm_gprs, alarm_vsat")
    parser.add_argument("--contenders", nargs="+", default=[], metavar="NAME", help=f"of {', '.join(LABELS)}; rsync means both of it")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="link time of a run; the duty cycles take ten contacts at 60")
    parser.add_argument("--alarms", type=int, default=20, help="in a run of the alarm metrics")
    parser.add_argument("--jobs", type=int, default=6, help="runs at a time up to 2 Mbit/s; faster ones have the machine for themselves")
    parser.add_argument("--carrier", action="store_true", help="the node's interface shows outages, as a modem's does")
    parser.add_argument("--logs", action="store_true", help="show the last lines of both sides after each run")
    parser.add_argument("--directory", help="for working files; default: .build/bench of this tree")
    options = parser.parse_args()
    metrics = all_metrics()
    if options.list:
        print("link", *[metric.name for metric in metrics])
        return
    known = {"only": {metric.name for metric in metrics}, "scenarios": {metric.group for metric in metrics}, "contenders": {*LABELS, *CONTENDERS}}
    for option, names in known.items():
        if strange := [name for name in getattr(options, option) if name not in names]:
            parser.error(f"--{option}: there is no {', '.join(strange)}; there are {', '.join(sorted(names))}")
    wanted = [metric for metric in metrics if (not options.only or metric.name in options.only)
              and (not options.scenarios or metric.group in options.scenarios)
              and (not options.contenders or {metric.label, metric.label.partition("_")[0]} & set(options.contenders))]
    good = True
    for metric in list(wanted):
        reason = CONTENDERS[metric.label.partition("_")[0]].missing()
        if reason := "namespaces need root" if os.geteuid() != 0 else reason:
            emit(metric, None, 0, reason)
            wanted.remove(metric)
            good = False
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    parent = options.directory or os.path.join(ROOT, ".build", "bench")
    os.makedirs(parent, exist_ok=True)
    work = tempfile.mkdtemp(prefix=f"{linklib.PREFIX}-{os.getpid()}-", dir=parent)
    try:
        linklib.remove_leftovers(parent)
        bench = Bench(options, work)
        for alone in (True, False):
            chosen = [metric for metric in wanted if metric.alone == alone]
            good = measure_all(bench, chosen, 1 if alone else options.jobs) and good
    finally:
        shutil.rmtree(work, ignore_errors=True)
    sys.exit(0 if good else 1)


main()
