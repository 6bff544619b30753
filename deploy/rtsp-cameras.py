#!/usr/bin/python3
"""Cameras for the demo, the tests and the benchmarks: GStreamer's own RTSP server, which nobody here wrote.

Each camera is one encoder that runs from the start, as a real camera's does. Clients come and go and are fed from the
next key frame on. With --tap, exactly what the encoder put out is also kept in a file, so that a test can compare what
the hub holds with what was sent. With file=PATH a camera plays a pre-encoded elementary stream in a loop, in real time:
then serving eight cameras costs next to nothing, and a benchmark measures its contenders and not this program.

When the server accepts connections, one JSON line is printed: {"port":…,"urls":{"NAME":"rtsp://…"}}.
"""
import argparse
import json
import os
import signal
import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PATTERNS = ["smpte", "ball", "pinwheel", "spokes", "gamut", "circular", "blink", "bar"]
BYTE_STREAM = "stream-format=byte-stream,alignment=au"


class Camera:
    """One camera: its settings, its running encoder, and the clients' appsrc elements that it feeds."""

    def __init__(self, text, tap_directory, index):
        self.name, _, rest = text.partition("=")
        words = rest.split(",")
        self.codec = words.pop(0)
        self.width, self.height, self.fps, self.kbits, self.audio, self.file = 1280, 720, 25, 1000, False, None
        self.gop = 0
        for word in words:
            if word == "audio":
                self.audio = True
            elif word.startswith("file="):
                self.file = word[5:]
            elif word.startswith("gop="):
                self.gop = int(word[4:])
            elif "x" in word:
                self.width, self.height = (int(n) for n in word.split("x"))
            elif word.lower().endswith("fps"):
                self.fps = int(word[:-3])
            elif word.lower().endswith("kbit"):
                self.kbits = int(word[:-4])
            elif self.fps == 25 and int(word) <= 120:  # bare numbers: first the frame rate, then the kilobits
                self.fps = int(word)
            else:
                self.kbits = int(word)
        if not self.name or self.codec not in ("h264", "h265"):
            raise ValueError(f"--camera {text}: expected NAME=h264 or NAME=h265")
        self.gop = self.gop or self.fps
        self.pattern = PATTERNS[index % len(PATTERNS)]
        self.tap = open(os.path.join(tap_directory, f"{self.name}.{self.codec}"), "wb") if tap_directory else None
        self.lock = threading.Lock()
        self.clients = []  # one {"video": appsrc, "audio": appsrc, "start": pts or None} per prepared media
        self.caps = {}

    def encoder(self):
        """The pipeline that stands for the camera itself."""
        if self.codec == "h264":
            encode = f"x264enc tune=zerolatency speed-preset=ultrafast bitrate={self.kbits} key-int-max={self.gop} ! video/x-h264,profile=baseline"
        else:
            encode = f"x265enc tune=zerolatency speed-preset=ultrafast bitrate={self.kbits} key-int-max={self.gop}"
        clock = 'clockoverlay font-desc="Sans 24" time-format="%Y-%m-%d %H:%M:%S" ! timeoverlay font-desc="Sans 24" halignment=right'
        text = (
            f"videotestsrc is-live=true pattern={self.pattern} ! video/x-raw,format=I420,width={self.width},height={self.height},framerate={self.fps}/1"
            f" ! {clock} ! {encode} ! {self.codec}parse config-interval=-1 ! video/x-{self.codec},{BYTE_STREAM}"
            " ! appsink name=video sync=false emit-signals=true max-buffers=0"
        )
        if self.audio:
            text += (
                " audiotestsrc is-live=true wave=sine freq=440 volume=0.2 ! audio/x-raw,rate=48000,channels=1 ! audioconvert"
                " ! avenc_aac bitrate=64000 ! aacparse ! audio/mpeg,mpegversion=4,stream-format=raw"
                " ! appsink name=audio sync=false emit-signals=true max-buffers=0"
            )
        return text

    def start(self):
        if self.file:
            return self.start_file()
        self.pipeline = Gst.parse_launch(self.encoder())
        for kind in ("video", "audio") if self.audio else ("video",):
            self.pipeline.get_by_name(kind).connect("new-sample", self.on_sample, kind)
        self.pipeline.set_state(Gst.State.PLAYING)

    def start_file(self):
        """Reads the pre-encoded file into access units once, then plays them in a loop from a thread."""
        reader = Gst.parse_launch(
            f'filesrc location="{self.file}" ! {self.codec}parse config-interval=-1 ! video/x-{self.codec},{BYTE_STREAM} ! appsink name=out sync=false'
        )
        reader.set_state(Gst.State.PLAYING)
        units, out = [], reader.get_by_name("out")
        while sample := out.emit("pull-sample"):
            self.caps["video"] = sample.get_caps()
            buffer = sample.get_buffer()
            units.append((buffer.extract_dup(0, buffer.get_size()), buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)))
        reader.set_state(Gst.State.NULL)
        if not units:
            raise ValueError(f"{self.file}: no {self.codec} frame in it")
        threading.Thread(target=self.play, args=(units,), daemon=True).start()

    def play(self, units):
        began, count, frame = time.monotonic(), 0, Gst.SECOND // self.fps
        while True:
            time.sleep(max(0.0, began + count / self.fps - time.monotonic()))
            data, is_delta = units[count % len(units)]
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts, buffer.duration = count * frame, frame
            if is_delta:
                buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
            self.feed("video", buffer, buffer.pts)
            count += 1

    def on_sample(self, sink, kind):
        sample = sink.emit("pull-sample")
        self.caps[kind] = sample.get_caps()
        buffer = sample.get_buffer()
        # x264enc counts from 1000 hours on: only the running time is common to picture and sound.
        running = sample.get_segment().to_running_time(Gst.Format.TIME, buffer.pts)
        self.feed(kind, buffer, running)
        return Gst.FlowReturn.OK

    def feed(self, kind, buffer, running):
        if kind == "video" and self.tap:
            self.tap.write(buffer.extract_dup(0, buffer.get_size()))
            self.tap.flush()
        is_key = kind == "video" and not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
        with self.lock:
            for client in list(self.clients):
                if client["start"] is None:
                    if not is_key:
                        continue
                    client["start"] = running
                if running < client["start"]:
                    continue
                copy = buffer.copy_deep()
                copy.pts = running - client["start"]
                copy.dts = Gst.CLOCK_TIME_NONE
                source = client[kind]
                if source.get_property("caps") is None:
                    source.set_property("caps", self.caps[kind])
                if source.emit("push-buffer", copy) == Gst.FlowReturn.FLUSHING:
                    self.clients.remove(client)

    def factory(self):
        source = "is-live=true format=time max-bytes=0"
        launch = f"appsrc name=video {source} ! {self.codec}parse ! rtp{self.codec}pay name=pay0 pt=96"
        if self.audio:
            launch += f" appsrc name=audio {source} ! aacparse ! rtpmp4gpay name=pay1 pt=97"
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {launch} )")
        factory.set_shared(True)
        factory.connect("media-configure", self.on_media)
        return factory

    def on_media(self, _factory, media):
        element = media.get_element()
        client = {"video": element.get_by_name("video"), "start": None}
        if self.audio:
            client["audio"] = element.get_by_name("audio")
        media.connect("unprepared", self.on_gone, client)
        with self.lock:
            self.clients.append(client)

    def on_gone(self, _media, client):
        with self.lock:
            if client in self.clients:
                self.clients.remove(client)


