#!/usr/bin/python3
"""deploy/bench reconcile: what a contact costs when there is little to say, counted at the link (linkemu.c).

Tests/ReconcileNode is a node of four cameras with a segment a minute; its sync, its TLS and the hub are the real ones. The hub's
catalogue is filled beforehand with what such a node would have sent, without the footage, for which nobody asks here. Bytes are those of
the packets both ways, less a TLS connection that says nothing, less 52 bytes of IP and TCP headers for each packet more: what is left
is the TLS records of the contact. The note has the whole.

known20000_bytes and the same of rsync and syncthing (linkpeers.py has their settings): 20,000 segments are known to both sides and five
new ones of 100 kB are sent; all bytes of all packets both ways, handshakes, IP and TCP included, beyond those 500 kB. Fieldpost's segments
are entries of its log; the others have 20,000 files of 64 bytes, which both sides have and, of syncthing, have compared before.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from linklib import HUB_IP, NODES_PORT, Footage, Rig, Scenario, build_emulator, output, pause, program, remove_leftovers, say
from linkpeers import Rsync, Syncthing, sha256_of

LINK = Scenario(1000, 100, 0)
HEADER_BYTES = 52
METRICS = {"idle_bytes": 600, "day_behind_bytes": 1000, "holes100_bytes": 1000, "lost_log_bytes": 2000}
KNOWN = {"known20000_bytes": None, "known20000_bytes_rsync": None, "known20000_bytes_syncthing": None}
KNOWN_ITEMS, NEW_ITEMS, NEW_BYTES, KNOWN_LIMIT_S = 20_000, 5, 100_000, 300
BATCH = 5760


class Node:
    """The program in the edge's namespace, a line for a line."""

    def __init__(self, rig, segments):
        prefix = ["setpriv", "--pdeathsig", "KILL", "ip", "netns", "exec", rig.names["edge"]]
        self.child = subprocess.Popen([*prefix, program("ReconcileNode"), str(segments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        rig.children.append(self.child)
        self.read()

    def read(self):
        answer = json.loads(self.child.stdout.readline() or '{"failed": "the node ended"}')
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer

    def ask(self, *words):
        print(*words, file=self.child.stdin, flush=True)
        return self.read()


class Bench:
    def __init__(self, rig, directory, segments):
        self.rig, self.segments, self.hub, self.server = rig, segments, os.path.join(directory, "hub"), None
        output(program("fieldpost-hub"), "init", "--data", self.hub, "--host", "0.0.0.0", "--nodes-port", NODES_PORT, "--json")
        say(f"making a log of {segments} segments")
        self.node = Node(rig, segments)
        self.serve()
        token = output(program("fieldpost-hub"), "join-token", "bench", "--data", self.hub, "--address", f"{HUB_IP}:{NODES_PORT}").strip()
        rig.start_link(LINK, 1, "bbr")
        self.node.ask("join", token)
        rig.stop_link()

    def serve(self):
        self.server = self.rig.spawn("hub", [program("fieldpost-hub"), "serve", "--data", self.hub])
        self.rig.wait_for_port(NODES_PORT)

    def fill(self, batches, holes=0):
        self.rig.stop(self.server)
        self.node.ask("fill", self.hub, batches, holes)
        self.serve()

    def count(self, work):
        """Bytes and packets of the link while `work` runs."""
        self.rig.start_link(LINK, 1, "bbr")
        self.rig.wait_for_port(NODES_PORT)
        work()
        counts = self.rig.stop_link()
        ways = [way for way in counts.values() if isinstance(way, dict) and "in_bytes" in way]
        return sum(way["in_bytes"] for way in ways), sum(way["in_packets"] for way in ways)

    def contact(self, ends):
        answer = self.node.ask("contact")
        if answer["ended"] != ends:
            raise RuntimeError(f"the contact ended with: {answer['ended']}")

    def bare(self):
        """A connection with its handshake, on which nothing is said."""
        self.node.ask("connect")


class Files:
    """What the contenders are given in place of a Footage: many small files, of which a few are new."""

    def __init__(self, directory):
        self.files, self.segments = os.path.join(directory, "files"), []
        os.mkdir(self.files)
        for number in range(KNOWN_ITEMS):
            with open(os.path.join(self.files, f"{number:012}.mp4"), "wb") as file:
                file.write(os.urandom(64))

    def add(self, folder, run):
        for number in range(NEW_ITEMS):
            name = f"{KNOWN_ITEMS + run * NEW_ITEMS + number:012}.mp4"
            with open(os.path.join(folder, name), "wb") as file:
                file.write(os.urandom(NEW_BYTES))
            self.segments.append(Footage.Segment(name, NEW_BYTES, sha256_of(os.path.join(folder, name))))


def known_to_peer(kind, directory, emulator, runs):
    """Bytes beyond the payload of each run, and what a run had on the wire."""
    if reason := kind.missing():
        raise RuntimeError(reason)
    values = []
    with Rig(f"known-{kind.name}", os.path.join(directory, f"known-{kind.name}"), emulator) as rig:
        files = Files(rig.directory)
        peer = kind(rig, files, LINK)
        peer.prepare()
        # Both sides know all before anything is counted, over a link that costs no time.
        output("cp", "-a", f"{files.files}/.", peer.target)
        hub = rig.spawn("hub", peer.hub())
        rig.wait_for_port(peer.port)
        for run in range(runs + 1):
            rig.start_link(Scenario(100_000, 2, 0) if run == 0 else LINK, 1, "bbr")
            files.segments = []
            files.add(peer.source, run)
            peer.pending = {segment.name: segment for segment in files.segments}
            edge, deadline = rig.spawn("edge", peer.edge()), time.monotonic() + KNOWN_LIMIT_S
            while not peer.poll() or (kind is Rsync and edge.poll() is None):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{len(peer.pending)} of {NEW_ITEMS} files did not come within {KNOWN_LIMIT_S} s: {rig.last_lines('edge')}")
                pause(0.2)
            # What syncthing says of what it has: some seconds without a packet end it.
            pause(0 if kind is Rsync else 15)
            counts = rig.stop_link()
            rig.stop(edge)
            if run:
                values.append(sum(way["in_bytes"] for way in counts.values() if isinstance(way, dict) and "in_bytes" in way))
        rig.stop(hub)
    return [value - NEW_ITEMS * NEW_BYTES for value in values]


def known_to_us(directory, emulator, runs):
    values = []
    with Rig("known", os.path.join(directory, "known"), emulator) as rig:
        bench = Bench(rig, os.path.join(directory, "known"), KNOWN_ITEMS)
        bench.fill(-(-KNOWN_ITEMS // BATCH))
        bench.count(lambda: bench.contact("settled"))
        for _ in range(runs):
            bench.node.ask("new", NEW_ITEMS, NEW_BYTES)
            values.append(bench.count(lambda: bench.contact("settled"))[0])
    return [value - NEW_ITEMS * NEW_BYTES for value in values]


def known(metric, directory, emulator, runs):
    kind = {"rsync": Rsync, "syncthing": Syncthing}.get(metric.rpartition("_")[2])
    line = {"bench": "reconcile", "metric": metric, "value": None, "unit": "B", "target": None, "better": "lower", "runs": 0}
    try:
        values = known_to_peer(kind, directory, emulator, runs) if kind else known_to_us(directory, emulator, runs)
        line |= {"value": round(statistics.median(values)), "runs": runs}
        line["note"] = f"{KNOWN_ITEMS} known to both, {NEW_ITEMS} new of {NEW_BYTES} bytes; all packets both ways beyond those; {min(values)} to {max(values)}"
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        line["note"] = f"{type(error).__name__}: {error}"
    print(json.dumps(line), flush=True)
    return line["value"] is not None


def row(metric, values, bare, note):
    spoken = [bytes_ - bare[0] - max(0, packets - bare[1]) * HEADER_BYTES for bytes_, packets in values]
    whole = statistics.median(bytes_ for bytes_, _ in values)
    target = METRICS.get(metric)
    line = {"bench": "reconcile", "metric": metric, "value": round(statistics.median(spoken)), "unit": "B", "target": target, "better": "lower", "runs": len(values)}
    line["note"] = f"{note}; packets of the contact {whole:.0f} B, of a TLS connection that says nothing {bare[0]:.0f} B"
    print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only", nargs="+", default=[*METRICS, *KNOWN], choices=[*METRICS, *KNOWN], metavar="METRIC")
    parser.add_argument("--segments", type=int, default=172_800)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    if options.list:
        for metric, target in (METRICS | KNOWN).items():
            print(json.dumps({"bench": "reconcile", "metric": metric, "unit": "B", "target": target, "better": "lower"}))
        return
    parent = os.path.join(tempfile.gettempdir(), "fieldpost-bench")
    os.makedirs(parent, exist_ok=True)
    remove_leftovers(parent)
    directory = tempfile.mkdtemp(prefix=f"fpbench-{os.getpid()}-", dir=parent)
    emulator = build_emulator(directory)
    runs, batches = range(options.runs), -(-options.segments // BATCH)
    good = all([known(metric, directory, emulator, options.runs) for metric in KNOWN if metric in options.only])
    if not set(METRICS) & set(options.only):
        return 0 if good else 1
    with Rig("reconcile", os.path.join(directory, "run"), emulator) as rig:
        bench = Bench(rig, os.path.join(directory, "run"), options.segments)
        bares = [bench.count(bench.bare) for _ in runs]
        bare = tuple(statistics.median(values) for values in zip(*bares))
        what = f"{options.segments} segments known to both"
        if {"idle_bytes", "day_behind_bytes"} & set(options.only):
            bench.fill(batches)
            first = bench.count(lambda: bench.contact("settled"))
            idle = [bench.count(lambda: bench.contact("settled")) for _ in range(options.runs + 1)][1:]
            if "idle_bytes" in options.only:
                row("idle_bytes", idle, bare, what)
                row("idle_first_bytes", [first], bare, f"{what}; the first contact after a restart of both")
        if "day_behind_bytes" in options.only:
            bench.fill(batches - 1)
            values = []
            for _ in runs:
                bench.node.ask("forget")
                values.append(bench.count(lambda: bench.contact("enough")))
            row("day_behind_bytes", values, bare, f"{what} but for {BATCH} at the hub; to know it, at the first contact of both")
        if "holes100_bytes" in options.only:
            bench.fill(batches, 100)
            values = []
            for _ in runs:
                bench.node.ask("forget")
                values.append(bench.count(lambda: bench.contact("enough")))
            row("holes100_bytes", values, bare, f"{what} but for 100 at random at the hub; to know which, at the first contact of both")
        if "lost_log_bytes" in options.only:
            bench.fill(batches)
            values = []
            for _ in runs:
                bench.node.ask("new-log")
                values.append(bench.count(lambda: bench.contact("enough")))
            row("lost_log_bytes", values, bare, f"{what}, under a log that the hub does not know")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
