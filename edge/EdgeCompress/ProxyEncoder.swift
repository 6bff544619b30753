/// How a proxy is encoded. Builds of FFmpeg and machines differ: each is tried before it is used (`EncoderChoice`).
package enum ProxyEncoder: String, Sendable, Hashable, CaseIterable {
    /// High profile without pictures that are shown out of order: every browser plays it.
    case h264
    case h265
    case av1

    /// FFmpeg's name.
    package var name: String {
        switch self {
        case .h264: "libx264"
        case .h265: "libx265"
        case .av1: "libsvtav1"
        }
    }

    /// libx265 and SVT-AV1 have threads for their parts, also where they are told to encode on one.
    package var needsThreads: Bool { self != .h264 }

    /// Its own options, for a rate. Baseline lacks CABAC and the 8x8 transform: 0.02 of SSIM at 100 kbit/s, at any speed.
    package func options(threads: Int) -> [[String]] {
        switch self {
        case .h264: [["profile", "high"], ["preset", "medium"], ["tune", "ssim"], ["keyint_min", "25"]]
        case .h265: [["preset", "fast"], ["x265-params", Self.x265(threads)]]
        // Its low-delay mode is unfinished by its own words, and AV1 puts what is shown later into the same packet anyway.
        case .av1: [["preset", "9"], ["svtav1-params", "lp=\(threads)"]]
        }
    }

    /// Its own options, for a quality: faster ones, since there are more pixels, and rate is no question.
    /// - Parameter quality: on the scale of libx264's CRF. x265 looks the same at 5 more (its documentation, `--crf`), SVT-AV1,
    ///   whose scale ends at 63, at about 12 more.
    package func options(quality: Int, threads: Int) -> [[String]] {
        switch self {
        case .h264: [["profile", "high"], ["preset", "veryfast"], ["crf", "\(quality)"]]
        case .h265: [["preset", "superfast"], ["crf", "\(min(51, quality + 5))"], ["x265-params", Self.x265(threads)]]
        case .av1: [["preset", "10"], ["crf", "\(min(63, quality + 12))"], ["svtav1-params", "lp=\(threads)"]]
        }
    }

    private static func x265(_ threads: Int) -> String {
        "bframes=0:pools=\(threads > 1 ? "\(threads)" : "none"):frame-threads=1:log-level=none:wpp=\(threads > 1 ? 1 : 0)"
    }
}

/// Which of the configured encoders work here. Each is tried once, in the worker and with the settings that it will have; where
/// none works all are tried again later.
struct EncoderChoice {
    private var verdicts: [ProxyEncoder: String?] = [:]

    /// The first one that works, H.264 in software after all others.
    /// - Parameters:
    ///   - trial: nil when it works, else why it does not, a sentence.
    ///   - tell: is called for each that was tried now.
    /// - Throws: what `trial` throws, and when none works.
    mutating func first(of wanted: [ProxyEncoder], trial: (ProxyEncoder) throws -> String?, tell: (ProxyEncoder, _ refusal: String?) -> Void) throws -> ProxyEncoder {
        let candidates = wanted.contains(.h264) ? wanted : wanted + [.h264]
        for encoder in candidates {
            if verdicts[encoder] == nil {
                let refusal = try trial(encoder)
                verdicts[encoder] = .some(refusal)
                tell(encoder, refusal)
            }
            if case .some(.none) = verdicts[encoder] { return encoder }
        }
        let reasons = candidates.compactMap { encoder in (verdicts[encoder] ?? nil).map { "\(encoder.name): \($0)" } }
        for encoder in candidates { verdicts[encoder] = nil }
        throw NoEncoder(description: "no encoder works here (\(reasons.joined(separator: "; "))); set compress: proxy: encoders, or install a build of FFmpeg that has one")
    }
}

struct NoEncoder: Error, CustomStringConvertible {
    let description: String
}
