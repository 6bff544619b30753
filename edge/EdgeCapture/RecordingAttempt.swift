import EdgeMotion
import LibAV
import Logging
import RecordingModel

/// One connection to a camera, from opening it to whatever ends it; it may hold several runs.
final class RecordingAttempt {
    private let context: RecorderContext
    private let ledger: GapLedger
    private let health: HealthReporter
    private let events: EventWatch
    private let standby: Standby
    private let fragments: FragmentWriter
    private let power: PowerWatch
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
    private var shownNote: String?
    private var soundNote: String?
    /// Nil as soon as the camera is known to be at the present.
    private var settling: Settling?
    /// What went wrong within a read, which cannot throw; it ends the attempt after it.
    private var releaseFailure: CaptureFailure?
    private var budget = RunBudget()
    private let disk: StoragePause
    /// A picture came that was recorded, or would have been if the configuration had it so.
    var hasRecorded: Bool { firstRecordedNanoseconds != nil }

    /// From the first such picture to the last one; 0 when what came was not steady.
    var recordedMilliseconds: Int64 { budget.isSpent ? 0 : firstRecordedNanoseconds.map { (lastVideoNanoseconds - $0) / 1_000_000 } ?? 0 }

    /// Opens the camera.
    init(
        _ context: RecorderContext, ledger: GapLedger, health: HealthReporter, events: EventWatch, fragments: FragmentWriter, disk: StoragePause,
        power: PowerWatch, stop: StopSignal
    ) throws(CaptureFailure) {
        self.context = context
        self.ledger = ledger
        self.health = health
        self.events = events
        standby = Standby(context.configuration.recording, ledger: ledger)
        self.fragments = fragments
        self.disk = disk
        self.power = power
        self.stop = stop
        source = try context.openSource(context.configuration, stop)
        tracks = try SourceTracks(source.streams, audio: context.configuration.audio)
        source.select(tracks.indexes)
        settling = Settling(source.streams, videoIndex: tracks.video.index)
        video = tracks.video.parameters
        watch = ParameterWatch(video)
        units = tracks.isAnnexB ? AccessUnits(video.codec) : nil
        let now = context.clocks.now()
        waitingSince = now.bootNanoseconds
        lastVideoNanoseconds = now.bootNanoseconds
        lastKeyNanoseconds = now.bootNanoseconds
        health.health.connects += 1
        events.streamBegins()
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
            // What settled nothing is footage all the same. Where it cannot be recorded that is said, unless a stop was asked.
            var cause = error
            do throws(CaptureFailure) { try release() } catch { if cause != .stopped { cause = error } }
            ended = classified(cause)
        }
        let isAway = run == nil && standby.cause == nil
        endRun(ended.segmentEnd, ended)
        endStandby(ended)
        // The gap under way has a cause from before.
        if isAway, case .failed(let cause, let detail) = ended { ledger.learned(cause, detail, context.clocks.now()) }
        return ended
    }

    /// Within a read. A fault is kept by the segment, and met with the next packet or at the end.
    private func whileWaiting() {
        let now = context.clocks.now()
        events.tick(now)
        if run == nil { ledger.tick(now) } else { ledger.retry(now) }
        // A camera that fell silent after a burst: what is held here must reach the disk.
        if settling?.isOver(now.bootNanoseconds) == true {
            do throws(CaptureFailure) { try release() } catch { releaseFailure = error }
        }
        try? run?.syncIfDue(now, isWaiting: true)
        health.tick(now)
        power.look(now.bootMilliseconds)
        // A camera that says nothing is let go as soon as one that sends.
        if power.closedDetail != nil { stop.interrupt.arm(milliseconds: 0) }
    }

    private func readOne(_ packet: borrowing Packet) throws(CaptureFailure) {
        guard try source.read(into: packet, milliseconds: context.configuration.stallTimeoutMilliseconds) == .packet else {
            throw .failed(.cameraLost, "the stream ended")
        }
        if let releaseFailure { throw releaseFailure }
        let now = context.clocks.now()
        events.tick(now)
        power.look(now.bootMilliseconds)
        if let detail = power.closedDetail { throw .failed(.power, detail) }
        health.health.packets += 1
        health.health.bytes += UInt64(packet.byteCount)
        if packet.byteCount == 0 || packet.byteCount > FragmentWriter.packetLimitBytes {
            countDrop()
        } else {
            switch settling?.take(packet, arrivalNanoseconds: now.bootNanoseconds) {
            case .held: break
            case .settled:
                try release()
                try handle(packet, now)
            case .passed, nil: try handle(packet, now)
            }
        }
        if budget.isSpent { throw .failed(.cameraLost, Self.unsteady) }
        do throws(StorageFault) { try run?.syncIfDue(now, isWaiting: false) } catch { try abandonRun(error, now) }
        try checkProgress(now)
        health.tick(now)
    }

    private static let unsteady = "the camera's timestamps or parameters changed \(RunBudget.limit) times within a minute, each time within 2 s"

    private func handle(_ packet: borrowing Packet, _ now: Moment) throws(CaptureFailure) {
        if packet.streamIndex == tracks.video.index {
            try handleVideo(packet, now)
        } else if packet.streamIndex == tracks.sound?.index {
            if standby.cause == nil { handleAudio(packet) } else { standby.keep(packet, isVideo: false, now) }
        }
    }

    /// The camera is at the present: what came in a burst is handled as of when it was made.
    private func release() throws(CaptureFailure) {
        guard let settling else { return }
        self.settling = nil
        let now = context.clocks.now()
        let packet = try makePacket()
        try settling.release(from: ledger.accountedUntil * 1_000_000, into: packet) { made throws(CaptureFailure) in
            try handle(packet, now.moved(to: made))
        }
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
        if packet.isKey, run != nil, tracks.sound?.hasChanged == true {
            endRun(.parametersChanged, .failed(.cameraLost, "the camera changed its sound parameters"))
        }
        events.observe(packet, video, now)
        if events.note != shownNote { showNote() }
        // What is no longer wanted ends where a group of pictures does.
        if let cause = events.gap, run == nil || packet.isKey { return standBy(packet, cause, now) }
        if standby.cause != nil { try recordPreRoll(now) }
        try record(packet, now)
    }

    private func record(_ packet: borrowing Packet, _ now: Moment) throws(CaptureFailure) {
        if packet.isKey, let run, run.isKeyFramesOnly != power.isKeyFramesOnly { changeDetail(packet, run, now) }
        if run == nil { try beginRun(packet, now) }
        guard run != nil else { return }
        guard let place = videoTimeline?.place(packet, arrivalNanoseconds: now.bootNanoseconds) else {
            endRun(.discontinuity, .failed(.cameraLost, "the camera's timestamps jumped"))
            return try recordAnew(packet, now)
        }
        if run?.isApart(isKey: packet.isKey, at: place, now: now) == true {
            endRun(.discontinuity, .failed(.cameraLost, "the camera's timestamps and the clock went apart"), next: now.bootNanoseconds)
            return try recordAnew(packet, now)
        }
        // From one key frame to the next nothing of a group is missing, or everything but its first picture.
        if let run, !packet.isKey, run.isKeyFramesOnly || power.isKeyFramesOnly { return run.passed(place, now) }
        try add(packet, place, now)
    }

    /// At a key frame: the next run records every picture, or key frames only, and this one lasts until it.
    private func changeDetail(_ packet: borrowing Packet, _ run: RunRecorder, _ now: Moment) {
        if let place = videoTimeline?.place(packet, arrivalNanoseconds: now.bootNanoseconds) { run.passed(place, now) }
        endRun(.power, .failed(.power, "the recorder went over to \(power.isKeyFramesOnly ? "key frames only" : "every picture")"), next: now.bootNanoseconds)
    }

    private func recordAnew(_ packet: borrowing Packet, _ now: Moment) throws(CaptureFailure) {
        try beginRun(packet, now)
        if run != nil, let place = videoTimeline?.place(packet, arrivalNanoseconds: now.bootNanoseconds) { try add(packet, place, now) }
    }

    /// Nothing is kept, but for what an event may want from before it.
    private func standBy(_ packet: borrowing Packet, _ cause: GapCause, _ now: Moment) {
        if run != nil { endRun(.eventOver, .failed(cause, Standby.detail(cause))) }
        if standby.cause == nil {
            guard packet.isKey, watch.isComplete else { return }
            if firstRecordedNanoseconds == nil { firstRecordedNanoseconds = now.bootNanoseconds }
            health.enter(.standby, now: now, lastError: shownNote ?? tracks.note)
        }
        standby.enter(cause, now)
        standby.keep(packet, isVideo: true, now)
    }

    /// What was kept becomes the beginning of a run, at the times at which it came.
    private func recordPreRoll(_ now: Moment) throws(CaptureFailure) {
        standby.leave()
        defer { standby.forget() }
        waitingSince = now.bootNanoseconds
        guard !standby.preRoll.entries.isEmpty else { return }
        let packet = try makePacket()
        for index in standby.preRoll.start(at: events.preRollStartNanoseconds)..<standby.preRoll.entries.count {
            let (arrival, isVideo) = (standby.preRoll.entries[index].arrivalNanoseconds, standby.preRoll.entries[index].isVideo)
            try standby.preRoll.fill(packet, from: index)
            if isVideo { try record(packet, now.moved(to: arrival)) } else { handleAudio(packet) }
        }
    }

    /// Up to here it was the configuration's gap, from here on it is the camera's.
    private func endStandby(_ reason: CaptureFailure) {
        guard standby.cause != nil else { return }
        standby.leave()
        standby.forget()
        if case .failed(let cause, let detail) = reason { ledger.learned(cause, detail, context.clocks.now()) }
    }

    private func showNote() {
        shownNote = events.note
        if let shownNote { context.logger.warning("\(shownNote)") }
        health.health.lastError = shownNote ?? tracks.note
    }

    private func add(_ packet: borrowing Packet, _ place: MediaTimeline.Placement, _ now: Moment) throws(CaptureFailure) {
        do throws(StorageFault) {
            let wasOpen = run?.isOpen ?? true
            try run?.addVideo(packet, isAnnexB: tracks.isAnnexB, at: place, now: now)
            // Only now is there a file that took it.
            if !wasOpen, run?.isOpen == true { health.enter(.recording, now: now, lastError: shownNote ?? soundNote ?? tracks.note) }
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
        if let refusal = ledger.gate.refusal { throw .failed(refusal.cause, refusal.detail) }
    }

    private func handleAudio(_ packet: borrowing Packet) {
        guard let sound = tracks.sound else { return }
        if !sound.take(packet, { addAudio($0, sound) }) { countDrop() }
    }

    private func addAudio(_ packet: borrowing Packet, _ sound: SoundTrack) {
        guard let run, let timescale = audioTimescale, let origin = videoTimeline?.origin else { return }
        if audioTimeline == nil {
            // Sound counts from the same instant as the picture.
            guard let start = Rational(1, InitSegment.videoTimescale).rescale(origin, to: Rational(1, timescale)) else { return countDrop() }
            audioTimeline = MediaTimeline(source: sound.timeBase, timescale: timescale, origin: start, typicalDuration: sound.frameTicks)
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
        standby.forget()
        events.streamBegins()
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
        guard packet.isKey, watch.isComplete, disk.isOver(now.bootNanoseconds) else { return }
        let timeBase = tracks.video.timeBase
        let announced = packet.duration.flatMap { timeBase.rescale($0, to: Rational(1, InitSegment.videoTimescale)) }
        let frame = min(max(1, announced ?? 3_000), Int64(InitSegment.videoTimescale))
        let isKeyFramesOnly = power.isKeyFramesOnly
        let (initSegment, note) = try makeInitSegment(isSilent: isKeyFramesOnly)
        soundNote = note
        tracks.sound?.adopt()
        videoTimeline = MediaTimeline(source: timeBase, timescale: InitSegment.videoTimescale, origin: nil, typicalDuration: frame)
        audioTimeline = nil
        audioTimescale = initSegment.tracks.count > 1 ? initSegment.tracks[1].timescale : nil
        fragments.begin(tracks: initSegment.tracks, typicalVideoDuration: frame, typicalAudioDuration: tracks.sound?.frameTicks ?? 1_024)
        run = RunRecorder(
            context, ledger: ledger, fragments: fragments, initSegment: initSegment, video: video, isKeyFramesOnly: isKeyFramesOnly,
            encodedSound: audioTimescale == nil ? nil : tracks.sound?.encoded, now: now)
    }

    /// With sound where the file can hold it, else without, and with a note.
    private func makeInitSegment(isSilent: Bool) throws(CaptureFailure) -> (InitSegment, note: String?) {
        if !isSilent, let sound = tracks.sound, let both = try? InitSegment(streams: [video, sound.parameters]) { return (both, nil) }
        do throws(LibAVError) {
            let note = isSilent ? nil : tracks.sound.map { "sound is not recorded: MP4 does not take its \($0.parameters.codec)" }
            return (try InitSegment(streams: [video]), note)
        } catch {
            throw .failed(.unsupported, error.description)
        }
    }

    /// `reason` becomes the cause of the gap, unless the disk gives a better one.
    /// - Parameter next: when the picture came that begins the next run without a break.
    private func endRun(_ end: SegmentEnd, _ reason: CaptureFailure, next: Int64? = nil) {
        guard let run else { return }
        self.run = nil
        let now = context.clocks.now()
        waitingSince = now.bootNanoseconds
        if end == .discontinuity || end == .parametersChanged { budget.runEnded(after: now.bootNanoseconds - run.beganNanoseconds, at: now.bootNanoseconds) }
        if let fault = run.finish(end, now, next: next) {
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
        disk.failed(now.bootNanoseconds)
        waitingSince = max(waitingSince, disk.untilNanoseconds)
    }

    private func countDrop() {
        health.health.drops += 1
        run?.countDrop()
    }

    /// The demuxer's deadline ends silence; this ends a camera that sends, but not what can be recorded.
    private func checkProgress(_ now: Moment) throws(CaptureFailure) {
        if run != nil || standby.cause != nil {
            if now.bootNanoseconds - lastVideoNanoseconds > Int64(context.configuration.stallTimeoutMilliseconds) * 1_000_000 {
                throw .failed(.cameraLost, "no picture for \(context.configuration.stallTimeoutMilliseconds) ms")
            }
            if run?.isTooLarge == true { throw .failed(.noKeyFrame, "the segment is full and no key frame came to begin the next one") }
            ledger.retry(now)
        }
        if run == nil { ledger.tick(now) }
        // A run without key frames would never be sealed.
        let since = run == nil && standby.cause == nil ? waitingSince : lastKeyNanoseconds
        if now.bootNanoseconds - since > Int64(context.configuration.noKeyFrameTimeoutMilliseconds) * 1_000_000 {
            throw .failed(.noKeyFrame, "no key frame for \(context.configuration.noKeyFrameTimeoutMilliseconds) ms")
        }
    }

    /// What a failed read means depends on what came before it.
    private func classified(_ failure: CaptureFailure) -> CaptureFailure {
        if failure != .stopped, let detail = power.closedDetail { return .failed(.power, detail) }
        guard case .failed(.cameraLost, let detail) = failure, !hasRecorded else { return failure }
        return .failed(videoPackets == 0 ? .cameraSilent : .noKeyFrame, detail)
    }

    private func makePacket() throws(CaptureFailure) -> Packet {
        do throws(LibAVError) { return try Packet() } catch { throw CaptureFailure(error, whileOpening: false) }
    }
}
