import EdgeCompress
import RecordingModel
import ServiceSupport

extension EdgeConfiguration {
    /// The small things that are made of what was recorded, in the section `compress`.
    struct Compress: Sendable, Hashable {
        /// Nil when none are made.
        var thumbnails: CompressPlan.Thumbnails?
        /// Nil when none is made, which is the default: it costs energy.
        var proxy: CompressPlan.Proxy?
        /// Nil when nothing is transcoded; the default is MJPEG, which no browser plays in MP4.
        var transcoding: CompressPlan.Transcoding?
        /// Footage without an event that the hub lacks is given up when it is so old and its proxy is here; nil keeps it.
        var reduceAfterDays: Int?
        var threads: Int

        /// What stays of footage that is reduced.
        enum Reduction: String, CaseIterable {
            case proxy
            case keyFrames = "key-frames"
        }

        static let everySecondsRange = 10...60
        static let bytesRange = 2_048...8_192
        static let kilobitsRange = 32...1_000
        /// Of a proxy whose rate follows the links' budgets.
        static let fittedKilobits = 64...150
        /// Of libx264's CRF: beyond it nothing is seen, or nothing is left to see.
        static let qualityRange = 15...40

        static func read(_ section: StrictMapping, cameras known: [Camera]) -> Compress? {
            let thumbnails = section.section("thumbnails") { section -> CompressPlan.Thumbnails? in
                let isEnabled = section.optional("enabled", .boolean) ?? true
                let every = section.optional("every_seconds", .integer(everySecondsRange, unit: "seconds")) ?? 30
                let bytes = section.optional("max_bytes", .integer(bytesRange, unit: "bytes")) ?? 8_192
                return isEnabled ? CompressPlan.Thumbnails(everySeconds: every, bytesMax: bytes) : CompressPlan.Thumbnails(everySeconds: 0, bytesMax: 0)
            }
            let proxy = section.section("proxy") { section -> (isEnabled: Bool, plan: CompressPlan.Proxy)? in
                let isEnabled = section.optional("enabled", .boolean) ?? false
                let rate = section.optional("kilobits_per_second", .integer(kilobitsRange, unit: "kbit/s"))
                let least = section.optional("min_kilobits_per_second", .integer(kilobitsRange, unit: "kbit/s")) ?? fittedKilobits.lowerBound
                let most = section.optional("max_kilobits_per_second", .integer(kilobitsRange, unit: "kbit/s")) ?? max(least, fittedKilobits.upperBound)
                for key in ["min_kilobits_per_second", "max_kilobits_per_second"] where rate != nil && section.has(key) {
                    section.refuse(key, "kilobits_per_second sets one rate; leave that out for a rate that follows the links' budgets")
                }
                if least > most { section.refuse("min_kilobits_per_second", "is more than max_kilobits_per_second, \(most)") }
                let fitted = rate == nil && least <= most ? least * 1_000...most * 1_000 : nil
                return (isEnabled, CompressPlan.Proxy(bitsPerSecond: (rate ?? 100) * 1_000, fittedBitsPerSecond: fitted, encoders: encoders(section)))
            }
            let transcoding = section.section("transcode") { section -> (isEnabled: Bool, plan: CompressPlan.Transcoding)? in
                let isEnabled = section.optional("enabled", .boolean) ?? true
                let quality = section.optional("quality", .integer(qualityRange)) ?? 23
                let above = section.optional("above_kilobits_per_second", .integer(500...1_000_000, unit: "kbit/s"))
                let cameras = section.list("cameras", 0...256) { item -> CameraID? in item.value(.cameraID) }
                for camera in cameras {
                    switch known.first(where: { $0.id == camera }) {
                    case nil: section.refuse("cameras", "no camera has the id \(camera)")
                    case let found? where found.subStream != nil: section.refuse("cameras", "camera \(camera) records its sub_stream in the proxy's place; leave one of the two out")
                    default: break
                    }
                }
                return (
                    isEnabled,
                    CompressPlan.Transcoding(encoders: encoders(section), quality: quality, aboveBitsPerSecond: above.map { $0 * 1_000 }, cameras: Set(cameras))
                )
            }
            let reduced = section.section("reduce") { section -> (days: Int?, to: Reduction)? in
                let days = section.optional("after_days", .integer(1...3_650, unit: "days"))
                let to = section.optional("to", .choice) ?? Reduction.proxy
                if section.has("to"), !section.has("after_days") { section.refuse("to", "nothing is reduced without after_days") }
                if to == .keyFrames, proxy?.isEnabled == true { section.refuse("to", "all footage has a proxy, and is reduced to that; leave one of the two out") }
                return (days, to)
            }
            let reduce = reduced?.days
            let threads = section.optional("threads", .integer(1...4)) ?? 1
            guard let thumbnails, var proxy, let transcoding else { return nil }
            if !proxy.isEnabled { proxy.plan.onlyAfterDays = reduce }
            if reduce != nil, reduced?.to == .keyFrames { proxy.plan.copiesKeyFrames = true }
            return Compress(
                thumbnails: thumbnails.everySeconds > 0 ? thumbnails : nil, proxy: proxy.isEnabled || reduce != nil ? proxy.plan : nil,
                transcoding: transcoding.isEnabled ? transcoding.plan : nil, reduceAfterDays: reduce, threads: threads)
        }

