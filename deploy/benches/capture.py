#!/usr/bin/python3
"""deploy/bench capture: what it costs to record N cameras, beside `ffmpeg -c copy -f segment` in the same seconds.

One RTSP server plays a pre-encoded 2 Mbit/s stream, so that no encoder competes for the cores. Both contenders record
every camera from it at once: fieldpost-edge with no hub, and ffmpeg in one process. When both hold footage of every
camera the clock starts; CPU is user plus system time of each process over the same --seconds, memory its peak (VmHWM).

allocations_per_packet: allocation-count.c within fieldpost-edge counts what the cameras' threads allocate from one read
to the next; FFmpeg's own allocations within av_read_frame are counted apart. It is measured at two picture rates with
groups of pictures of the same length: what is done for each fragment and each second is the same in both, so that the
difference between them is what packets cost.

rss_growth_percent: eight cameras of which two are dead, two accept and say nothing, and two come and go; resident memory
every 10 s, the greatest after minute 10 compared to that at minute 10, over --minutes.
"""
import argparse
import glob
import json
import os
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COUNTS = [1, 4, 8]
MBITS = 2.0
FPS = 25
CPU_TARGET = 1.25
ALLOCATIONS, GROWTH = "allocations_per_packet", "rss_growth_percent"


def metrics_of(count):
    return {f"cpu_ratio_{count}": CPU_TARGET, f"rss_mb_{count}": 64 + 8 * count}


def say(text):
    print(text, file=sys.stderr, flush=True)


def emit(metric, value, unit, target, runs, note):
    line = {"bench": "capture", "metric": metric, "value": value, "unit": unit, "target": target, "better": "lower", "runs": runs, "note": note}
    print(json.dumps(line), flush=True)


def make_stream(fps=FPS, size="1280x720"):
    """A steady 2 Mbit/s of H.264 with a key frame every 2 s; noise keeps the encoder from undershooting."""
    path = os.path.join(ROOT, ".build", "bench", "camera-2mbit.h264" if fps == FPS else f"camera-2mbit-{fps}.h264")
    if not os.path.exists(path):
        say(f"encoding the 2 Mbit/s stream that the cameras play, {fps} pictures a second")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        rate = f"{MBITS}M"
        subprocess.run(
            ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size={size}:rate={fps},noise=alls=12:allf=t", "-t", "20"]
            + ["-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", str(2 * fps)]
            + ["-b:v", rate, "-maxrate", rate, "-bufsize", rate, "-x264-params", "scenecut=0:nal-hrd=cbr", "-f", "h264", path + ".part"],
            check=True,
        )
        os.rename(path + ".part", path)
    return path


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid, field):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{field}:")) / 1024


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


