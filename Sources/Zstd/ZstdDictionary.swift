import CZstd

/// A dictionary that `zstd --train` made, digested once for any number of contexts: with one of its own a context would
/// digest it again for each small message.
///
/// `@unchecked Sendable`: zstd only reads a digested dictionary once it is made (zstd.h, "shared by multiple threads
/// concurrently"), and this is the only owner of both.
package final class ZstdDictionary: @unchecked Sendable {
    /// Frames that were made with it name it by this number (RFC 8878, section 3.1.1.1.3).
    package let id: UInt32
    let forCompression: OpaquePointer
    let forDecompression: OpaquePointer

    /// - Parameter level: effort of whatever is compressed with it, within `ZstdCompressor.levels`.
    /// - Throws: `ZstdError.notADictionary` for bytes without a dictionary's header and id.
    package init(_ bytes: [UInt8], level: Int) throws(ZstdError) {
        id = ZSTD_getDictID_fromDict(bytes, bytes.count)
        guard id != 0 else { throw .notADictionary }
        // Nil too where the header is followed by tables that make no sense.
        guard let forCompression = ZSTD_createCDict(bytes, bytes.count, Int32(level)) else { throw .notADictionary }
        guard let forDecompression = ZSTD_createDDict(bytes, bytes.count) else {
            ZSTD_freeCDict(forCompression)
            throw .notADictionary
        }
        self.forCompression = forCompression
        self.forDecompression = forDecompression
    }

    deinit {
        ZSTD_freeCDict(forCompression)
        ZSTD_freeDDict(forDecompression)
    }

    /// The id of the dictionary that a frame needs; nil when it needs none.
    package static func id(neededBy frame: [UInt8]) throws(ZstdError) -> UInt32? { try FrameHeader(frame).dictionaryID }
}
