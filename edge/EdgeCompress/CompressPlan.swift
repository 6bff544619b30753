import RecordingModel

/// What a node makes of its footage.
package struct CompressPlan: Sendable, Hashable {
    package struct Thumbnails: Sendable, Hashable {
        package var everySeconds: Int
        package var bytesMax: Int
        package init(everySeconds: Int = 30, bytesMax: Int = 8_192) {
            self.everySeconds = everySeconds
            self.bytesMax = bytesMax
        }
    }
    package struct Proxy: Sendable, Hashable {
        package var bitsPerSecond: Int
        /// The range of the rate where it follows the day's budget of the links (`DayRate`); nil where it is fixed.
        package var fittedBitsPerSecond: ClosedRange<Int>?
        /// The first one that works here is used; H.264 in software, if none of them does.
        package var encoders: [ProxyEncoder]
        /// Only of footage that is so old and that the hub lacks, before it is reduced; nil for all footage, as soon as may be.
        package var onlyAfterDays: Int?
        /// In the place of an encoded proxy the key frames are kept, as they are.
        package var copiesKeyFrames: Bool
        package init(bitsPerSecond: Int = 100_000, fittedBitsPerSecond: ClosedRange<Int>? = nil, encoders: [ProxyEncoder] = [.h264], onlyAfterDays: Int? = nil, copiesKeyFrames: Bool = false) {
            self.bitsPerSecond = bitsPerSecond
            self.fittedBitsPerSecond = fittedBitsPerSecond
            self.encoders = encoders
            self.onlyAfterDays = onlyAfterDays
            self.copiesKeyFrames = copiesKeyFrames
        }
    }
    /// A proxy of full size with every picture, at a set quality: of footage whose codec few players know, or that is too much.
    package struct Transcoding: Sendable, Hashable {
        /// As in `Proxy`.
        package var encoders: [ProxyEncoder]
        /// On the scale of libx264's CRF; see `ProxyEncoder`.
        package var quality: Int
        /// Footage of a higher mean rate is transcoded, whatever its codec; nil for MJPEG only.
        package var aboveBitsPerSecond: Int?
        /// All footage of these.
        package var cameras: Set<CameraID>

        package init(encoders: [ProxyEncoder] = [.h264], quality: Int = 23, aboveBitsPerSecond: Int? = nil, cameras: Set<CameraID> = []) {
            self.encoders = encoders
            self.quality = quality
            self.aboveBitsPerSecond = aboveBitsPerSecond
            self.cameras = cameras
        }

        /// What RFC 6381 calls JPEG in MP4.
        private static let motionJPEG = "mp4v.6C"

        func isWanted(for record: SegmentRecord) -> Bool {
            if cameras.contains(record.stream.camera) || record.codecs.hasPrefix(Self.motionJPEG) { return true }
            guard let aboveBitsPerSecond else { return false }
            return Double(record.bytes) * 8 * 90_000 > Double(aboveBitsPerSecond) * Double(record.mediaDurationTicks90k)
        }
    }
    /// The configured ones. Others whose footage came from cards come after them.
    package var cameras: [CameraID]
    package var thumbnails: Thumbnails?
    package var proxy: Proxy?
    package var transcoding: Transcoding?
    /// Cameras whose own small stream is recorded in the proxy's place: none is made of their footage.
    package var withOwnProxy: Set<CameraID>
    package var threads: Int
    package var configVersion: String

    package init(cameras: [CameraID], thumbnails: Thumbnails?, proxy: Proxy?, transcoding: Transcoding? = nil, withOwnProxy: Set<CameraID> = [], threads: Int = 1, configVersion: String) {
        self.cameras = cameras
        self.thumbnails = thumbnails
        self.proxy = proxy
        self.transcoding = transcoding
        self.withOwnProxy = withOwnProxy
        self.threads = threads
        self.configVersion = configVersion
    }

    /// Of the worker. Some encoders never work without threads of their own, however many are asked for.
    package var workerThreads: Int {
        let encoders = (proxy?.encoders ?? []) + (transcoding?.encoders ?? [])
        return encoders.contains(where: \.needsThreads) ? max(2, threads) : threads
    }

    /// Of the worker, at most: H.264 and H.265 take 0.5 and 0.8 GB of it for 3840x2160, SVT-AV1 0.7 GB for 2560x1440 and
    /// more than there is for 3840x2160.
    package var workerDataBytes: UInt64 { transcoding == nil ? 512 << 20 : 1 << 30 }
}

/// A proxy's budget of bits: what one segment took too much, the next ones have less, so that an hour holds the rate.
struct RateBudget: Hashable, Sendable {
    private(set) var bitsPerSecond: Int
    /// A quiet night is no licence for a burst, and a debt is paid within minutes.
    static let creditSecondsMax = 60.0, debtSecondsMax = 300.0
    private var creditBits = 0.0

    init(bitsPerSecond: Int) { self.bitsPerSecond = bitsPerSecond }

    /// Another rate from here on; what was saved or is owed stays.
    mutating func aim(at bitsPerSecond: Int) { self.bitsPerSecond = bitsPerSecond }

    /// What the next segment may take: half to half as much again of the rate.
    func next(seconds: Double) -> Int {
        let rate = Double(bitsPerSecond)
        return Int(min(max(rate + creditBits / max(1, seconds), rate / 2), rate * 1.5))
    }

    mutating func spent(bytes: Int64, seconds: Double) {
        let rate = Double(bitsPerSecond)
        creditBits = min(max(creditBits + rate * seconds - Double(bytes) * 8, -rate * Self.debtSecondsMax), rate * Self.creditSecondsMax)
    }
}

/// Which jobs are not tried again, because they ended the worker twice.
struct JobFates: Sendable {
    static let deathsMax = 2
    /// A stream that kills every worker must not fill the memory: the oldest is forgotten, and tried again if it comes again.
    static let rememberedMax = 256
    private var deaths: [(job: String, count: Int)] = []

    /// - Returns: whether the job is set aside.
    mutating func died(_ job: String) -> Bool {
        let index = deaths.firstIndex { $0.job == job }
        let count = 1 + (index.map { deaths.remove(at: $0).count } ?? 0)
        guard count < Self.deathsMax else { return true }
        deaths.append((job, count))
        if deaths.count > Self.rememberedMax { deaths.removeFirst() }
        return false
    }
}
