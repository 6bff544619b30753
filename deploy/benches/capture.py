#!/usr/bin/python3
"""deploy/bench capture: what it costs to record N cameras, beside `ffmpeg -c copy -f segment` in the same seconds.

One RTSP server plays a pre-encoded 2 Mbit/s stream, so that no encoder competes for the cores. Both contenders record
every camera from it at once: fieldpost-edge with no hub, and ffmpeg in one process. When both hold footage of every
camera the clock starts; CPU is user plus system time of each process over the same --seconds, memory its peak (VmHWM).
"""
import argparse
import glob
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COUNTS = [1, 4, 8]
MBITS = 2.0
FPS = 25
CPU_TARGET = 1.5


def metrics_of(count):
    return {f"cpu_ratio_{count}": CPU_TARGET, f"rss_mb_{count}": 64 + 8 * count}


def say(text):
    print(text, file=sys.stderr, flush=True)


def emit(metric, value, unit, target, runs, note):
    line = {"bench": "capture", "metric": metric, "value": value, "unit": unit, "target": target, "better": "lower", "runs": runs, "note": note}
    print(json.dumps(line), flush=True)


def make_stream():
    """A steady 2 Mbit/s of H.264 with a key frame every 2 s; noise keeps the encoder from undershooting."""
    path = os.path.join(ROOT, ".build", "bench", "camera-2mbit.h264")
    if not os.path.exists(path):
        say("encoding the 2 Mbit/s stream that the cameras play")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        rate = f"{MBITS}M"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate={FPS},noise=alls=12:allf=t", "-t", "20"]
            + ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", str(2 * FPS)]
            + ["-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-x264-params", "scenecut=0:nal-hrd=cbr", "-f", "h264", path + ".part"],
            check=True,
        )
        os.rename(path + ".part", path)
    return path


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_mb(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024


def footage_bytes(directory):
    return sum(os.path.getsize(path) for path in glob.glob(f"{directory}/**/*", recursive=True) if os.path.isfile(path))


def stop(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True


def wait_for(condition, seconds, what, processes):
    began = time.monotonic()
    while not condition():
        for name, process in processes.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended by itself with exit code {process.returncode}")
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"{what} took more than {seconds} s")
        time.sleep(0.2)


def measure(count, seconds, stream, directory):
    """{"fieldpost": (cpu seconds, peak MB), "ffmpeg": …} for one run with `count` cameras."""
    names = [f"camera{number}" for number in range(1, count + 1)]
    started = {}
    log = open(f"{directory}/log", "w")
    try:
        arguments = [argument for name in names for argument in ("--camera", f"{name}=h264,{FPS},file={stream}")]
        server = subprocess.Popen([f"{ROOT}/deploy/rtsp-cameras.py", "--die-with-parent", *arguments], stdout=subprocess.PIPE, stderr=log, text=True)
        started["the RTSP server"] = server
        urls = json.loads(server.stdout.readline())["urls"]

        edge = f"{os.environ['FIELDPOST_BIN']}/fieldpost-edge"
        cameras = [argument for name in names for argument in ("--camera", f"{name}={urls[name]}")]
        config, ours, theirs = f"{directory}/node.yaml", f"{directory}/node", f"{directory}/ffmpeg"
        os.mkdir(theirs)
        subprocess.run([edge, "init", "--data", ours, "--config", config, "--segment-seconds", "60", *cameras], check=True, stdout=log, stderr=log)
        started["fieldpost-edge"] = subprocess.Popen([edge, "run", "--config", config], stdout=log, stderr=log)

        inputs = [argument for name in names for argument in ("-rtsp_transport", "tcp", "-i", urls[name])]
        outputs = []
        for number, name in enumerate(names):
            outputs += ["-map", str(number), "-c", "copy", "-f", "segment", "-segment_time", "60", "-reset_timestamps", "1", f"{theirs}/{name}-%03d.mp4"]
        started["ffmpeg"] = subprocess.Popen(["ffmpeg", "-nostdin", "-v", "error", *inputs, *outputs], stdout=log, stderr=log)

        def all_recording():
            # 48 bytes of header are no footage: every camera must have brought a quarter second or more on both sides.
            enough = MBITS * 1e6 / 8 * 0.25 * count
            return footage_bytes(ours) > enough and footage_bytes(theirs) > enough and len(os.listdir(theirs)) == count

        wait_for(all_recording, 60, "getting footage from every camera", started)
        contenders = {"fieldpost": started["fieldpost-edge"], "ffmpeg": started["ffmpeg"]}
        folders = {"fieldpost": ours, "ffmpeg": theirs}
        cpu = {name: cpu_seconds(process.pid) for name, process in contenders.items()}
        size = {name: footage_bytes(folders[name]) for name in contenders}
        deadline = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() >= deadline, seconds + 5, "recording", started)
        result = {name: (cpu_seconds(process.pid) - cpu[name], peak_mb(process.pid)) for name, process in contenders.items()}
        for name, process in contenders.items():
            if not stop(process) and name == "fieldpost":
                raise RuntimeError("fieldpost-edge did not stop within 15 s of SIGTERM")
            share = (footage_bytes(folders[name]) - size[name]) / (MBITS * 1e6 / 8 * seconds * count)
            if not 0.8 < share < 1.3:
                raise RuntimeError(f"impossible: {name} recorded {share:.0%} of what the cameras sent")
        return result
    finally:
        for process in started.values():
            if process.poll() is None:
                stop(process)
        log.close()