def start_cameras(names, fps, stream, log, port=0):
    """The RTSP server and the cameras' addresses."""
    arguments = [argument for name in names for argument in ("--camera", f"{name}=h264,{fps},file={stream}")]
    command = [f"{ROOT}/deploy/rtsp-cameras.py", "--die-with-parent", "--port", str(port), *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    line = server.stdout.readline()
    if not line:
        raise RuntimeError("the RTSP server did not start")
    return server, json.loads(line)["urls"]


def start_edge(urls, directory, log, environment=None):
    edge, config = f"{os.environ['FIELDPOST_BIN']}/fieldpost-edge", f"{directory}/node.yaml"
    cameras = [argument for name, url in urls.items() for argument in ("--camera", f"{name}={url}")]
    subprocess.run([edge, "init", "--data", f"{directory}/node", "--config", config, "--segment-seconds", "60", *cameras], check=True, stdout=log, stderr=log)
    # ffmpeg makes no thumbnails either; deploy/bench compress measures them.
    with open(config) as file:
        text = file.read().replace("# thumbnails: {enabled: true,", "thumbnails: {enabled: false,")
    with open(config, "w") as file:
        file.write(text)
    return subprocess.Popen([edge, "run", "--config", config], stdout=log, stderr=log, env={**os.environ, **(environment or {})})


def measure(count, seconds, stream, directory):
    """{"fieldpost": (cpu seconds, peak MB), "ffmpeg": …} for one run with `count` cameras."""
    names = [f"camera{number}" for number in range(1, count + 1)]
    started = {}
    log = open(f"{directory}/log", "w")
    try:
        started["the RTSP server"], urls = start_cameras(names, FPS, stream, log)
        ours, theirs = f"{directory}/node", f"{directory}/ffmpeg"
        os.mkdir(theirs)
        started["fieldpost-edge"] = start_edge(urls, directory, log)

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
        result = {name: (cpu_seconds(process.pid) - cpu[name], memory_mb(process.pid, "VmHWM")) for name, process in contenders.items()}
        for name, process in contenders.items():
            if not stop(process) and name == "fieldpost":
                raise RuntimeError("fieldpost-edge did not stop within 15 s of SIGTERM")
            share = (footage_bytes(folders[name]) - size[name]) / (MBITS * 1e6 / 8 * seconds * count)
            if not 0.8 < share < 1.3:
                raise RuntimeError(f"impossible: {name} recorded {share:.0%} of what the cameras sent")
        return result
    finally:
        end_all(started)
        log.close()


def end_all(started):
    for process in started.values():
        if process.poll() is None:
            stop(process)


def count_allocations(fps, seconds, directory):
    """(packets, of these without allocation, our allocations, the demuxer's) of 4 cameras in `seconds`."""
    counter, counts = f"{directory}/allocation-count.so", f"{directory}/counts-{fps}"
    compiler = shutil.which("cc") or shutil.which("clang")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", counter, os.path.join(os.path.dirname(__file__), "allocation-count.c"), "-ldl"], check=True)
    with open(counts, "wb") as file:
        file.write(bytes(32))

    def read():
        with open(counts, "rb") as file:
            return struct.unpack("4Q", file.read(32))

    names = [f"camera{number}" for number in range(1, 5)]
    started, log, folder = {}, open(f"{directory}/log", "a"), f"{directory}/{fps}"
    os.mkdir(folder)
    try:
        started["the RTSP server"], urls = start_cameras(names, fps, make_stream(fps, "640x360"), log)
        started["fieldpost-edge"] = start_edge(urls, folder, log, {"LD_PRELOAD": counter, "ALLOCATION_COUNTS": counts})
        # Buffers have their size after some groups of pictures.
        wait_for(lambda: read()[0] > 10 * fps * len(names), 60, "getting packets", started)
        before, deadline = read(), time.monotonic() + seconds
        wait_for(lambda: time.monotonic() >= deadline, seconds + 5, "recording", started)
        after = read()
    finally:
        end_all(started)
        log.close()
    result = [right - left for left, right in zip(before, after)]
    if not 0.8 < result[0] / (fps * seconds * len(names)) < 1.3:
        raise RuntimeError(f"impossible: {result[0]} packets of {fps * seconds * len(names)} sent")
    return result


def bench_allocations(options):
    slow, fast = FPS, 4 * FPS
    directory = tempfile.mkdtemp(prefix="fieldpost-bench-")
    try:
        counted = {}
        for fps in (slow, fast):
            say(f"allocations of 4 cameras with {fps} pictures a second, {options.seconds} s")
            counted[fps] = count_allocations(fps, options.seconds, directory)
        packets = counted[fast][0] - counted[slow][0]
        ours, demuxers = ((counted[fast][kind] - counted[slow][kind]) / packets for kind in (2, 3))
        clean = counted[fast][1] / counted[fast][0]
        note = f"within av_read_frame, FFmpeg's own: {demuxers:.1f}; {clean:.1%} of packets at {fast}/s cost none; the rest end a fragment or begin a second: "
        note += f"{counted[fast][2] / options.seconds / 4:.0f} allocations a second and camera"
        emit(ALLOCATIONS, max(0.0, round(ours, 2)), "count", 0, 1, note)
        return True
    except (RuntimeError, subprocess.CalledProcessError, OSError, ValueError, TypeError) as error:
        emit(ALLOCATIONS, None, "count", 0, 0, str(error))
        return False
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def bench_growth(options):
    """Two good cameras, two dead ones, two that accept and say nothing, two whose server is killed and started again."""
    directory, started, listeners, flapping = tempfile.mkdtemp(prefix="fieldpost-bench-"), {}, [], None
    log, stream = open(f"{directory}/log", "w"), make_stream()
    seconds = options.minutes * 60
    warm = min(600, seconds / 3)
    try:
        started["the RTSP server"], urls = start_cameras(["good1", "good2"], FPS, stream, log)
        flapping, flapping_urls = start_cameras(["flapping1", "flapping2"], FPS, stream, log)
        for name in ("silent1", "silent2"):
            listeners.append(socket.create_server(("127.0.0.1", 0), backlog=64))
            urls[name] = f"rtsp://127.0.0.1:{listeners[-1].getsockname()[1]}/gate"
        # One refuses; to the other, of a network kept for documentation, nothing answers.
        urls |= {"dead1": "rtsp://127.0.0.1:1/gate", "dead2": "rtsp://192.0.2.1/gate"} | flapping_urls
        port = flapping_urls["flapping1"].split(":")[2].split("/")[0]
        edge = started["fieldpost-edge"] = start_edge(urls, directory, log)
        began, turn, samples = time.monotonic(), time.monotonic() + 20, []
        while (passed := time.monotonic() - began) < seconds:
            wait_for(lambda: time.monotonic() - began >= passed + 10, 15, "waiting", started)
            samples.append((time.monotonic() - began, memory_mb(edge.pid, "VmRSS")))
            if len(samples) % 30 == 0:
                say(f"minute {samples[-1][0] / 60:.0f} of {options.minutes}: {samples[-1][1]:.1f} MB")
            if time.monotonic() >= turn:
                turn += 20
                if flapping:
                    stop(flapping)
                    flapping = None
                else:
                    flapping, _ = start_cameras(["flapping1", "flapping2"], FPS, stream, log, port)
        first = next(size for at, size in samples if at >= warm)
        last = max(size for at, size in samples if at >= warm)
        good = footage_bytes(f"{directory}/node/segments/good1")
        if good < MBITS * 1e6 / 8 * seconds * 0.8:
            raise RuntimeError(f"impossible: the good camera has only {good} bytes")
        note = f"{first:.1f} MB at minute {warm / 60:.1f}, at most {last:.1f} MB until minute {options.minutes}; 8 cameras, of which 2 dead, 2 silent, 2 flapping"
        emit(GROWTH, round((last / first - 1) * 100, 1), "percent", 5, 1, note)
        return True
    except (RuntimeError, subprocess.CalledProcessError, OSError, ValueError) as error:
        log.flush()
        with open(f"{directory}/log") as text:
            say("".join(text.readlines()[-20:]))
        emit(GROWTH, None, "percent", 5, 0, str(error))
        return False
    finally:
        if flapping:
            started["flapping"] = flapping
        end_all(started)
        for listener in listeners:
            listener.close()
        log.close()
        shutil.rmtree(directory, ignore_errors=True)


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
    parser.add_argument("--minutes", type=float, default=60, help="of rss_growth_percent")
    parser.add_argument("--cameras", default=",".join(map(str, COUNTS)), help="how many, as 1,4,8")
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args()
    counts = [int(word) for word in options.cameras.split(",")]
    if options.list:
        print("capture", *[metric for count in counts for metric in metrics_of(count)], ALLOCATIONS, GROWTH)
        return
    stream = make_stream()
    good = [bench(count, options, stream) for count in counts]
    for metric, measured in ((ALLOCATIONS, bench_allocations), (GROWTH, bench_growth)):
        if not options.only or metric in options.only:
            good.append(measured(options))
    sys.exit(0 if all(good) else 1)


main()
