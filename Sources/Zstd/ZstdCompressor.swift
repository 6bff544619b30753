import CZstd

/// Compresses byte arrays, each into one frame with its content size and without a checksum (whatever carries
/// the frame has its own hash). Keep one and reuse it: the context costs far more than a small message.
///
/// `@unchecked Sendable`: it is the only owner of its context, every use is `mutating` and so exclusive, and a
/// zstd context is bound to no thread.
package struct ZstdCompressor: ~Copyable, @unchecked Sendable {
    /// Above 19 a frame could need a window larger than our own decompressor accepts.
    package static let levels = 1...19

    private let context: OpaquePointer
    private let dictionary: [UInt8]
    /// Takes the place of `dictionary`, and brings its own level.
    private let trained: ZstdDictionary?
    /// The level that the context's dictionary was digested for.
    private var loadedLevel: Int?

    /// - Parameter dictionary: bytes both sides share, raw or made by `zstd --train`; empty for none. Copied.
    package init(dictionary: [UInt8] = []) throws(ZstdError) { try self.init(dictionary, nil) }

    /// - Parameter trained: its frames name it; its level counts, whatever `compress` is told.
    package init(_ trained: ZstdDictionary) throws(ZstdError) { try self.init([], trained) }

    private init(_ dictionary: [UInt8], _ trained: ZstdDictionary?) throws(ZstdError) {
        guard let context = ZSTD_createCCtx() else { throw .outOfMemory }
        self.context = context
        self.dictionary = dictionary
        self.trained = trained
    }

    deinit { ZSTD_freeCCtx(context) }

    /// - Parameter level: effort; outside of `levels` the nearest one is taken.
    package mutating func compress(_ bytes: [UInt8], level: Int = 9) throws(ZstdError) -> [UInt8] {
        try prepare(level: min(max(level, Self.levels.lowerBound), Self.levels.upperBound))
        let context = context
        var written = 0
        let frame = [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(bytes.count)) { output, count in
            written = bytes.withUnsafeBytes { input in
                ZSTD_compress2(context, output.baseAddress, output.count, input.baseAddress, input.count)
            }
            count = ZSTD_isError(written) == 0 ? written : 0
        }
        try check(written)
        return frame
    }

    private mutating func prepare(level: Int) throws(ZstdError) {
        guard loadedLevel != level else { return }
        // A loaded dictionary is digested once, for the level of its first use: another level starts afresh.
        try check(ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters))
        try check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(level)))
        try check(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1))
        try check(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 0))
        if let trained {
            try check(ZSTD_CCtx_refCDict(context, trained.forCompression))
        } else {
            try check(ZSTD_CCtx_loadDictionary(context, dictionary, dictionary.count))
        }
        loadedLevel = level
    }
}

/// Turns the library's combined size-or-error value into an error.
func check(_ result: Int) throws(ZstdError) {
    guard ZSTD_isError(result) == 0 else { throw .corrupt(String(cString: ZSTD_getErrorName(result))) }
}
