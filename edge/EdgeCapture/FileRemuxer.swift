import EvidenceLog
import LibAV
import RecordingModel
import StorageIO
import SystemPackage

/// Why nothing of a file becomes footage; one sentence each.
package enum FileRefusal: Error, CustomStringConvertible {
    /// Of a kind that this version does not record.
    case unsupported(String)
    /// Damaged beyond reading, or no footage at all.
    case unreadable(String)

    package var description: String {
        switch self {
        case .unsupported(let reason), .unreadable(let reason): reason
        }
    }
}

/// A file of footage, turned into segments as a camera's stream would be: the packets as they are, new boxes around
/// them. Its boot clock counts from its first picture. One thread at a time.
package final class FileRemuxer {
    /// A pause of the timestamps that is longer is no picture that stood still, but one that is missing.
    private static let pauseSeconds: Int64 = 2
    private static let stepBackSeconds: Int64 = 1
    /// A longer one is a clock that was set within the file, and nobody knows how long it took.
    private static let longestHoleMilliseconds: Int64 = 86_400_000
    /// In a row, after which nothing more is expected of the file.
    private static let errorLimit = 1_000
    private static let segmentLimitBytes: Int64 = 3 << 30
    /// Without a key frame to cut at. Below what an entry may say, and what FAT32 holds.
    private static let hardLimitBytes = Plausibility.segmentBytesMax / 32 * 31

    /// Where the segments go, and as what.
    package struct Target: Sendable {
        package var directory: FilePath
        package var stream: StreamID
        package var bootID: String
        /// Of the file's first picture.
        package var startWall: WallEstimate
        package var configVersion: String
        package var segmentMilliseconds: Int64

        package init(
            directory: FilePath, stream: StreamID, bootID: String, startWall: WallEstimate, configVersion: String, segmentMilliseconds: Int64 = 60_000
        ) {
            self.directory = directory
            self.stream = stream
            self.bootID = bootID
            self.startWall = startWall
            self.configVersion = configVersion
            self.segmentMilliseconds = segmentMilliseconds
        }
    }

    package struct Outcome: Sendable {
        /// Sequences count from 0, and so do runs.
        package var segments: [SegmentRecord] = []
        /// What of the file's picture could not be read, a phrase each.
        package var damage: [String] = []
        /// What was read and not kept, a phrase each.
        package var leftOut: [String] = []
    }

    /// One media timeline with one init segment.
    private struct Run {
        var number: UInt64
        var initSegment: InitSegment
        var initSHA256: ContentHash
        var timeline: MediaTimeline
        var audioTimeline: MediaTimeline?
        /// Boot clock of its tick 0.
        var startMilliseconds: Int64
        /// Where the open segment begins.
        var mediaStart: Int64 = 0

        func bootMilliseconds(ticks: Int64) -> Int64 { startMilliseconds + MediaTime.milliseconds(ticks90k: ticks) }
    }

    private let storage: any StorageIO
    private let target: Target
    private var file: MediaFile
    private let tracks: SourceTracks
    let header: FileHeader
    private var video: CodecParameters
    private var watch: ParameterWatch
    private let fragments = FragmentWriter()
    private var run: Run?
    private var segment: SegmentWriter?
    var outcome = Outcome()

    /// Ticks of the file's first picture, and of the newest one.
    private var firstTicks: Int64?
    private var lastTicks: Int64?
    /// Added to the file's own time, from where its timestamps stepped back on.
    private var shiftMilliseconds: Int64 = 0
    /// Up to where there is footage.
    var coveredMilliseconds: Int64 = 0
    private var runs: UInt64 = 0

    private let isLastPictureCut: Bool
    private var isPictureHeld = false
    private var isOneHeld = false
    var isBroken = false
    var stretches = 0
    var missingMilliseconds: Int64 = 0
    var clockSteps = 0
    var picturesWithoutKey = 0
    var soundPacketsDropped = 0
    private var lacksOrder = false

    /// Opens the file and learns what is in it.
    /// - Parameters:
    ///   - target: asked once the header is known, on which the time of the first picture may depend.
    /// - Throws: `FileRefusal`, or the error of `bytes`.
    package init(
        opening bytes: any ReadingFile, audio: AudioPolicy, storage: any StorageIO, target: (FileHeader) throws -> Target
    ) throws {
        self.storage = storage
        file = try FileHeader.open(bytes)
        do throws(LibAVError) { try file.learnStreams() } catch { throw FileRefusal.unreadable("\(error)") }
        if let failure = file.readFailure { throw failure }
        do throws(CaptureFailure) {
            tracks = try SourceTracks(file.streams, audio: audio)
        } catch {
            throw FileRefusal.unsupported(Self.whyUnsupported(file.streams))
        }
        header = FileHeader(file)
        // Packets of 188 bytes; with a time before each (M2TS) 192, with a checksum behind each 204.
        isLastPictureCut = header.container == "mpegts" && [188, 192, 204].allSatisfy { bytes.length % $0 != 0 }
        video = tracks.video.parameters
        watch = ParameterWatch(video)
        self.target = try target(header)
        file.discard(streamsOtherThan: tracks.indexes)
        outcome.leftOut = Self.leftOut(file.streams, tracks, audio)
    }

    /// Reads the file to its end. Segments that are returned are complete and synced under their open names.
    /// - Throws: the error of the bytes or the disk; `FileRefusal` when there is no footage in it. What was written is then the caller's to remove.
    package func remux() throws -> Outcome {
        let one = try Self.makePacket()
        let other = try Self.makePacket()
        var errors = 0
        reading: while errors < Self.errorLimit {
            switch try isOneHeld ? step(other, behind: one) : step(one, behind: other) {
            case .ended: break reading
            case .nothing: errors += 1
            case .read: errors = 0
            }
        }
        if isPictureHeld { isBroken = true }
        if let failure = file.readFailure { throw failure }
        try endRun(.imported)
        guard !outcome.segments.isEmpty else { throw FileRefusal.unreadable("no picture in it can be read") }
        describeDamage()
        if lacksOrder { outcome.leftOut.append("the container does not say when each picture is shown (B-frames in AVI): they may be shown out of order") }
        return outcome
    }

    private enum Step { case read, nothing, ended }

    /// Reads one packet. Where the file ends within a packet of its transport stream, the last picture is not whole and
    /// FFmpeg does not know: there each picture waits for the next one.
    private func step(_ packet: borrowing Packet, behind held: borrowing Packet) throws -> Step {
        do throws(LibAVError) {
            switch try file.read(into: packet) {
            case .ended: return .ended
            case .wouldBlock: return .nothing
            case .done: break
            }
        } catch {
            isBroken = true
            return .nothing
        }
        if packet.streamIndex == tracks.sound?.index {
            handleAudio(packet)
        } else if packet.streamIndex == tracks.video.index {
            guard isLastPictureCut else {
                try handleVideo(packet)
                return .read
            }
            if isPictureHeld { try handleVideo(held) }
            isPictureHeld = true
            isOneHeld.toggle()
        }
        return .read
    }

    private static func makePacket() throws -> Packet {
        do throws(LibAVError) { return try Packet() } catch { throw FileRefusal.unreadable("\(error)") }
    }

    private func handleVideo(_ packet: borrowing Packet) throws {
        let ticks = (packet.decodeTime ?? packet.presentationTime).flatMap { tracks.video.timeBase.rescale($0, to: Rational(1, InitSegment.videoTimescale)) }
        if firstTicks == nil { firstTicks = ticks }
        guard packet.byteCount > 0 else { return }
        guard !packet.isCorrupt, packet.byteCount <= FragmentWriter.packetLimitBytes else {
            isBroken = true
            return try endRun(.discontinuity)
        }
        // What comes after missing pictures refers to them, up to the next key frame.
        if isBroken || isJump(to: ticks) { try endRun(.discontinuity) }
        lastTicks = ticks ?? lastTicks
        if packet.presentationTime == nil, file.hasReorderedPictures(tracks.video.index) { lacksOrder = true }
        if let change = watch.change(in: packet) { try adopt(change, packet) }
        if packet.isKey, tracks.sound?.hasChanged == true { try endRun(.parametersChanged) }
        if run == nil { try beginRun(packet, ticks) }
        guard run != nil else {
            picturesWithoutKey += 1
            return
        }
        guard let place = run?.timeline.place(packet) else {
            try endRun(.discontinuity)
            try beginRun(packet, ticks)
            if let place = run?.timeline.place(packet) { try add(packet, place) } else { picturesWithoutKey += 1 }
            return
        }
        try add(packet, place)
    }

    private func isJump(to ticks: Int64?) -> Bool {
        guard run != nil, let ticks, let lastTicks else { return false }
        let second = Int64(InitSegment.videoTimescale)
        let pause = max(Self.pauseSeconds * second, 8 * fragments.typicalVideoDuration)
        return ticks - lastTicks > pause || lastTicks - ticks > Self.stepBackSeconds * second
    }

    private func add(_ packet: borrowing Packet, _ place: MediaTimeline.Placement) throws {
        guard var current = run else { return }
        let bytes = segment?.complete.bytes ?? 0
        let mustCut = packet.isKey && (place.decodeTime - current.mediaStart >= target.segmentMilliseconds * 90 || bytes >= Self.segmentLimitBytes)
        if mustCut || fragments.mustFlush(decodeTime: place.decodeTime, isKey: packet.isKey, byteCount: packet.byteCount) {
            try flush(nextDecodeTime: place.decodeTime)
            if mustCut {
                try seal(.length)
                current.mediaStart = place.decodeTime
                run?.mediaStart = place.decodeTime
            } else if bytes >= Self.hardLimitBytes {
                // No key frame came to cut it at: no segment may be larger than a FAT32 stick can carry.
                try endRun(.discontinuity)
                picturesWithoutKey += 1
                return
            }
        }
        fragments.addVideo(packet.bytes, isAnnexB: tracks.isAnnexB, isKey: packet.isKey, at: place)
    }

    private func handleAudio(_ packet: borrowing Packet) {
        guard let sound = tracks.sound, !packet.isCorrupt, (1...FragmentWriter.packetLimitBytes).contains(packet.byteCount) else {
            soundPacketsDropped += 1
            return
        }
        let isSound = sound.take(packet) { packet in
            // Sound of missing pictures, and from before the first key frame, belongs to no footage.
            guard let place = run?.audioTimeline?.place(packet), place.decodeTime >= 0 else { return }
            if !fragments.addAudio(packet.bytes, at: place) { soundPacketsDropped += 1 }
        }
        if !isSound { soundPacketsDropped += 1 }
    }

    private func adopt(_ change: ParameterWatch.Change, _ packet: borrowing Packet) throws {
        try endRun(.parametersChanged)
        do throws(LibAVError) {
            video =
                switch change {
                case .configuration(let extradata): try video.replacing(extradata: extradata, keyFrame: packet.bytes)
                case .size(let widthPixels, let heightPixels): try video.replacing(widthPixels: widthPixels, heightPixels: heightPixels)
                }
        } catch {
            throw FileRefusal.unreadable("\(error)")
        }
        watch.adopt(video)
    }

    private func beginRun(_ packet: borrowing Packet, _ ticks: Int64?) throws {
        guard packet.isKey, watch.isComplete else { return }
        let initSegment: InitSegment
        do throws(LibAVError) {
            initSegment = try InitSegment(streams: [video] + (tracks.sound.map { [$0.parameters] } ?? []))
        } catch {
            throw FileRefusal.unsupported(error.description)
        }
        let timeBase = tracks.video.timeBase
        let announced = packet.duration.flatMap { timeBase.rescale($0, to: Rational(1, InitSegment.videoTimescale)) }
        let frame = min(max(1, announced ?? 3_000), Int64(InitSegment.videoTimescale))
        var begun = Run(
            number: runs, initSegment: initSegment, initSHA256: ContentHash.sha256(initSegment.bytes),
            timeline: MediaTimeline(source: timeBase, timescale: InitSegment.videoTimescale, origin: ticks, typicalDuration: frame),
            startMilliseconds: start(atTicks: ticks))
        if let sound = tracks.sound, initSegment.tracks.count > 1 {
            sound.adopt()
            let timescale = initSegment.tracks[1].timescale
            // Sound counts from the same instant as the picture.
            let origin = ticks.flatMap { Rational(1, InitSegment.videoTimescale).rescale($0, to: Rational(1, timescale)) }
            begun.audioTimeline = MediaTimeline(source: sound.timeBase, timescale: timescale, origin: origin, typicalDuration: sound.frameTicks)
        }
        fragments.begin(tracks: initSegment.tracks, typicalVideoDuration: frame, typicalAudioDuration: tracks.sound?.frameTicks ?? 1_024)
        run = begun
        runs += 1
        isBroken = false
    }

    /// Boot clock of a run's first picture; counts what is missing before it.
    private func start(atTicks ticks: Int64?) -> Int64 {
        guard let ticks, let firstTicks else { return coveredMilliseconds }
        let own = MediaTime.milliseconds(ticks90k: ticks - firstTicks)
        let hole = own + shiftMilliseconds - coveredMilliseconds
        guard hole >= 0, hole <= Self.longestHoleMilliseconds else {
            // Pictures of one moment may differ by their rounding.
            if abs(hole) > 1_000 { clockSteps += 1 }
            shiftMilliseconds = coveredMilliseconds - own
            return coveredMilliseconds
        }
        if isBroken || hole > 1_000 * Self.pauseSeconds / 2 {
            missingMilliseconds += hole
            stretches += 1
        }
        return coveredMilliseconds + hole
    }

    private func flush(nextDecodeTime: Int64?) throws {
        guard !fragments.isEmpty, let run else { return }
        let writer = try segment ?? openSegment(run)
        segment = writer
        try fragments.flush(nextDecodeTime: nextDecodeTime, isLast: nextDecodeTime == nil) { bytes, summary in try writer.append(bytes, summary: summary) }
    }

    private func openSegment(_ run: Run) throws -> SegmentWriter {
        let start = run.bootMilliseconds(ticks: run.mediaStart)
        let header = SideHeader(
            run: run.number, bootID: target.bootID, startBootMilliseconds: start, startWall: target.startWall.advanced(byMilliseconds: start),
            initBytes: Int64(run.initSegment.bytes.count), initSHA256: run.initSHA256, codecs: run.initSegment.codecs,
            widthPixels: video.widthPixels, heightPixels: video.heightPixels, mediaStartTicks90k: run.mediaStart, configVersion: target.configVersion,
            encodedSound: run.initSegment.tracks.count > 1 ? tracks.sound?.encoded : nil)
        return try SegmentWriter(
            storage: storage, directory: target.directory, sequence: UInt64(outcome.segments.count), header: header, initBytes: run.initSegment.bytes)
    }

    private func endRun(_ end: SegmentEnd) throws {
        guard run != nil else { return }
        try flush(nextDecodeTime: nil)
        try seal(end)
        run = nil
    }

    private func seal(_ end: SegmentEnd) throws {
        guard let segment, let run else { return }
        self.segment = nil
        try segment.sync()
        segment.close(isReadSoon: false)
        let (header, progress) = (segment.header, segment.complete)
        guard let sha256 = progress.sha256 else { return }
        let endMilliseconds = run.bootMilliseconds(ticks: run.mediaStart + progress.durationTicks)
        outcome.segments.append(
            SegmentRecord(
                stream: target.stream, sequence: segment.sequence, run: run.number, bootID: header.bootID,
                startBootMilliseconds: header.startBootMilliseconds, endBootMilliseconds: endMilliseconds, startWall: header.startWall,
                bytes: progress.bytes, sha256: sha256, fragmentRoot: progress.fragments.root, fragmentCount: progress.fragmentCount,
                initBytes: header.initBytes, initSHA256: header.initSHA256, codecs: header.codecs, widthPixels: header.widthPixels,
                heightPixels: header.heightPixels, mediaStartTicks90k: header.mediaStartTicks90k, mediaDurationTicks90k: progress.durationTicks,
                frames: progress.frames, drops: 0, end: end, configVersion: header.configVersion, encodedSound: header.encodedSound))
        coveredMilliseconds = max(coveredMilliseconds, endMilliseconds)
    }
}
