import EdgeMotion
import LibAV
import RecordingModel

/// The newest encoded packets of a camera of which nothing is kept: whole groups of pictures, so that an event's footage
/// can begin before the event. Packets and not pictures: 5 s of 2 Mbit/s are 1.25 MB, decoded they would be 200.
struct PreRoll: ~Copyable {
    /// Beyond either the oldest group goes; a group that is larger than this alone is not kept at all.
    static let bytesMax = 16 << 20
    /// A buffer of which less than a quarter is unused grows by an eighth: it takes at most 16 MiB * 4/3 * 9/8 = 24 MiB.
    static let memoryBytesMax = 24 << 20
    static let packetsMax = 16_384

    struct Entry {
        var streamIndex: Int
        var presentationTime: Int64?
        var decodeTime: Int64?
        var duration: Int64
        var isVideo: Bool
        var isKey: Bool
        var arrivalNanoseconds: Int64
        fileprivate var offset: Int
        fileprivate var byteCount: Int

        /// Where a recording may begin.
        fileprivate var isStart: Bool { isVideo && isKey }
    }

    private let spanNanoseconds: Int64
    private let bytesMax: Int
    private(set) var entries: [Entry] = []
    private var arena = ByteArena(capacity: PreRoll.initialBytes)
    private static let initialBytes = 64 << 10
    /// Groups that had to go because of the bounds.
    private(set) var overflows = 0

    /// - Parameter spanNanoseconds: what is kept reaches back at least this long, from a key frame on.
    init(spanNanoseconds: Int64, bytesMax: Int = PreRoll.bytesMax) {
        self.spanNanoseconds = spanNanoseconds
        self.bytesMax = bytesMax
    }

    /// When the oldest packet came; nil when there is none.
    var startNanoseconds: Int64? { entries.first?.arrivalNanoseconds }
    var byteCount: Int { arena.count - (entries.first?.offset ?? arena.count) }
    /// What the packets' bytes take in memory, used or not.
    var memoryBytes: Int { arena.capacity }

    /// Whether it can be kept without giving up another one.
    func hasRoom(for packet: borrowing Packet) -> Bool {
        byteCount + packet.byteCount <= bytesMax && entries.count < Self.packetsMax
    }

    mutating func append(_ packet: borrowing Packet, isVideo: Bool, arrivalNanoseconds: Int64) {
        let isStart = isVideo && packet.isKey
        if isStart { trim(now: arrivalNanoseconds) }
        while !entries.isEmpty, byteCount + packet.byteCount > bytesMax || entries.count >= Self.packetsMax { dropOldestGroup() }
        // What follows a key frame that is not here could not be decoded.
        guard !entries.isEmpty || isStart && packet.byteCount <= bytesMax else { return }
        makeRoom(packet.byteCount)
        let offset = arena.count
        arena.append(packet.bytes)
        entries.append(
            Entry(
                streamIndex: packet.streamIndex, presentationTime: packet.presentationTime, decodeTime: packet.decodeTime,
                duration: packet.duration ?? 0, isVideo: isVideo, isKey: packet.isKey, arrivalNanoseconds: arrivalNanoseconds, offset: offset,
                byteCount: packet.byteCount))
    }

    /// Where a recording begins that shall hold what came at `nanoseconds`: at a key frame at or before it, or at the oldest.
    func start(at nanoseconds: Int64) -> Int {
        entries.lastIndex { $0.isStart && $0.arrivalNanoseconds <= nanoseconds } ?? 0
    }

    /// Valid until the next change.
    func bytes(of entry: Entry) -> UnsafeRawBufferPointer { arena[entry.offset..<(entry.offset + entry.byteCount)] }

    /// Makes `packet` a copy of what is kept at `index`.
    func fill(_ packet: borrowing Packet, from index: Int) throws(CaptureFailure) {
        let entry = entries[index]
        do throws(LibAVError) {
            try packet.fill(
                copying: bytes(of: entry), streamIndex: entry.streamIndex, presentationTime: entry.presentationTime, decodeTime: entry.decodeTime,
                duration: entry.duration, isKey: entry.isKey)
        } catch {
            throw CaptureFailure(error, whileOpening: false)
        }
    }

    /// It is known better when they came.
    mutating func redate(_ arrivalNanoseconds: (Entry) -> Int64) {
        for index in entries.indices { entries[index].arrivalNanoseconds = arrivalNanoseconds(entries[index]) }
    }

    /// Gives the memory back too.
    mutating func removeAll() {
        entries.removeAll(keepingCapacity: entries.capacity <= 1_024)
        arena.clear(keeping: Self.initialBytes)
    }

    /// Before a group begins: the groups go that are older than the span reaches.
    private mutating func trim(now: Int64) {
        let first = start(at: now - spanNanoseconds)
        if first > 0 { removeFirst(first) }
    }

    private mutating func dropOldestGroup() {
        overflows += 1
        let next = entries.dropFirst().firstIndex { $0.isStart } ?? entries.count
        removeFirst(next)
    }

    private mutating func removeFirst(_ count: Int) {
        entries.removeFirst(count)
        // Not `removeAll`: the next group follows, and needs what this one had.
        if entries.isEmpty { arena.setCount(0) }
    }

    /// Only when the buffer is full: each byte is moved a few times at most.
    private mutating func makeRoom(_ byteCount: Int) {
        guard arena.count + byteCount > arena.capacity else { return }
        if let dead = entries.first?.offset, dead >= arena.capacity / 4 {
            arena.keepLast(arena.count - dead)
            for index in entries.indices { entries[index].offset -= dead }
        }
        if arena.count + byteCount > arena.capacity { arena.grow(to: max(arena.count + byteCount, arena.capacity / 8 * 9)) }
    }
}

/// A camera that is connected and of which nothing is kept just now: why, and what may still become footage.
final class Standby {
    /// Motion is known up to a second after it began, and in pictures later: the pre-roll counts from its begin.
    private static let latencyNanoseconds: Int64 = 2_000_000_000

    private let ledger: GapLedger
    /// Nil while footage is kept, or no key frame came yet.
    private(set) var cause: GapCause?
    private(set) var preRoll: PreRoll

    init(_ plan: RecordingPlan, ledger: GapLedger) {
        self.ledger = ledger
        preRoll = PreRoll(spanNanoseconds: plan.preRollMilliseconds * 1_000_000 + Self.latencyNanoseconds)
    }

    func enter(_ cause: GapCause, _ now: Moment) {
        guard self.cause != cause else { return }
        self.cause = cause
        ledger.standby(cause, Self.detail(cause), now)
        if cause != .noEvent { forget() }
    }

    /// Outside of the configured hours nothing will become footage, so nothing is held.
    func keep(_ packet: borrowing Packet, isVideo: Bool, _ now: Moment) {
        guard cause == .noEvent else { return }
        preRoll.append(packet, isVideo: isVideo, arrivalNanoseconds: now.bootNanoseconds)
        ledger.heldFrom = preRoll.startNanoseconds.map { $0 / 1_000_000 }
    }

    /// The stream goes on with other parameters: what is held cannot begin a run with them.
    func forget() {
        preRoll.removeAll()
        ledger.heldFrom = nil
    }

    /// Afterwards `preRoll` holds what was kept, until `forget`.
    func leave() {
        cause = nil
        ledger.heldFrom = nil
    }

    static func detail(_ cause: GapCause) -> String {
        cause == .schedule ? "the camera's schedule leaves this time out" : "the camera records events, and there was none"
    }
}
