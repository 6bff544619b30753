import LibAV
import Logging
import RecordingModel

/// One connection to a camera, from opening it to whatever ends it; it may hold several runs.
final class RecordingAttempt {
    private let context: RecorderContext
    private let ledger: GapLedger
    private let health: HealthReporter
    private let fragments: FragmentWriter
    private let stop: StopSignal

    private var tracks: SourceTracks
    private let source: any CameraSource
    private var watch: ParameterWatch
    private var units: AccessUnits?
    private var video: CodecParameters
    private var run: RunRecorder?
    private var videoTimeline: MediaTimeline?
    private var audioTimeline: MediaTimeline?
    private var audioTimescale: Int32?
    private var waitingSince: Int64
    private var lastVideoNanoseconds: Int64
    private var lastKeyNanoseconds: Int64
    private var videoPackets = 0
    private var firstRecordedNanoseconds: Int64?
    var hasRecorded: Bool { firstRecordedNanoseconds != nil }

    /// From the first picture that was recorded to the last one.
    var recordedMilliseconds: Int64 { firstRecordedNanoseconds.map { (lastVideoNanoseconds - $0) / 1_000_000 } ?? 0 }

    /// Opens the camera.
    init(
        _ context: RecorderContext, ledger: GapLedger, health: HealthReporter, fragments: FragmentWriter, stop: StopSignal
    ) throws(CaptureFailure) {
        self.context = context
        self.ledger = ledger
        self.health = health
        self.fragments = fragments
        self.stop = stop
        source = try context.openSource(context.configuration, stop)
        tracks = try SourceTracks(source.streams, audio: context.configuration.audio)
        source.select(tracks.indexes)
        video = tracks.video.parameters
        watch = ParameterWatch(video)
        units = tracks.isAnnexB ? AccessUnits(video.codec) : nil
        let now = context.clocks.now()
        waitingSince = now.bootNanoseconds
        lastVideoNanoseconds = now.bootNanoseconds
        lastKeyNanoseconds = now.bootNanoseconds
        health.health.connects += 1
        if let note = tracks.note { context.logger.notice("\(note)") }
    }

    /// Records until the camera, the disk or a request ends it.
    func record() -> CaptureFailure {
        source.onWait { [weak self] in self?.whileWaiting() }
        defer { source.onWait(nil) }
        let ended: CaptureFailure
        do throws(CaptureFailure) {
            let packet = try makePacket()
            while true { try readOne(packet) }
        } catch {
            ended = classified(error)
        }
        endRun(ended == .stopped ? .stopped : .cameraLost, ended)
        return ended
    }

    /// Within a read. A fault is kept by the segment, and met with the next packet or at the end.
    private func whileWaiting() {
        let now = context.clocks.now()
        if run == nil { ledger.tick(now) } else { ledger.retry(now) }
        try? run?.syncIfDue(now, isWaiting: true)
        health.tick(now)
    }

    private func readOne(_ packet: borrowing Packet) throws(CaptureFailure) {
        guard try source.read(into: packet, milliseconds: context.configuration.stallTimeoutMilliseconds) == .packet else {
            throw .failed(.cameraLost, "the stream ended")
        }
        let now = context.clocks.now()
        health.health.packets += 1
        health.health.bytes += UInt64(packet.byteCount)
        if packet.byteCount == 0 || packet.byteCount > FragmentWriter.packetLimitBytes {
            countDrop()
        } else if packet.streamIndex == tracks.video.index {
            try handleVideo(packet, now)
        } else if packet.streamIndex == tracks.audio?.index {
            handleAudio(packet)
        }
        do throws(StorageFault) { try run?.syncIfDue(now, isWaiting: false) } catch { try abandonRun(error, now) }
        try checkProgress(now)
        health.tick(now)
    }

    private func handleVideo(_ packet: borrowing Packet, _ now: Moment) throws(CaptureFailure) {
        videoPackets += 1
        switch try units?.join(packet) {
        case .picture, nil: break
        case .held: return
        case .tooMuch: return countDrop()
        }
        guard packet.byteCount <= FragmentWriter.packetLimitBytes else { return countDrop() }
        lastVideoNanoseconds = now.bootNanoseconds
        if packet.isKey { lastKeyNanoseconds = now.bootNanoseconds }
        if let change = watch.change(in: packet) { try adopt(change, packet) }
        if run == nil { try beginRun(packet, now) }
        guard run != nil else { return }
        guard let place = videoTimeline?.place(packet) else {
            endRun(.discontinuity, .failed(.cameraLost, "the camera's timestamps jumped"))
            try beginRun(packet, now)
            if run != nil, let place = videoTimeline?.place(packet) { try add(packet, place, now) }
            return
        }
        try add(packet, place, now)
    }

    private func add(_ packet: borrowing Packet, _ place: MediaTimeline.Placement, _ now: Moment) throws(CaptureFailure) {
        do throws(StorageFault) {
            try run?.addVideo(packet, isAnnexB: tracks.isAnnexB, at: place, now: now)
            if firstRecordedNanoseconds == nil { firstRecordedNanoseconds = now.bootNanoseconds }
        } catch {
            try abandonRun(error, now)
        }
    }

    /// Goes on with a new file, unless nobody would seal it.
    private func abandonRun(_ fault: StorageFault, _ now: Moment) throws(CaptureFailure) {
        run?.abandon(now)
        run = nil
        waitingSince = now.bootNanoseconds
        storageFailed(fault, now)
        if let refusal = ledger.gate.refusal { throw .failed(.diskFault, refusal) }
    }

