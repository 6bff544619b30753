"use strict";
// Plays a window of one camera's footage through Media Source Extensions. The index says which segment files exist
// and where each lies on one media timeline; files are appended in order, each beginning with its own init segment,
// and fragment by fragment, so that a file larger than the browser's buffer plays too. Time without footage is stepped over, with a card that says why there is none.
// Where the footage is not on the hub its proxy plays, and where there are only thumbnails each is shown for a second; both are marked.
// A browser's buffer takes either files with sound or files without, so that it is made anew where that changes.
(function () {
  const AHEAD = 60, BEHIND = 60, SEAM = 0.25, FRAME = 1 / 25;
  const SLICE = 1 << 20, SILENCE = 30000, QUOTA_TRIES = 20, STILL = 1000, ASK_AGAIN = 20000, ASKED_MAX = 180;
  const video = document.getElementById("player");
  if (!video) return;
  const card = document.getElementById("card"), clock = document.getElementById("clock");
  const sentence = document.getElementById("sentence"), speed = document.getElementById("speed");
  const image = document.getElementById("still"), note = document.getElementById("note");
  const buttons = document.querySelectorAll("[data-do]");
  // position: of the thumbnail that is shown, or null while the video is; running: whether the next one follows by itself.
  let position = null, since = 0, running = false, sounds = 0;
  let index, buffer, source, loading = null, codec = -1, appended = new Map(), ahead = AHEAD, cardUntil = 0, frame = FRAME, broken = 0, ended = false, stalled = 0, queue = Promise.resolve();
  const tries = new Map();

  function say(text) { sentence.textContent = text; sentence.hidden = !text; }
  function show(text, seconds) { card.textContent = text; card.hidden = false; cardUntil = performance.now() + seconds * 1000; }
  function two(n) { return String(n).padStart(2, "0"); }
  function length(seconds) {
    const s = Math.round(seconds);
    if (s < 60) return s + " s";
    if (s < 3600) return Math.floor(s / 60) + " min " + (s % 60) + " s";
    return Math.floor(s / 3600) + " h " + (Math.floor(s / 60) % 60) + " min";
  }
  function wall(seconds) { return new Date(index.baseUnixMilliseconds + seconds * 1000); }
  function time(seconds) { const d = wall(seconds); return two(d.getUTCHours()) + ":" + two(d.getUTCMinutes()) + ":" + two(d.getUTCSeconds()); }
  function tracks(segment) { return index.codecs[segment.codec].split(",").length; }
  function here() { return position === null ? video.currentTime : position; }
  function stillAt(seconds) { return index.stills.find(s => s.start <= seconds + 0.06 && s.end > seconds + 0.06); }
  function type(number) { return 'video/mp4; codecs="' + index.codecs[number] + '"'; }

  // The first segment that ends after the time: the one that holds it, or the next one after a gap.
  function at(seconds) {
    let low = 0, high = index.segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (index.segments[middle].end > seconds + 0.001) high = middle; else low = middle + 1;
    }
    return low;
  }
  // The end of what is buffered around a time, or null.
  function bufferedEnd(seconds) {
    const ranges = video.buffered;
    for (let i = 0; i < ranges.length; i++) if (ranges.start(i) <= seconds + SEAM && ranges.end(i) > seconds) return ranges.end(i);
    return null;
  }
  function updated() {
    const target = buffer;
    return new Promise((resolve, reject) => {
      const done = () => { off(); resolve(); }, fail = () => { off(); reject(new Error("append")); };
      const off = () => { target.removeEventListener("updateend", done); target.removeEventListener("error", fail); };
      target.addEventListener("updateend", done); target.addEventListener("error", fail);
    });
  }
  async function remove(from, to) {
    if (to - from < 0.1 || !buffer || source.readyState !== "open") return;
    buffer.remove(Math.max(0, from), to);
    await updated();
    appended.forEach((_, n) => { if (index.segments[n].end > from && index.segments[n].start < to) appended.delete(n); });
  }
  // Lets go of what lies far from the position, on both sides.
  async function tidy(behind) {
    const now = video.currentTime, ranges = video.buffered, far = [];
    for (let i = 0; i < ranges.length; i++) {
      const start = ranges.start(i), end = ranges.end(i);
      if (start < now - behind - 10) far.push([start, Math.min(end, now - behind)]);
      if (end > now + 2 * AHEAD + 120) far.push([Math.max(start, now + 2 * AHEAD + 60), end]);
    }
    for (const [start, end] of far) await remove(start, end);
  }
  // Keeps nothing but what is around the position and the segment that is being appended.
  async function makeRoom(segment) {
    const now = video.currentTime, ranges = video.buffered, far = [];
    for (let i = 0; i < ranges.length; i++) {
      const start = ranges.start(i), end = ranges.end(i);
      if (start < now - 2) far.push([start, Math.min(end, now - 1)]);
      else if (start > now + SEAM && (start > segment.end || end < segment.start)) far.push([start, end]);
    }
    for (const [start, end] of far) await remove(start, end);
  }
  // The file in pieces that end with a box, and large boxes in slices of that.
  function pieces(bytes) {
    const view = new DataView(bytes), result = [];
    let start = 0, offset = 0;
    function cut(end) { for (; start < end; start = Math.min(end, start + SLICE)) result.push(new Uint8Array(bytes, start, Math.min(SLICE, end - start))); }
    while (offset + 8 <= bytes.byteLength) {
      const kind = view.getUint32(offset + 4);
      let size = view.getUint32(offset);
      if (size === 1 && offset + 16 <= bytes.byteLength) size = Number(view.getBigUint64(offset + 8));
      if (size < 8 || offset + size > bytes.byteLength) break;
      offset += size;
      if (kind === 0x6d646174 || kind === 0x6d6f6f76) cut(offset); // mdat, moov
    }
    cut(bytes.byteLength);
    return result;
  }
  // A browser that is full gets room, and time to play what it has; a pause may last as long as it likes.
  async function appendPiece(segment, piece, mine) {
    for (let tries = 0; tries < QUOTA_TRIES;) {
      if (loading !== mine) throw new DOMException("no longer wanted", "AbortError");
      try {
        buffer.appendBuffer(piece);
        return await updated();
      } catch (error) {
        if (error.name !== "QuotaExceededError") throw error;
      }
      ahead = Math.max(5, ahead / 2);
      await makeRoom(segment);
      const end = bufferedEnd(video.currentTime);
      if (end === null || end - video.currentTime < 0.5) tries++;
      await new Promise(resolve => setTimeout(resolve, 250));
    }
    throw new Error("quota");
  }
  async function append(segment, bytes, mine) {
    if (loading !== mine) throw new DOMException("no longer wanted", "AbortError");
    if (codec !== segment.codec) {
      if (codec >= 0) buffer.changeType(type(segment.codec));
      codec = segment.codec;
    }
    const target = buffer;
    if (Math.abs(buffer.timestampOffset - segment.offset) > 1e-6) buffer.timestampOffset = segment.offset;
    try {
      for (const piece of pieces(bytes)) await appendPiece(segment, piece, mine);
    } catch (error) {
      // Half a fragment must not stand before the next one.
      if (target === buffer && source.readyState === "open" && !buffer.updating) buffer.abort();
      throw error;
    }
  }
  // Fetches whole, and gives up when no byte came for a while.
  async function load(address, mine) {
    let timer = null, late = false;
    const arm = () => { clearTimeout(timer); timer = setTimeout(() => { late = true; mine.abort(); }, SILENCE); };
    try {
      arm();
      const answer = await fetch(address, { signal: mine.signal, credentials: "same-origin" });
      if (answer.status === 401 || answer.redirected) throw new Error("session");
      if (!answer.ok) throw new Error("status " + answer.status);
      const reader = answer.body.getReader(), chunks = [];
      for (;;) {
        arm();
        const { done, value } = await reader.read();
        if (done) break;
        chunks.push(value);
      }
      return await new Blob(chunks).arrayBuffer();
    } catch (error) {
      throw late ? new Error("late") : error;
    } finally {
      clearTimeout(timer);
    }
  }

  // What is needed next: the first segment behind what is buffered around the position that was not appended yet.
  // It is worked out anew each time, so that whatever the browser let go of meanwhile is fetched again.
  function wanted() {
    const now = video.currentTime, end = bufferedEnd(now);
    let number = at(end === null ? now : end + SEAM);
    while (appended.has(number)) number++;
    return number;
  }
  // One fetch and one append at a time, in order. Called often; does nothing when there is nothing to do.
  async function pump() {
    if (loading || !buffer || source.readyState === "closed") return;
    const number = wanted(), segment = index.segments[number], now = video.currentTime, end = bufferedEnd(now);
    if (!segment) return finish();
    if (tracks(segment) !== sounds) return;
    // Up to so far ahead; and, near the end of a span, the first segment behind the gap however far it is.
    const isFirst = number === at(end === null ? now : end + SEAM) && (end === null || end - now <= ahead);
    if (segment.start - now > ahead && !isFirst) return;
    const mine = loading = new AbortController();
    let pause = 0;
    try {
      const bytes = await load(video.dataset.segment.replace("{hash}", segment.hash), mine);
      if (loading !== mine) return;
      const work = queue.then(() => tidy(BEHIND)).then(() => append(segment, bytes, mine));
      queue = work.catch(() => {});
      await work;
      appended.set(number, true);
      if (loading === mine) broken = 0;
    } catch (error) {
      if (error.name === "AbortError" || loading !== mine) return;
      if (error.message === "session") { say("Your session has ended. Sign in again to go on."); return; }
      // A segment that does not come or does not decode is stepped over after three tries, and said.
      if (++broken < 3) pause = 1000;
      else { show("A segment from " + time(segment.start) + " UTC could not be played.", 10); broken = 0; appended.set(number, true); }
    } finally {
      if (loading === mine && !pause) loading = null;
    }
    if (pause) { setTimeout(() => { if (loading === mine) { loading = null; pump(); } }, pause); return; }
    step(); pump();
  }
  function finish() {
    if (!ended && !loading && source.readyState === "open") {
      ended = true;
      queue = queue.then(() => { if (ended && buffer && source.readyState === "open" && !buffer.updating) source.endOfStream(); });
    }
  }
  function seeked() {
    if (!buffer) return;
    ended = false;
    // Whoever moves the video wants to see the video.
    if (position !== null) { position = null; image.hidden = true; }
    const segment = index.segments[at(video.currentTime)];
    if (segment && segment.start <= video.currentTime + 0.06 && tracks(segment) !== sounds) return open(video.currentTime);
    if (bufferedEnd(video.currentTime) === null) {
      if (loading) { loading.abort(); loading = null; }
      appended.delete(at(video.currentTime));
    }
    pump(); step();
  }
  // A buffer for the files at this time, with the video there.
  function open(seconds) {
    const plays = !video.paused || running, segment = index.segments[at(seconds)], mine = new Source();
    if (loading) { loading.abort(); loading = null; }
    source = mine; buffer = null; appended = new Map(); ended = false; queue = Promise.resolve(); running = false;
    if (window.ManagedMediaSource && Source === window.ManagedMediaSource) video.disableRemotePlayback = true;
    mine.addEventListener("sourceopen", () => {
      if (mine !== source || buffer) return;
      URL.revokeObjectURL(video.src);
      mine.duration = index.duration;
      codec = segment.codec;
      sounds = tracks(segment);
      buffer = mine.addSourceBuffer(type(codec));
      buffer.mode = "segments";
      video.playbackRate = Number(speed.value);
      if (seconds > 0) video.currentTime = seconds;
      if (plays) video.play().catch(() => {});
      pump();
    });
    video.src = URL.createObjectURL(mine);
  }
  function play(seconds) {
    const resume = position !== null && running;
    position = null; image.hidden = true;
    if (!buffer) return open(seconds);
    running = false;
    if (Math.abs(video.currentTime - seconds) > 0.001) video.currentTime = seconds;
    if (resume) video.play().catch(() => {});
  }
  function showStill(still, seconds) {
    if (position === null) { running = !video.paused; video.pause(); }
    position = Math.max(seconds, still.start); since = performance.now();
    image.src = still.address; image.alt = still.note + ", taken at " + time(still.at) + " UTC"; image.hidden = false;
    label(); tick();
  }
  // To a time, or to the first after it that there is something to see of; what is passed over is said.
  function onward(seconds) {
    const still = stillAt(seconds), segment = index.segments[at(seconds)];
    if (segment && segment.start <= seconds + 0.06) return play(Math.max(seconds, segment.start + 0.01));
    if (still) return showStill(still, seconds);
    const next = index.stills.find(s => s.start > seconds);
    const to = Math.min(next ? next.start : index.duration, segment ? segment.start : index.duration);
    gap(seconds, to);
    if (next && next.start === to) showStill(next, to);
    else if (segment) play(segment.start + 0.01);
    else { running = false; label(); }
  }

  // Steps over time without footage: the position is at the end of what exists, or outside it.
  function step() {
    if (!index || !buffer || position !== null) return;
    const now = video.currentTime, number = at(now + 0.06), segment = index.segments[number];
    const end = bufferedEnd(now);
    if (!segment) {
      if ((end === null || end - now < 0.1) && now < index.duration - 0.5) onward(now + 0.06);
      return;
    }
    if (end === null || end - now < 0.12) {
      if (segment.start > now + 0.06) return onward(now + 0.06);
      if (tracks(segment) !== sounds) return open(Math.max(now, segment.start + 0.01));
    }
    if (video.seeking) return;
    // A seam of a few milliseconds within footage: the decoder waits, so it is helped over.
    if (video.readyState < 3 && end === null) {
      const ranges = video.buffered;
      for (let i = 0; i < ranges.length; i++) {
        const ahead = ranges.start(i) - now;
        if (ahead > 0 && ahead < 1) { video.currentTime = ranges.start(i) + 0.01; return; }
      }
      // There is footage, but the browser has let go of it, or never showed it: once more, and then past it.
      if (appended.has(number) && !loading && ++stalled > 4) {
        stalled = 0;
        const count = (tries.get(number) || 0) + 1;
        tries.set(number, count);
        if (count < 3) appended.delete(number); else video.currentTime = segment.end + 0.01;
      }
    } else {
      stalled = 0;
    }
  }
  function gap(from, to) {
    if (to - from < 1) return;
    const why = index.spans.filter(s => s.end > from + 0.2 && s.start < to - 0.2).map(s => s.words);
    const words = why.filter((w, i) => why.indexOf(w) === i).slice(0, 3).join("; ") || "no footage";
    show("No footage from " + time(from) + " to " + time(to) + " UTC (" + length(to - from) + "): " + words, 6);
  }
  function tick() {
    if (!index) return;
    if (position !== null && running && performance.now() - since > STILL / Number(speed.value)) {
      const still = stillAt(position);
      return onward(still ? still.end : position + 1);
    }
    const now = here(), segment = position === null ? index.segments[at(now)] : null, still = position === null ? null : stillAt(now);
    const marked = still ? still.note : segment && segment.start <= now + 0.06 && segment.note || "";
    if (note.textContent !== marked) { note.textContent = marked; note.hidden = !marked; }
    clock.textContent = wall(now).toISOString().replace("T", " ").replace(/\.(\d)\d\dZ$/, ".$1 UTC") + (segment && segment.corrected ? " (clock corrected later)" : "");
    if (!card.hidden && performance.now() > cardUntil) card.hidden = true;
    if (!video.paused) step();
    pump();
  }

  function label() { playButton.textContent = running || !video.paused ? "Pause" : "Play"; }
  function toggle() {
    if (position !== null) { running = !running; since = performance.now(); label(); }
    else if (video.paused) video.play().catch(() => {});
    else video.pause();
  }
  function move(seconds) { if (index) onward(Math.min(Math.max(0, here() + seconds), index.duration - 0.05)); }
  function frames(count) {
    const still = position === null ? null : stillAt(position);
    running = false; video.pause();
    if (still) onward(count > 0 ? still.end : Math.max(0, still.start - 0.1)); else move(count * frame);
  }
  const actions = { play: toggle, back: () => move(-10), forward: () => move(10), "frame-back": () => frames(-1), "frame-forward": () => frames(1) };
  buttons.forEach(button => button.addEventListener("click", () => actions[button.dataset.do]()));
  speed.addEventListener("change", () => { video.playbackRate = Number(speed.value); });
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.altKey || event.metaKey || /^(INPUT|SELECT|TEXTAREA|BUTTON|A|SUMMARY)$/.test(event.target.tagName)) return;
    const keys = {
      " ": toggle, k: toggle, j: () => move(-10), l: () => move(10), ",": () => frames(-1), ".": () => frames(1),
      ArrowLeft: () => move(event.shiftKey ? -10 : -1), ArrowRight: () => move(event.shiftKey ? 10 : 1),
    };
    const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault(); event.stopPropagation();
    action();
  }, true);
  const playButton = document.querySelector('[data-do="play"]');
  video.addEventListener("play", () => {
    // By the browser's own button, while a thumbnail is shown.
    if (position !== null) { video.pause(); running = true; since = performance.now(); }
    label();
  });
  video.addEventListener("pause", label);
  video.addEventListener("ended", () => {
    if (position !== null || !index.stills.some(s => s.end > video.currentTime + 0.1)) return;
    onward(video.currentTime + 0.1);
    running = position !== null;
    label();
  });
  video.addEventListener("seeking", seeked);
  video.addEventListener("waiting", () => { step(); pump(); });
  video.addEventListener("timeupdate", tick);
  video.addEventListener("error", () => say("The browser could not decode this footage. It plays in VLC or ffplay by the HLS list below."));
  // Frame steps follow the footage's own rate where the browser tells it.
  if (video.requestVideoFrameCallback) {
    let last = null;
    const seen = (_, data) => {
      const passed = last === null ? 0 : data.mediaTime - last;
      if (passed > 0.005 && passed < 0.5 && !video.paused) frame = passed;
      last = data.mediaTime;
      video.requestVideoFrameCallback(seen);
    };
    video.requestVideoFrameCallback(seen);
  }

  async function ask() { return JSON.parse(new TextDecoder().decode(await load(video.dataset.index, new AbortController()))); }
  // What was asked for may come while one watches; for an hour the page asks whether it has.
  async function wait(number) {
    const arrived = document.getElementById("arrived");
    if (!arrived || number > ASKED_MAX) return;
    const full = list => list.segments.reduce((sum, s) => s.note ? sum : sum + s.end - s.start, 0);
    try { if (full(await ask()) > full(index) + 0.5) { arrived.textContent = "More of it has come: load this page again"; return; } } catch (error) { /* asked again below */ }
    setTimeout(() => wait(number + 1), ASK_AGAIN);
  }
  const Source = window.MediaSource || window.ManagedMediaSource;
  async function start() {
    try {
      index = await ask();
    } catch (error) {
      say("The hub did not answer with the footage. Reload the page.");
      return;
    }
    setTimeout(() => wait(0), ASK_AGAIN);
    if (!index.segments.length && !index.stills.length) { gap(0, index.duration); return; }
    if (index.segments.length && !Source) { say("This browser has no Media Source Extensions. The HLS list below plays here or in VLC."); index.segments = []; }
    const unplayable = Source ? index.codecs.filter(c => !Source.isTypeSupported('video/mp4; codecs="' + c + '"')) : [];
    if (unplayable.length) {
      const names = unplayable.map(c => (/hvc1|hev1/.test(c) ? "H.265" : "its codec") + " (" + c + ")").join(", ");
      say("This browser cannot play " + names + ". The footage was kept as the camera made it; the HLS list below plays in VLC or ffplay.");
      index.segments = index.segments.filter(s => !unplayable.includes(index.codecs[s.codec]));
    }
    if (!index.segments.length && !index.stills.length) return;
    onward(index.begin);
    setInterval(tick, 250);
  }
  start().catch(() => say("The player could not start. The HLS list below plays in VLC or ffplay."));
})();
