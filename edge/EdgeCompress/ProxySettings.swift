import RecordingModel

/// What one segment's proxy is asked to be, and how its entry says it.
struct ProxySettings {
    let job: ProxyJob
    /// A rate that is not held at all is a fault, and so is a transcoding much larger than its source.
    let bytesMax: Int64
    /// Of the worker: a small board takes twenty times the footage's length for a proxy, and for full size more.
    let cpuSeconds: Int64

    /// The small stream.
    init(_ plan: CompressPlan.Proxy, _ encoder: ProxyEncoder, threads: Int, bitsPerSecond: Int, _ source: SegmentRecord) {
        let seconds = Self.seconds(source)
        job = Self.job(plan, encoder, threads: threads, bitsPerSecond: bitsPerSecond, sourceBytes: source.bytes)
        bytesMax = 1 << 20 + Int64(Double(bitsPerSecond) / 8 * seconds * 8)
        cpuSeconds = 120 + Int64(seconds * 20)
    }

    /// The key frames as they are.
    init(keyFramesOf source: SegmentRecord) {
        job = ProxyJob(
            sourceBytes: source.bytes, encoder: "copied", options: [], bitsPerSecond: 0, peakBitsPerSecond: 0, bufferBits: 0, sidePixels: WorkerBounds.sidePixelsMax,
            framesPerSecondMax: 120, copiesKeyFrames: true)
        bytesMax = 1 << 20 + source.bytes
        cpuSeconds = 120 + Int64(Self.seconds(source))
    }

    /// Full size, every picture, a set quality.
    init(_ plan: CompressPlan.Transcoding, _ encoder: ProxyEncoder, threads: Int, _ source: SegmentRecord) {
        let seconds = Self.seconds(source)
        job = Self.job(plan, encoder, threads: threads, framesPerSecond: Int((Double(source.frames) / seconds).rounded()), sourceBytes: source.bytes)
        bytesMax = 1 << 20 + 4 * source.bytes
        cpuSeconds = 120 + Int64(seconds * 50)
    }

    /// For finding out whether an encoder works: what the plan would have it do.
    static func trials(_ plan: CompressPlan, _ encoder: ProxyEncoder) -> [ProxyJob] {
        [
            plan.proxy.flatMap { $0.copiesKeyFrames ? nil : job($0, encoder, threads: plan.threads, bitsPerSecond: $0.bitsPerSecond, sourceBytes: 0) },
            plan.transcoding.map { job($0, encoder, threads: plan.threads, framesPerSecond: framesPerSecondMax, sourceBytes: 0) },
        ].compactMap { $0 }
    }

    /// - Parameter header: what the worker found, where it has begun.
    func text(_ header: ProxyHeader) -> String {
        if job.copiesKeyFrames { return "its key frames, each shown until the next\(Self.sound(header))" }
        let size = job.keepsEveryPicture ? "full size, every picture" : "\(job.bitsPerSecond) bit/s, longer side \(job.sidePixels) px at most, \(job.framesPerSecondMax) pictures/s at most"
        return "\(size)\(Self.sound(header)), a key frame in \(job.groupSeconds) s at least, " + job.options.map { $0.joined(separator: "=") }.joined(separator: " ")
    }

    private static func sound(_ header: ProxyHeader) -> String {
        guard header.soundBitsPerSecond > 0 else { return "" }
        return header.isSoundCopied ? " with its sound of \(header.soundBitsPerSecond) bit/s copied" : ", its sound of \(header.soundBitsPerSecond) bit/s left out"
    }

    private static let framesPerSecondMax = 15

    private static func seconds(_ source: SegmentRecord) -> Double { max(0.1, Double(source.mediaDurationTicks90k) / 90_000) }

    private static func job(_ plan: CompressPlan.Proxy, _ encoder: ProxyEncoder, threads: Int, bitsPerSecond: Int, sourceBytes: Int64) -> ProxyJob {
        ProxyJob(
            sourceBytes: sourceBytes, encoder: encoder.name, options: encoder.options(threads: threads), bitsPerSecond: bitsPerSecond, peakBitsPerSecond: bitsPerSecond * 2,
            // Below 96 kbit/s a larger picture is a blurred one.
            bufferBits: bitsPerSecond * 4, sidePixels: plan.bitsPerSecond >= 96_000 ? 640 : 480, framesPerSecondMax: framesPerSecondMax, threads: threads)
    }

    /// - Parameter framesPerSecond: for the encoder's own planning; each picture has its own time.
    private static func job(_ plan: CompressPlan.Transcoding, _ encoder: ProxyEncoder, threads: Int, framesPerSecond: Int, sourceBytes: Int64) -> ProxyJob {
        ProxyJob(
            sourceBytes: sourceBytes, encoder: encoder.name, options: encoder.options(quality: plan.quality, threads: threads), bitsPerSecond: 0, peakBitsPerSecond: 0,
            bufferBits: 0, sidePixels: WorkerBounds.sidePixelsMax, framesPerSecondMax: min(max(framesPerSecond, 1), 120), keepsEveryPicture: true, groupSeconds: 5, threads: threads)
    }
}