    private func handleAudio(_ packet: borrowing Packet) {
        guard let run, let audio = tracks.audio, let timescale = audioTimescale, let origin = videoTimeline?.origin else { return }
        if audioTimeline == nil {
            // Sound counts from the same instant as the picture.
            guard let start = Rational(1, InitSegment.videoTimescale).rescale(origin, to: Rational(1, timescale)) else { return countDrop() }
            audioTimeline = MediaTimeline(source: audio.timeBase, timescale: timescale, origin: start, typicalDuration: tracks.audioFrameTicks)
        }
        guard let place = audioTimeline?.place(packet) else {
            // The picture's timeline goes on; sound that cannot follow it is dropped until the next run.
            countDrop()
            return
        }
        // Sound from before the first key frame belongs to no footage.
        if place.decodeTime >= 0, !run.addAudio(packet, at: place) { countDrop() }
    }

    /// The stream's parameters are others than those of the run under way, or than the camera announced.
    private func adopt(_ change: ParameterWatch.Change, _ packet: borrowing Packet) throws(CaptureFailure) {
        endRun(.parametersChanged, .failed(.cameraLost, "the camera changed its video parameters"))
        do throws(LibAVError) {
            video =
                switch change {
                case .configuration(let extradata): try video.replacing(extradata: extradata, keyFrame: packet.bytes)
                case .size(let widthPixels, let heightPixels): try video.replacing(widthPixels: widthPixels, heightPixels: heightPixels)
                }
        } catch {
            throw CaptureFailure(error, whileOpening: false)
        }
        watch.adopt(video)
    }

    private func beginRun(_ packet: borrowing Packet, _ now: Moment) throws(CaptureFailure) {
        guard packet.isKey, watch.isComplete else { return }
        let timeBase = tracks.video.timeBase
        let announced = packet.duration.flatMap { timeBase.rescale($0, to: Rational(1, InitSegment.videoTimescale)) }
        let frame = min(max(1, announced ?? 3_000), Int64(InitSegment.videoTimescale))
        let initSegment: InitSegment
        do throws(LibAVError) {
            initSegment = try InitSegment(streams: [video] + (tracks.audio.map { [$0.parameters] } ?? []))
        } catch {
            throw .failed(.unsupported, error.description)
        }
        videoTimeline = MediaTimeline(source: timeBase, timescale: InitSegment.videoTimescale, origin: nil, typicalDuration: frame)
        audioTimeline = nil
        audioTimescale = initSegment.tracks.count > 1 ? initSegment.tracks[1].timescale : nil
        fragments.begin(tracks: initSegment.tracks, typicalVideoDuration: frame, typicalAudioDuration: tracks.audioFrameTicks)
        run = RunRecorder(context, ledger: ledger, fragments: fragments, initSegment: initSegment, video: video, now: now)
        health.enter(.recording, now: now, lastError: tracks.note)
    }

    /// `reason` becomes the cause of the gap, unless the disk gives a better one.
    private func endRun(_ end: SegmentEnd, _ reason: CaptureFailure) {
        guard let run else { return }
        self.run = nil
        let now = context.clocks.now()
        waitingSince = now.bootNanoseconds
        if let fault = run.finish(end, now) {
            storageFailed(fault, now)
            return
        }
        switch reason {
        case .stopped: ledger.gapBegins(.stopped, "the recorder was stopped")
        case .failed(let cause, let detail): ledger.gapBegins(cause, detail)
        }
    }

    private func storageFailed(_ fault: StorageFault, _ now: Moment) {
        context.logger.error("the disk refused footage", metadata: ["error": "\(fault.detail)"])
        ledger.learned(fault.cause, fault.detail, now)
        health.enter(.waiting, now: now, lastError: fault.detail)
    }

    private func countDrop() {
        health.health.drops += 1
        run?.countDrop()
    }

    /// The demuxer's deadline ends silence; this ends a camera that sends, but not what can be recorded.
    private func checkProgress(_ now: Moment) throws(CaptureFailure) {
        if run != nil {
            if now.bootNanoseconds - lastVideoNanoseconds > Int64(context.configuration.stallTimeoutMilliseconds) * 1_000_000 {
                throw .failed(.cameraLost, "no picture for \(context.configuration.stallTimeoutMilliseconds) ms")
            }
            if run?.isTooLarge == true { throw .failed(.noKeyFrame, "the segment is full and no key frame came to begin the next one") }
            ledger.retry(now)
        } else {
            ledger.tick(now)
        }
        // A run without key frames would never be sealed.
        let since = run == nil ? waitingSince : lastKeyNanoseconds
        if now.bootNanoseconds - since > Int64(context.configuration.noKeyFrameTimeoutMilliseconds) * 1_000_000 {
            throw .failed(.noKeyFrame, "no key frame for \(context.configuration.noKeyFrameTimeoutMilliseconds) ms")
        }
    }

    /// What a failed read means depends on what came before it.
    private func classified(_ failure: CaptureFailure) -> CaptureFailure {
        guard case .failed(.cameraLost, let detail) = failure, !hasRecorded else { return failure }
        return .failed(videoPackets == 0 ? .cameraSilent : .noKeyFrame, detail)
    }

    private func makePacket() throws(CaptureFailure) -> Packet {
        do throws(LibAVError) { return try Packet() } catch { throw CaptureFailure(error, whileOpening: false) }
    }
}
