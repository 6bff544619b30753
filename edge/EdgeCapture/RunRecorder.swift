import EvidenceLog
import LibAV
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// One run: segments that follow one another without a break, on one media timeline, with one init segment.
final class RunRecorder {
    /// At most so much is unsynced while packets come.
    private static let syncNanoseconds: Int64 = 5_000_000_000

    private let context: RecorderContext
    private let ledger: GapLedger
    private let fragments: FragmentWriter
    private let number: UInt64
    private let initSegment: InitSegment
    private let initSHA256: ContentHash
    private let widthPixels: Int
    private let heightPixels: Int
    private let segmentTicks: Int64
    let isKeyFramesOnly: Bool
    private let encodedSound: EncodedSound?

    private var segment: SegmentWriter?
    private var segmentClock: SegmentClock
    private var drift = DriftWatch()
    private var hasBegun = false
    private var mediaStart: Int64 = 0
    private var drops = 0
    private var lastSyncNanoseconds: Int64
    private var segmentOpenedNanoseconds: Int64
    private var lastArrivalNanoseconds: Int64
    /// Decode time of the newest picture that was seen and not recorded: so long the one before it is shown.
    private var passedTime: Int64?
    /// There is a file to hold the footage.
    var isOpen: Bool { segment != nil }
    let beganNanoseconds: Int64

    /// The first segment is opened with the first fragment: by then it is known when the run began.
    init(
        _ context: RecorderContext, ledger: GapLedger, fragments: FragmentWriter, initSegment: InitSegment, video: CodecParameters, isKeyFramesOnly: Bool = false,
        encodedSound: EncodedSound? = nil, now: Moment
    ) {
        self.context = context
        self.ledger = ledger
        self.fragments = fragments
        self.initSegment = initSegment
        self.isKeyFramesOnly = isKeyFramesOnly
        self.encodedSound = encodedSound
        initSHA256 = ContentHash.sha256(initSegment.bytes)
        widthPixels = video.widthPixels
        heightPixels = video.heightPixels
        segmentTicks = Int64(max(context.configuration.segmentMilliseconds, CameraConfiguration.minimumSegmentMilliseconds)) * 90
        number = context.sink.nextRun(for: context.stream)
        lastSyncNanoseconds = now.bootNanoseconds
        lastArrivalNanoseconds = now.bootNanoseconds
        segmentOpenedNanoseconds = now.bootNanoseconds
        segmentClock = SegmentClock(originNanoseconds: now.bootNanoseconds)
        beganNanoseconds = now.bootNanoseconds
    }

    func countDrop() { drops += 1 }

    func addVideo(_ packet: borrowing Packet, isAnnexB: Bool, at place: MediaTimeline.Placement, now: Moment) throws(StorageFault) {
        lastArrivalNanoseconds = now.bootNanoseconds
        // FFmpeg keeps back what came while it learned the streams, and hands it out in a burst: the picture that was
        // kept the shortest tells best when the first one arrived.
        if !hasBegun { segmentClock = segmentClock.startingNoLater(than: now.bootNanoseconds, mediaTicks: place.decodeTime) }
        let mustCut = packet.isKey && isLongEnough(place.decodeTime, now)
        if mustCut || fragments.mustFlush(decodeTime: place.decodeTime, isKey: packet.isKey, byteCount: packet.byteCount) {
            try flush(nextDecodeTime: place.decodeTime, now)
            if mustCut { try cut(mediaTime: place.decodeTime, now) }
        }
        fragments.addVideo(packet.bytes, isAnnexB: isAnnexB, isKey: packet.isKey, at: place)
        passedTime = nil
    }

    /// A picture came that is not recorded; the last one that was is shown on.
    func passed(_ place: MediaTimeline.Placement, _ now: Moment) {
        lastArrivalNanoseconds = now.bootNanoseconds
        passedTime = place.decodeTime
    }

    /// Media time and the clock have gone apart, so that the run must end with this key frame's arrival.
    func isApart(isKey: Bool, at place: MediaTimeline.Placement, now: Moment) -> Bool {
        guard hasBegun else { return false }
        let lateness = segmentClock.latenessNanoseconds(mediaTicks: place.decodeTime - mediaStart, observed: now.bootNanoseconds)
        return drift.isApart(latenessNanoseconds: lateness, isKey: isKey, arrivalNanoseconds: now.bootNanoseconds)
    }

