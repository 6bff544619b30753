#!/usr/bin/python3
"""deploy/bench import: how fast a card's files become segments, beside `cp` of the same files on the same disk.

One minute of H.264 is made once; every file is a copy of it with another beginning (a `free` box with a number), so that
no two have the same hash. Each run copies the card with `cp -r` and imports it with fieldpost-edge, one after the other in
alternating order, each with the page cache dropped before it where that is permitted and with `sync` within the time.
The value is cp's seconds divided by the import's: the share of cp's throughput.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
METRIC = "throughput_ratio"
TARGET = 0.6
SECONDS = 60


def say(text):
    print(text, file=sys.stderr, flush=True)


def emit(value, runs, note):
    line = {"bench": "import", "metric": METRIC, "value": value, "unit": "ratio", "target": TARGET, "better": "higher", "runs": runs, "note": note}
    print(json.dumps(line), flush=True)


def make_master(directory, megabytes):
    """A minute of H.264 of about this size, with its index first, as a card's files have it or not: it does not matter here."""
    path = os.path.join(directory, "master.mp4")
    rate = f"{megabytes * 8 * 1000 // SECONDS}k"
    say(f"encoding {SECONDS} s of {rate}bit/s")
    # Noise costs bits in any amount; ultrafast makes them quickly.
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-nostdin", "-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30,noise=alls=40:allf=t", "-t", str(SECONDS)]
        + ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "30", "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate]
        + ["-x264-params", "nal-hrd=cbr", "-movflags", "+faststart", path],
        check=True,
    )
    return path


def make_card(master, directory, files):
    """Numbered copies. The number stands in a `free` box at the end, where it moves no offset of the index."""
    with open(master, "rb") as file:
        content = file.read()
    os.makedirs(f"{directory}/DCIM/100MEDIA")
    for number in range(files):
        minute = number % 60, number // 60 % 24, number // 1440 + 1
        name = f"{directory}/DCIM/100MEDIA/202601{minute[2]:02}_{minute[1]:02}{minute[0]:02}00_F.mp4"
        with open(name, "wb") as file:
            file.write(content)
            file.write((16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
        if number % 50 == 49:
            say(f"made {number + 1} of {files} files")
    subprocess.run(["sync"], check=True)
    return files * (len(content) + 16)


def drop_caches():
    subprocess.run(["sync"], check=True)
    try:
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")
        return True
    except OSError:
        return False


def timed(arguments, expected=0, **options):
    began = time.monotonic()
    result = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    if result.returncode != expected:
        raise RuntimeError(f"{arguments[0]} ended with {result.returncode}: {result.stderr[-800:]}")
    subprocess.run(["sync"], check=True)
    return time.monotonic() - began, result.stdout


def copy_card(card, work):
    target = f"{work}/copy"
    try:
        return timed(["cp", "-r", card, target])[0]
    finally:
        shutil.rmtree(target, ignore_errors=True)


def import_card(card, work, files):
    edge = f"{os.environ['FIELDPOST_BIN']}/fieldpost-edge"
    data, config = f"{work}/node", f"{work}/node.yaml"
    try:
        subprocess.run(
            [edge, "init", "--force", "--data", data, "--config", config, "--camera", "unused=test:"], check=True, stdout=subprocess.DEVNULL)
        seconds, output = timed([edge, "import", card, "--config", config, "--camera", "dash", "--operator", "bench", "--json"])
        totals = json.loads(output.splitlines()[-1])
        if totals["counts"] != {"imported": files}:
            raise RuntimeError(f"not every file was imported whole: {totals['counts']}")
        report = json.loads(subprocess.run([edge, "check", "--config", config, "--json"], check=True, capture_output=True, text=True).stdout)
        if report["segments"] != totals["segments"]:
            raise RuntimeError(f"the node holds {report['segments']} segments of {totals['segments']}")
        return seconds
    finally:
        shutil.rmtree(data, ignore_errors=True)


def bench(options, work):
    free = shutil.disk_usage(work).free
    # The card, its copy or the node's segments, and a tenth of the disk that importing must leave.
    room = (free - shutil.disk_usage(work).total // 10) / 2.1
    wanted = int(options.gigabytes * 1e9)
    size = int(min(wanted, room))
    if size < 50e6:
        raise RuntimeError(f"{free / 1e9:.1f} GB free is too little to measure anything")
    files = options.files if size == wanted else max(1, int(options.files * size / wanted))
    card = f"{work}/card"
    total = make_card(make_master(work, max(1, size // files // 1_000_000)), card, files)
    dropped = True
    pairs = []
    for number in range(options.runs):
        seconds = {}
        contenders = [("cp", lambda: copy_card(card, work)), ("import", lambda: import_card(card, work, files))]
        for name, run in contenders if number % 2 == 0 else reversed(contenders):
            dropped = drop_caches() and dropped
            seconds[name] = run()
            say(f"run {number + 1} of {options.runs}: {name} {total / 1e6 / seconds[name]:.0f} MB/s")
        pairs.append(seconds)
    ratio = statistics.median(pair["cp"] / pair["import"] for pair in pairs)
    rates = {name: statistics.median(total / 1e6 / pair[name] for pair in pairs) for name in ("cp", "import")}
    less = "" if size == wanted else f" (of {options.gigabytes} GB asked for: the disk has room for no more)"
    emit(
        round(ratio, 2), len(pairs),
        f"{files} files, {total / 1e9:.2f} GB{less}: cp {rates['cp']:.0f} MB/s, import {rates['import']:.0f} MB/s; page cache {'dropped before each' if dropped else 'NOT dropped: not permitted'}",
    )


def main():
    parser = argparse.ArgumentParser(prog="deploy/bench import", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the metrics and stop")
    parser.add_argument("--only", nargs="+", default=[], metavar="METRIC")
    parser.add_argument("--gigabytes", type=float, default=20)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--directory", help="on the disk to measure; default: .build/bench of this tree")
    options = parser.parse_args()
    if options.list:
        print("import", METRIC)
        return
    if options.only and METRIC not in options.only:
        return
    parent = options.directory or os.path.join(ROOT, ".build", "bench")
    os.makedirs(parent, exist_ok=True)
    work = tempfile.mkdtemp(prefix="import-", dir=parent)
    try:
        bench(options, work)
    except (RuntimeError, subprocess.CalledProcessError, OSError, ValueError) as error:
        emit(None, 0, str(error))
        sys.exit(1)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