        private static func encoders(_ section: StrictMapping) -> [ProxyEncoder] {
            let wanted = section.list("encoders", 0...ProxyEncoder.allCases.count) { item -> ProxyEncoder? in item.value(.choice) }
            return wanted.isEmpty ? [.h264] : wanted
        }

        /// For the example that `init` writes.
        static let example = """
            compress:
              # Small things made of what was recorded, by a confined process of lowest priority; recording never waits for it.
              # Pictures for the hub's timeline. Default on; one in 10 to 60 s (default 30) and at events, each of at most 2048 to
              # 8192 bytes (default 8192).
              # thumbnails: {enabled: true, every_seconds: 30, max_bytes: 8192}
              # A small stream of each camera. Default off, because it costs energy. 32 to 1000 kbit/s (default 100; where every link that
              # carries proxies has a budget, what fits the day's, from min_kilobits_per_second: 64 to max_kilobits_per_second: 150). Encoders are h264
              # (default, plays in every browser), h265 and av1: each is tried at the start, the first that works is used.
              # proxy: {enabled: true, kilobits_per_second: 100, encoders: [h264]}
              # In the proxy's place, for MJPEG, which no browser plays: all pictures at full size and a set quality (15 to 40, default
              # 23; lower is better and larger). Default on; footage above a rate, or all of some cameras, only where it is named.
              # transcode: {enabled: true, encoders: [h264], quality: 23, above_kilobits_per_second: 8000, cameras: [gate]}
              # Footage that is so old, that the hub lacks, in which nothing happened and that nobody pinned is given up where its proxy is
              # here: made as soon as energy allows, or, without the line above, when the footage is that old. Default: kept while there is space.
              # to: proxy (default), or key-frames: those that there are, as the camera sent them, in the proxy's place.
              # reduce: {after_days: 14, to: proxy}
              # Of decoder and encoder. Default 1; 1 to 4.
              threads: 1

            """
    }

    /// Nil when nothing is to be made.
    func compressPlan() -> CompressPlan? {
        guard compress.thumbnails != nil || compress.proxy != nil || compress.transcoding != nil else { return nil }
        return CompressPlan(
            cameras: cameras.map(\.id), thumbnails: compress.thumbnails, proxy: compress.proxy, transcoding: compress.transcoding,
            withOwnProxy: Set(cameras.filter { $0.subStream != nil }.map(\.id)), threads: compress.threads, configVersion: version)
    }
}