    /// A camera whose timestamps hardly advance must not fill one file for ever.
    private func isLongEnough(_ decodeTime: Int64, _ now: Moment) -> Bool {
        decodeTime - mediaStart >= segmentTicks
            || now.bootNanoseconds - segmentOpenedNanoseconds >= 2 * SegmentClock.nanoseconds(segmentTicks)
            || bytes >= context.segmentLimitBytes / 4 * 3
    }

    private var bytes: Int64 { segment?.complete.bytes ?? 0 }

    /// No key frame came in time to cut the segment; what is left is more than a fragment may have.
    var isTooLarge: Bool { bytes >= context.segmentLimitBytes / 32 * 31 }

    /// To be called with every packet, and while none comes.
    func syncIfDue(_ now: Moment, isWaiting: Bool) throws(StorageFault) {
        guard let segment, segment.hasUnsynced else { return }
        // While waiting the next call may be a while off.
        let limit = isWaiting ? Self.syncNanoseconds - 1_000_000_000 : Self.syncNanoseconds
        guard now.bootNanoseconds - lastSyncNanoseconds >= limit else { return }
        do { try segment.sync() } catch { throw context.fault(error) }
        lastSyncNanoseconds = now.bootNanoseconds
    }

    /// False when the packet had to be dropped.
    func addAudio(_ packet: borrowing Packet, at place: MediaTimeline.Placement) -> Bool {
        fragments.addAudio(packet.bytes, at: place)
    }

    /// Writes what is pending and seals the last segment. Afterwards the ledger knows up to where there is footage.
    /// A fault of the disk is returned, because it is then the cause of the gap that follows.
    /// - Parameter next: when a picture came that follows without a break, though not in this run.
    func finish(_ end: SegmentEnd, _ now: Moment, next: Int64? = nil) -> StorageFault? {
        do throws(StorageFault) {
            try flush(nextDecodeTime: passedTime, isLast: true, now)
            let lastFrame = SegmentClock.nanoseconds(fragments.typicalVideoDuration)
            // The last picture is shown until now at the longest.
            let observed = min(lastArrivalNanoseconds + lastFrame, now.bootNanoseconds)
            let lateness = drift.latenessNanoseconds
            try seal(end) { clock, ticks in
                next.map { max(clock.startNanoseconds, $0) } ?? clock.lastEnd(mediaTicks: ticks, observed: observed, latenessNanoseconds: lateness)
            }
            return nil
        } catch {
            abandon(now)
            return error
        }
    }

    /// After a fault of the disk: seals what is verified. What cannot be sealed stays under its open name: the next
    /// start's recovery seals every open file that has a side file.
    func abandon(_ now: Moment) {
        guard let segment else { return }
        self.segment = nil
        do throws(StorageFault) {
            switch segment.salvage() {
            case .verified(let progress):
                try deliver(segment, progress, .storageFault, endNanoseconds: segmentClock.end(mediaTicks: progress.durationTicks, observed: now.bootNanoseconds))
            case .left(let progress):
                ledger.recorded(until: segmentClock.end(mediaTicks: progress.durationTicks, observed: now.bootNanoseconds) / 1_000_000)
                context.logger.error("a segment is left for recovery", metadata: ["path": "\(segment.openPath)"])
            case .nothing: break
            }
        } catch {
            context.logger.error("a segment could not be sealed; it is left for recovery", metadata: ["error": "\(error.detail)"])
        }
    }

    private func flush(nextDecodeTime: Int64?, isLast: Bool = false, _ now: Moment) throws(StorageFault) {
        guard !fragments.isEmpty else { return }
        if !hasBegun { try begin(now) }
        guard let segment else { return }
        try checkRefusal()
        do {
            try fragments.flush(nextDecodeTime: nextDecodeTime, isLast: isLast) { bytes, summary in try segment.append(bytes, summary: summary) }
        } catch {
            throw context.fault(error)
        }
    }

