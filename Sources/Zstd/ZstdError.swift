/// Why zstd data was refused, or could not be made. No case carries content of the data.
package enum ZstdError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The library could not allocate a context.
    case outOfMemory
    /// The bytes do not begin with a zstd frame (skippable and legacy frames count as foreign).
    case notAFrame
    /// The bytes are no dictionary that `zstd --train` made.
    case notADictionary
    /// The frame ends before its last block.
    case truncated
    /// The frame declares, or turned out to hold, more than the caller allows.
    case outputAboveLimit(limitBytes: Int)
    /// The frame expands more than the caller allows for its size.
    case ratioAboveLimit(ratioLimit: Int)
    /// Decoding would need a longer history than `ZstdDecompressor.windowBytesMax`.
    case windowAboveLimit
    /// One whole frame was read and bytes are left: garbage, or a second frame.
    case trailingBytes(count: Int)
    /// The library refused the data; its own name for the reason.
    case corrupt(String)

    package var description: String {
        switch self {
        case .outOfMemory: "zstd: out of memory"
        case .notAFrame: "zstd: not a zstd frame"
        case .notADictionary: "zstd: not a trained dictionary"
        case .truncated: "zstd: the frame is cut short"
        case .outputAboveLimit(let limit): "zstd: the content is larger than \(limit) bytes"
        case .ratioAboveLimit(let ratio): "zstd: the content is more than \(ratio) times its compressed size"
        case .windowAboveLimit: "zstd: the window is larger than \(ZstdDecompressor.windowBytesMax) bytes"
        case .trailingBytes(let count): "zstd: \(count) bytes follow the frame"
        case .corrupt(let reason): "zstd: \(reason)"
        }
    }
}
