import LibAV
import Synchronization

/// What a person decides about a camera's motion detection.
package struct MotionSettings: Hashable, Sendable {
    package static let zonesMax = 8
    package var zones: [MotionZone]
    /// The score at which an event begins, 1 to 100.
    package var threshold: Int
    /// How much of a zone must change, 1 to 100.
    package var minimumAreaPercent: Int
    package var coolDownMilliseconds: Int64

    package init(zones: [MotionZone] = [], threshold: Int = 20, minimumAreaPercent: Int = 1, coolDownMilliseconds: Int64 = 5_000) {
        self.zones = zones
        self.threshold = threshold
        self.minimumAreaPercent = minimumAreaPercent
        self.coolDownMilliseconds = coolDownMilliseconds
    }
}

/// One picture at a time, which bounds memory and processor time: whoever comes while another is at it waits for its
/// next key frame.
package final class DecodeTurn: Sendable {
    package static let ofProcess = DecodeTurn()
    private let isTaken = Atomic<Bool>(false)

    package init() {}
    func take() -> Bool { !isTaken.exchange(true, ordering: .acquiring) }
    func giveBack() { isTaken.store(false, ordering: .releasing) }
}

/// Looks for motion in a camera's video packets: by their sizes first, and by decoding a key frame where sizes leave it
/// open. With zones sizes may only say that all is still, since they do not know where.
///
/// Motion vectors are not used: libavcodec gives them only with decoding every picture, which on a small node costs more
/// than everything else together. Used on the camera's thread only.
package final class MotionDetector {
    private let settings: MotionSettings
    private let turn: DecodeTurn
    private var activity = PacketActivity()
    private var comparison: PictureComparison
    private var budget = DecodeBudget()
    private var grid = LumaGrid(columns: PictureComparison.columns, rows: PictureComparison.rows)
    private var windowStart: Int64?
    /// Sizes were undecided since the last key frame, or there are none to go by.
    private var wantsPicture = true
    private var deltaPictures = 0
    private(set) package var decodedPictures = 0

    package init(_ settings: MotionSettings, turn: DecodeTurn = .ofProcess) {
        self.settings = settings
        self.turn = turn
        comparison = PictureComparison(zones: settings.zones, minimumAreaPercent: settings.minimumAreaPercent)
    }

    /// Why pictures are not decoded for now, in one sentence; nil while all is well.
    package var note: String? { budget.note }

    /// Another connection, or other parameters.
    package func begin() {
        activity = PacketActivity()
        comparison.reset()
        windowStart = nil
        wantsPicture = true
        deltaPictures = 0
    }

    /// - Returns: what is known of the time up to this packet; nil when there is nothing new.
    package func observe(_ packet: borrowing Packet, _ parameters: CodecParameters, nanoseconds: Int64) -> MotionObservation? {
        let verdict = activity.add(bytes: packet.byteCount, isKey: packet.isKey, nanoseconds: nanoseconds)
        if packet.isKey {
            // Where every picture is a key frame there are no sizes to compare.
            let mustLook = wantsPicture || deltaPictures == 0
            wantsPicture = false
            deltaPictures = 0
            return mustLook ? look(packet, parameters, nanoseconds) : nil
        }
        deltaPictures += 1
        let start = windowStart ?? nanoseconds
        if windowStart == nil { windowStart = nanoseconds }
        guard let verdict else { return nil }
        windowStart = nanoseconds
        switch verdict {
        case .still: return nil
        case .motion(let score) where settings.zones.isEmpty: return observation(start, nanoseconds, score, MotionZone.whole.name, mayStart: true)
        case .motion(let score), .undecided(let score):
            wantsPicture = true
            guard settings.zones.isEmpty, activity.isElastic else { return nil }
            return observation(start, nanoseconds, score, MotionZone.whole.name, mayStart: false)
        }
    }

    private func look(_ packet: borrowing Packet, _ parameters: CodecParameters, _ nanoseconds: Int64) -> MotionObservation? {
        guard budget.allows(nanoseconds), decode(packet, parameters, nanoseconds) else {
            // Not this one, then the next.
            wantsPicture = true
            return nil
        }
        guard let result = comparison.compare(grid, nanoseconds) else {
            // This is the picture to compare with.
            wantsPicture = true
            return nil
        }
        guard let zone = result.zone else {
            activity.pictureWasStill()
            return nil
        }
        activity.pictureMoved(nanoseconds)
        // Whether it goes on, only another picture tells.
        wantsPicture = true
        return observation(result.fromNanoseconds, nanoseconds, result.score, zone, mayStart: true)
    }

    private func decode(_ packet: borrowing Packet, _ parameters: CodecParameters, _ nanoseconds: Int64) -> Bool {
        guard turn.take() else { return false }
        defer { turn.giveBack() }
        let start = threadCPUNanoseconds()
        var failure: LibAVError?
        do throws(LibAVError) { try VideoDecoder.decodeLuma(of: packet, parameters, into: &grid) } catch { failure = error }
        let spent = threadCPUNanoseconds() - start
        guard let failure else {
            decodedPictures += 1
            budget.decoded(nanoseconds, cpuNanoseconds: spent)
            return true
        }
        budget.failed(nanoseconds, cpuNanoseconds: spent, failure.description)
        return false
    }

    private func observation(_ from: Int64, _ to: Int64, _ score: Int, _ label: String, mayStart: Bool) -> MotionObservation {
        MotionObservation(fromMilliseconds: from / 1_000_000, toMilliseconds: to / 1_000_000, score: score, label: label, mayStart: mayStart)
    }
}
