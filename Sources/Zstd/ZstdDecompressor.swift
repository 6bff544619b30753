import CZstd

/// Decompresses exactly one frame from bytes that nobody vouches for, within limits the caller sets.
/// Keep one and reuse it.
///
/// `@unchecked Sendable`: it is the only owner of its context, every use is `mutating` and so exclusive, and a
/// zstd context is bound to no thread.
package struct ZstdDecompressor: ~Copyable, @unchecked Sendable {
    /// History a frame may ask for: 8 MiB.
    package static let windowBytesMax = 1 << windowLogMax
    /// Output that is small enough to be no bomb whatever its ratio: 64 KiB.
    package static let ratioAllowanceBytes = 65_536
    private static let windowLogMax = 23

    private let context: OpaquePointer
    /// Kept for as long as the context reads it.
    private let trained: ZstdDictionary?
    private var chunk: [UInt8]

    /// - Parameter dictionary: the bytes the compressor was given; empty for none. Copied.
    package init(dictionary: [UInt8] = []) throws(ZstdError) { try self.init(dictionary, nil) }

    /// - Parameter trained: a frame that names another is refused.
    package init(_ trained: ZstdDictionary) throws(ZstdError) { try self.init([], trained) }

    private init(_ dictionary: [UInt8], _ trained: ZstdDictionary?) throws(ZstdError) {
        guard let context = ZSTD_createDCtx() else { throw .outOfMemory }
        do throws(ZstdError) {
            try check(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Int32(Self.windowLogMax)))
            if let trained {
                try check(ZSTD_DCtx_refDDict(context, trained.forDecompression))
            } else {
                try check(ZSTD_DCtx_loadDictionary(context, dictionary, dictionary.count))
            }
        } catch {
            ZSTD_freeDCtx(context)
            throw error
        }
        self.context = context
        self.trained = trained
        chunk = [UInt8](repeating: 0, count: ZSTD_DStreamOutSize())
    }

    deinit { ZSTD_freeDCtx(context) }

    /// The content of the one frame in `bytes`.
    ///
    /// A declared content size is held against the limits before anything is allocated for it; where none is
    /// declared, output stops at the limits. Memory never exceeds the limit, plus window and one chunk.
    /// - Parameters:
    ///   - limitBytes: most bytes to put out.
    ///   - ratioLimit: most bytes out for a byte in, once output passes `ratioAllowanceBytes`; nil for any.
    package mutating func decompress(_ bytes: [UInt8], limitBytes: Int, ratioLimit: Int? = 50) throws(ZstdError) -> [UInt8] {
        let header = try FrameHeader(bytes)
        let limits = Limits(inputBytes: bytes.count, limitBytes: limitBytes, ratioLimit: ratioLimit)
        if let declared = header.contentBytes { try limits.admit(declared) }
        guard header.windowBytes <= UInt64(Self.windowBytesMax) else { throw .windowAboveLimit }

        // Whatever an earlier, failed call left behind is dropped; parameters and dictionary stay.
        try check(ZSTD_DCtx_reset(context, ZSTD_reset_session_only))
        var output: [UInt8] = []
        if let declared = header.contentBytes { output.reserveCapacity(Int(declared)) }
        var consumed = 0
        while true {
            let before = consumed
            let (result, produced) = step(bytes, &consumed)
            try check(result)
            try limits.admit(UInt64(output.count + produced))
            output.append(contentsOf: chunk[..<produced])
            if result == 0 { break }
            // All input is in and nothing more comes out, but the frame is not at its end.
            if produced == 0, consumed == bytes.count || consumed == before { throw .truncated }
        }
        guard consumed == bytes.count else { throw .trailingBytes(count: bytes.count - consumed) }
        return output
    }

    /// One call of the library: moves `consumed`, fills `chunk`, returns its result (0 at the end of the frame).
    private mutating func step(_ bytes: [UInt8], _ consumed: inout Int) -> (result: Int, produced: Int) {
        let context = context
        return chunk.withUnsafeMutableBytes { space in
            bytes.withUnsafeBytes { source in
                var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: consumed)
                var output = ZSTD_outBuffer(dst: space.baseAddress, size: space.count, pos: 0)
                let result = ZSTD_decompressStream(context, &output, &input)
                consumed = input.pos
                return (result, output.pos)
            }
        }
    }
}

private struct Limits {
    var limitBytes: Int
    var ratioLimit: Int?
    var ratioBytes: UInt64

    init(inputBytes: Int, limitBytes: Int, ratioLimit: Int?) {
        self.limitBytes = max(0, limitBytes)
        self.ratioLimit = ratioLimit
        let product = ratioLimit.map { inputBytes.multipliedReportingOverflow(by: max(0, $0)) }
        ratioBytes = product.map { $0.overflow ? .max : UInt64(max($0.partialValue, ZstdDecompressor.ratioAllowanceBytes)) } ?? .max
    }

    func admit(_ outputBytes: UInt64) throws(ZstdError) {
        guard outputBytes <= UInt64(limitBytes) else { throw .outputAboveLimit(limitBytes: limitBytes) }
        if let ratioLimit, outputBytes > ratioBytes { throw .ratioAboveLimit(ratioLimit: ratioLimit) }
    }
}