def bench(count, options, stream):
    wanted = {metric: target for metric, target in metrics_of(count).items() if not options.only or metric in options.only}
    if not wanted:
        return True
    runs, problem = [], None
    for number in range(options.runs):
        say(f"{count} camera(s), {options.seconds} s, run {number + 1} of {options.runs}")
        directory = tempfile.mkdtemp(prefix="fieldpost-bench-")
        try:
            runs.append(measure(count, options.seconds, stream, directory))
        except (RuntimeError, subprocess.CalledProcessError, OSError, ValueError) as error:
            with open(f"{directory}/log") as log:
                say("".join(log.readlines()[-20:]))
            problem = str(error)
            break
        finally:
            shutil.rmtree(directory, ignore_errors=True)
    for metric, target in wanted.items():
        unit = "ratio" if metric.startswith("cpu") else "MB"
        if problem:
            emit(metric, None, unit, target, len(runs), problem)
            continue
        median = {name: [statistics.median(run[name][kind] for run in runs) for kind in (0, 1)] for name in runs[0]}
        (our_cpu, our_rss), (their_cpu, their_rss) = median["fieldpost"], median["ffmpeg"]
        if metric.startswith("cpu"):
            if their_cpu <= 0:
                emit(metric, None, unit, target, len(runs), "ffmpeg used no CPU time that could be measured")
                continue
            value = round(statistics.median(run["fieldpost"][0] / run["ffmpeg"][0] for run in runs), 2)
            note = f"CPU seconds in {options.seconds} s: fieldpost {our_cpu:.2f}, ffmpeg {their_cpu:.2f}"
        else:
            value, note = round(our_rss, 1), f"peak resident MB: fieldpost {our_rss:.1f}, ffmpeg {their_rss:.1f}"
        emit(metric, value, unit, target, len(runs), note)
    return problem is None


def main():
    parser = argparse.ArgumentParser(prog="deploy/bench capture", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--list", action="store_true", help="name the metrics and stop")
    parser.add_argument("--only", nargs="+", default=[], metavar="METRIC")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--cameras", default=",".join(map(str, COUNTS)), help="how many, as 1,4,8")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    counts = [int(word) for word in options.cameras.split(",")]
    if options.list:
        print("capture", *[metric for count in counts for metric in metrics_of(count)])
        return
    stream = make_stream()
    good = [bench(count, options, stream) for count in counts]
    sys.exit(0 if all(good) else 1)


main()
