/// The samples of one track within the open fragment. Times and durations in the track's timescale.
struct SampleTable {
    /// Bounds the size of `moof`: 1,024 samples are 2 s at 512 frames a second.
    static let limit = 1_024

    struct Sample {
        var duration: UInt32
        var size: UInt32
        var flags: UInt32
        var compositionOffset: Int32
    }

    private(set) var samples: [Sample] = []
    private(set) var firstDecodeTime: Int64 = 0
    private(set) var lastDecodeTime: Int64 = 0
    /// What a sample lasts whose successor is not known.
    private(set) var typicalDuration: Int64

    init(typicalDuration: Int64) {
        self.typicalDuration = typicalDuration
        samples.reserveCapacity(Self.limit)
    }

    var isEmpty: Bool { samples.isEmpty }
    var isFull: Bool { samples.count >= Self.limit }

    mutating func append(decodeTime: Int64, size: Int, flags: UInt32, compositionOffset: Int32) {
        if samples.isEmpty { firstDecodeTime = decodeTime } else { settleLast(nextDecodeTime: decodeTime) }
        lastDecodeTime = decodeTime
        samples.append(Sample(duration: 0, size: UInt32(clamping: size), flags: flags, compositionOffset: compositionOffset))
    }

    /// Gives the last sample its duration; nil when nothing follows.
    mutating func settleLast(nextDecodeTime: Int64?) {
        guard !samples.isEmpty else { return }
        let ticks = nextDecodeTime.map { $0 - lastDecodeTime } ?? typicalDuration
        let duration = UInt32(clamping: max(1, ticks))
        samples[samples.count - 1].duration = duration
        typicalDuration = Int64(duration)
    }

    mutating func removeAll() { samples.removeAll(keepingCapacity: true) }

    /// Takes the last sample back, to begin the next fragment with it.
    mutating func removeLast() -> Sample? { samples.popLast() }

    mutating func reset(typicalDuration: Int64) {
        removeAll()
        self.typicalDuration = typicalDuration
    }
}