    private func begin(_ now: Moment) throws(StorageFault) {
        // Not before what is accounted for, should the run before claim more time than has passed.
        segmentClock = SegmentClock(originNanoseconds: segmentClock.originNanoseconds, notBefore: ledger.accountedUntil * 1_000_000)
        segment = try openSegment(now)
        // Only now, when there is a file to hold the footage.
        ledger.footageBegins(at: segmentClock.startNanoseconds / 1_000_000, now)
        hasBegun = true
    }

    private func cut(mediaTime: Int64, _ now: Moment) throws(StorageFault) {
        try seal(.length) { clock, ticks in clock.end(mediaTicks: ticks, observed: now.bootNanoseconds) }
        mediaStart = mediaTime
        segment = try openSegment(now)
        lastSyncNanoseconds = now.bootNanoseconds
    }

    private func seal(_ end: SegmentEnd, endNanoseconds: (SegmentClock, _ mediaTicks: Int64) -> Int64) throws(StorageFault) {
        guard let segment else { return }
        guard segment.complete.fragmentCount > 0 else {
            segment.discard()
            self.segment = nil
            return
        }
        do { try segment.sync() } catch { throw context.fault(error) }
        segment.close()
        self.segment = nil
        let endNanoseconds = endNanoseconds(segmentClock, segment.complete.durationTicks)
        try deliver(segment, segment.complete, end, endNanoseconds: endNanoseconds)
        segmentClock = SegmentClock(originNanoseconds: endNanoseconds)
        drops = 0
    }

    private func deliver(_ segment: SegmentWriter, _ progress: SegmentWriter.Progress, _ end: SegmentEnd, endNanoseconds: Int64) throws(StorageFault) {
        let header = segment.header
        guard let sha256 = progress.sha256 else { return }
        let record = SegmentRecord(
            stream: context.stream, sequence: segment.sequence, run: number, bootID: header.bootID,
            startBootMilliseconds: header.startBootMilliseconds, endBootMilliseconds: endNanoseconds / 1_000_000, startWall: header.startWall,
            bytes: progress.bytes, sha256: sha256, fragmentRoot: progress.fragments.root, fragmentCount: progress.fragmentCount,
            initBytes: header.initBytes, initSHA256: header.initSHA256, codecs: header.codecs, widthPixels: widthPixels,
            heightPixels: heightPixels, mediaStartTicks90k: header.mediaStartTicks90k, mediaDurationTicks90k: progress.durationTicks,
            frames: progress.frames, drops: drops, end: end, configVersion: header.configVersion, isKeyFramesOnly: header.isKeyFramesOnly,
            encodedSound: header.encodedSound)
        // Also when it is refused: the files are there, and recovery will say so.
        ledger.recorded(until: record.endBootMilliseconds)
        try ledger.gate.deliver(ClosedSegment(record: record, openPath: segment.openPath.string, sidePath: segment.sidePath.string))
    }

    private func checkRefusal() throws(StorageFault) {
        if let refusal = ledger.gate.refusal { throw StorageFault(cause: refusal.cause, detail: refusal.detail) }
    }

    private func openSegment(_ now: Moment) throws(StorageFault) -> SegmentWriter {
        ledger.retry(now, atOnce: true)
        try checkRefusal()
        segmentOpenedNanoseconds = now.bootNanoseconds
        let startMilliseconds = segmentClock.startNanoseconds / 1_000_000
        var startWall = now.wall(atBootMilliseconds: startMilliseconds)
        // A clock that was never set may be younger than the footage.
        startWall.unixMilliseconds = max(0, startWall.unixMilliseconds)
        let header = SideHeader(
            run: number, bootID: context.clocks.bootID, startBootMilliseconds: startMilliseconds, startWall: startWall,
            initBytes: Int64(initSegment.bytes.count), initSHA256: initSHA256,
            codecs: initSegment.codecs, widthPixels: widthPixels, heightPixels: heightPixels, mediaStartTicks90k: mediaStart,
            configVersion: context.configuration.configVersion, isKeyFramesOnly: isKeyFramesOnly ? true : nil, encodedSound: encodedSound)
        do {
            return try SegmentWriter(
                storage: context.storage, directory: context.directory, sequence: context.sink.nextSequence(for: context.stream),
                header: header, initBytes: initSegment.bytes)
        } catch {
            throw context.fault(error)
        }
    }
}
