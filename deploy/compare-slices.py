#!/usr/bin/python3
"""Checks that recorded footage holds exactly the coded pictures that a camera sent, byte for byte.

    compare-slices.py [--allow-gaps] SENT RECEIVED...

SENT is the elementary stream as the camera's encoder put it out (rtsp-cameras.py --tap). RECEIVED are MP4 files in order.
ffmpeg's tools turn each file into an Annex B stream; of every slice NAL unit the SHA-256 is taken. The received list must
be one contiguous run of the sent list that starts at a key frame. With --allow-gaps pictures may be missing between two
places in the received list (a link or a camera was away), but what is there must match, in order, and once.
Prints one JSON object; exit 1 if the footage differs.
"""
import argparse
import hashlib
import json
import re
import subprocess
import sys

START_CODE = re.compile(b"\x00\x00\x01")


def codec_of(path):
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=codec_name", "-of", "csv=p=0", path]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip().strip(",").splitlines()[0]
    if name not in ("h264", "hevc"):
        sys.exit(f"{path}: codec {name} has no slices to compare")
    return name


def annex_b(path, codec):
    """The file's video as an Annex B elementary stream, copied, never decoded."""
    command = ["ffmpeg", "-v", "error", "-i", path, "-map", "0:v:0", "-c", "copy"]
    if path.endswith((".mp4", ".m4s", ".m4v", ".mov")):
        command += ["-bsf:v", f"{codec}_mp4toannexb"]
    return subprocess.run(command + ["-f", codec, "pipe:1"], check=True, capture_output=True).stdout


def slices(path, codec):
    """(sha256, is_key, starts_picture) of every slice NAL unit, in order."""
    if path.endswith((".h264", ".h265")):
        with open(path, "rb") as file:
            data = file.read()
    else:
        data = annex_b(path, codec)
    starts = [match.end() for match in START_CODE.finditer(data)]
    found = []
    for begin, after in zip(starts, starts[1:] + [len(data) + 3]):
        unit = data[begin : after - 3].rstrip(b"\x00")  # what precedes the next start code is padding, not content
        if len(unit) < 3:
            continue
        if codec == "h264":
            kind = unit[0] & 0x1F
            is_slice, is_key, first = kind in (1, 5), kind == 5, bool(unit[1] & 0x80)
        else:
            kind = (unit[0] >> 1) & 0x3F
            is_slice, is_key, first = kind <= 31, 16 <= kind <= 23, bool(unit[2] & 0x80)
        if is_slice:
            found.append((hashlib.sha256(unit).hexdigest(), is_key, first))
    return found


def place(sent, received, allow_gaps):
    """The index in `sent` of each received slice, or an explanation of the first one that is not where it must be."""
    by_hash = {}
    for index, (digest, _, _) in enumerate(sent):
        by_hash.setdefault(digest, []).append(index)
    places, previous = [], -1
    for number, (digest, is_key, _) in enumerate(received):
        after = [index for index in by_hash.get(digest, []) if index > previous]
        if not after:
            known = "was already received before" if digest in by_hash else "was never sent"
            return places, f"received slice {number} {known} ({digest[:16]})"
        index = after[0]
        jump = index != previous + 1
        if number > 0 and jump and not allow_gaps:
            return places, f"{index - previous - 1} sent slices are missing before received slice {number}"
        if jump and not is_key:
            return places, f"received slice {number} follows a jump, but is no key frame"
        places.append(index)
        previous = index
    return places, None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--allow-gaps", action="store_true")
    parser.add_argument("sent")
    parser.add_argument("received", nargs="+")
    options = parser.parse_args()

    codec = codec_of(options.received[0])
    sent = slices(options.sent, codec)
    received = [one for path in options.received for one in slices(path, codec)]
    places, problem = place(sent, received, options.allow_gaps)
    if not received:
        problem = "nothing was received"
    jumps = sum(1 for a, b in zip(places, places[1:]) if b != a + 1)
    result = {
        "frames_sent": sum(first for _, _, first in sent),
        "frames_received": sum(first for _, _, first in received),
        "slices_received": len(received),
        "first": places[0] if places else None,
        "last": places[-1] if places else None,
        "jumps": jumps,
        "identical": problem is None,
    }
    if problem:
        result["problem"] = problem
    print(json.dumps(result))
    sys.exit(0 if problem is None else 1)


main()
