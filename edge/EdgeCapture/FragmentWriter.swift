import LibAV

/// Builds `moof` + `mdat` in one buffer, so that a fragment is appended to its file with one write.
///
/// The payload is written behind room for the largest `moof`; at the end `moof` is put right before it.
/// Nothing is allocated for a packet once the buffers have grown to the stream's size.
package final class FragmentWriter {
    static let durationLimitSeconds: Int64 = 2
    /// Groups of pictures shorter than this share a fragment: with MJPEG every picture is a group.
    static let groupMinimumMilliseconds: Int64 = 500
    static let payloadLimitBytes = 8 << 20
    /// No camera sends one picture this large; a broken length field would.
    static let packetLimitBytes = 16 << 20

    package struct Summary: Sendable {
        package var frames: Int
        package var durationTicks: Int64

        package init(frames: Int, durationTicks: Int64) {
            self.frames = frames
            self.durationTicks = durationTicks
        }
    }

    private static let headRoom = 160 + 2 * 16 * SampleTable.limit
    private static let keyFlags: UInt32 = 0x0200_0000
    private static let nonKeyFlags: UInt32 = 0x0101_0000

    private var payload = ByteArena(capacity: 256 << 10)
    private var audioPayload = ByteArena(capacity: 16 << 10)
    private var video = SampleTable(typicalDuration: 3_000)
    private var audio = SampleTable(typicalDuration: 1_024)
    private var videoTrackID: UInt32 = 1
    private var audioTrackID: UInt32 = 2
    private var sequence: UInt32 = 0
    /// Where the box writer stands; only within `flush`.
    private var cursor = 0

    package init() { payload.setCount(Self.headRoom) }

    /// For a new run: fragment numbers and everything pending start again.
    package func begin(tracks: [InitSegment.Track], typicalVideoDuration: Int64, typicalAudioDuration: Int64) {
        videoTrackID = tracks.first?.trackID ?? 1
        audioTrackID = tracks.count > 1 ? tracks[1].trackID : 2
        sequence = 0
        video.reset(typicalDuration: typicalVideoDuration)
        audio.reset(typicalDuration: typicalAudioDuration)
        payload.setCount(Self.headRoom)
        audioPayload.setCount(0)
    }

    package var isEmpty: Bool { video.isEmpty }
    var typicalVideoDuration: Int64 { video.typicalDuration }

    /// Whether the open fragment must be written before this video packet joins.
    package func mustFlush(decodeTime: Int64, isKey: Bool, byteCount: Int) -> Bool {
        guard !video.isEmpty else { return false }
        let ticks = decodeTime - video.firstDecodeTime
        return isKey && ticks >= Self.groupMinimumMilliseconds * 90 || video.isFull || audio.isFull
            || ticks >= Self.durationLimitSeconds * Int64(InitSegment.videoTimescale)
            || payload.count - Self.headRoom + audioPayload.count + byteCount > Self.payloadLimitBytes
    }

    package func addVideo(_ bytes: UnsafeRawBufferPointer, isAnnexB: Bool, isKey: Bool, at place: MediaTimeline.Placement) {
        let start = payload.count
        if isAnnexB { AnnexB.appendLengthPrefixed(bytes, to: &payload) } else { payload.append(bytes) }
        video.append(
            decodeTime: place.decodeTime, size: payload.count - start, flags: isKey ? Self.keyFlags : Self.nonKeyFlags,
            compositionOffset: place.compositionOffset)
    }

    /// False when the fragment has no more room for sound.
    package func addAudio(_ bytes: UnsafeRawBufferPointer, at place: MediaTimeline.Placement) -> Bool {
        guard !audio.isFull, audioPayload.count + bytes.count <= Self.payloadLimitBytes else { return false }
        audioPayload.append(bytes)
        audio.append(decodeTime: place.decodeTime, size: bytes.count, flags: Self.keyFlags, compositionOffset: 0)
        return true
    }

    /// Hands the finished fragment to `body`; the bytes are valid within it only.
    /// - Parameters:
    ///   - nextDecodeTime: of the video packet that follows; nil where none does
    ///   - isLast: the run ends
    package func flush(nextDecodeTime: Int64?, isLast: Bool, _ body: (UnsafeRawBufferPointer, Summary) throws -> Void) rethrows {
        video.settleLast(nextDecodeTime: nextDecodeTime)
        // The last sound sample's duration is known only when the next one comes, so it waits for the next fragment.
        let held = isLast ? nil : audio.removeLast()
        let heldTime = audio.lastDecodeTime
        if isLast { audio.settleLast(nextDecodeTime: nil) }
        defer {
            video.removeAll()
            payload.setCount(Self.headRoom)
            audio.removeAll()
            audioPayload.keepLast(Int(held?.size ?? 0))
            if let held { audio.append(decodeTime: heldTime, size: Int(held.size), flags: held.flags, compositionOffset: 0) }
        }
        guard !video.isEmpty else { return }
        let videoBytes = payload.count - Self.headRoom
        payload.append(audioPayload[0..<(audioPayload.count - Int(held?.size ?? 0))])
        let start = writeHeaders(videoBytes: videoBytes)
        let duration = video.samples.reduce(0) { $0 + Int64($1.duration) }
        try body(payload[start..<payload.count], Summary(frames: video.samples.count, durationTicks: duration))
    }

    // MARK: Boxes (ISO/IEC 14496-12, section 8.8)

    private func writeHeaders(videoBytes: Int) -> Int {
        let videoTrack = 8 + 16 + 20 + 20 + 16 * video.samples.count
        let audioTrack = audio.isEmpty ? 0 : 8 + 20 + 20 + 20 + 8 * audio.samples.count
        let moof = 8 + 16 + videoTrack + audioTrack
        let start = Self.headRoom - 8 - moof
        cursor = start
        box(moof, "moof")
        box(16, "mfhd")
        sequence &+= 1
        put(0)
        put(sequence)

        box(videoTrack, "traf")
        box(16, "tfhd")
        put(0x02_0000)  // default-base-is-moof
        put(videoTrackID)
        decodeTimeBox(video.firstDecodeTime)
        box(20 + 16 * video.samples.count, "trun")
        put(0x0100_0f01)  // version 1: signed offsets; data offset, duration, size, flags, composition offset
        put(UInt32(video.samples.count))
        put(UInt32(moof + 8))
        for sample in video.samples {
            put(sample.duration)
            put(sample.size)
            put(sample.flags)
            put(UInt32(bitPattern: sample.compositionOffset))
        }
        if !audio.isEmpty {
            box(audioTrack, "traf")
            box(20, "tfhd")
            put(0x02_0020)  // default-base-is-moof, default flags
            put(audioTrackID)
            put(Self.keyFlags)
            decodeTimeBox(audio.firstDecodeTime)
            box(20 + 8 * audio.samples.count, "trun")
            put(0x0100_0301)  // data offset, duration, size
            put(UInt32(audio.samples.count))
            put(UInt32(moof + 8 + videoBytes))
            for sample in audio.samples {
                put(sample.duration)
                put(sample.size)
            }
        }
        box(8 + payload.count - Self.headRoom, "mdat")
        return start
    }

    private func decodeTimeBox(_ time: Int64) {
        box(20, "tfdt")
        put(0x0100_0000)
        payload.store(UInt64(bitPattern: time), at: cursor)
        cursor += 8
    }

    private func box(_ size: Int, _ type: StaticString) {
        put(UInt32(size))
        put(type.withUTF8Buffer { $0.reduce(0) { $0 << 8 | UInt32($1) } })
    }

    private func put(_ value: UInt32) {
        payload.store(value, at: cursor)
        cursor += 4
    }
}