def require_password(server, factories, options):
    """Digest authentication, as most cameras have; --auth basic for the others."""
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth = GstRtspServer.RTSPAuth()
    if options.auth == "basic":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(options.user, options.password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(options.user, options.password, token)
    server.set_auth(auth)
    for factory in factories:
        factory.add_role_from_structure(Gst.Structure.from_string("viewer, media.factory.access=true, media.factory.construct=true")[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", default="0", help="0 for any")
    parser.add_argument("--camera", action="append", required=True, metavar="NAME=CODEC[,WxH][,FPS][,KBITS][,gop=N][,audio][,file=PATH]")
    parser.add_argument("--user")
    parser.add_argument("--password", default="")
    parser.add_argument("--auth", choices=["digest", "basic"], default="digest")
    parser.add_argument("--tap", metavar="DIR", help="also write each camera's elementary stream to DIR/NAME.CODEC")
    parser.add_argument("--die-with-parent", action="store_true")
    options = parser.parse_args()
    if options.tap:
        os.makedirs(options.tap, exist_ok=True)

    Gst.init(None)
    try:
        cameras = [Camera(text, options.tap, index) for index, text in enumerate(options.camera)]
    except ValueError as error:
        sys.exit(str(error))
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factories = []
    for camera in cameras:
        factories.append(camera.factory())
        server.get_mount_points().add_factory(f"/{camera.name}", factories[-1])
    if options.user:
        require_password(server, factories, options)
    for camera in cameras:
        camera.start()
    if server.attach(None) == 0:
        sys.exit(f"port {options.port} is taken")

    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_HIGH, number, loop.quit)
    if options.die_with_parent:
        # Not prctl(PR_SET_PDEATHSIG): that one fires when the parent's *thread* ends, and Swift's threads come and go.
        parent = os.getppid()
        GLib.timeout_add(500, lambda: os.getppid() == parent or os._exit(0))
    port = server.get_bound_port()
    urls = {camera.name: f"rtsp://127.0.0.1:{port}/{camera.name}" for camera in cameras}
    print(json.dumps({"port": port, "urls": urls}), flush=True)
    loop.run()
    # Leave without waiting for clients that never hang up; taps are flushed frame by frame.
    os._exit(0)


main()
