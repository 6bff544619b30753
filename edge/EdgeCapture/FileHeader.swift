import LibAV
import StorageIO

/// What a file says of itself before its footage.
package struct FileHeader: Sendable {
    /// As the demuxer calls it, such as `avi`.
    package var container: String
    /// The header's `creation_time`, as FFmpeg writes it: 2026-01-02T03:04:05.000000Z, or with a blank and without zone.
    package var creationTime: String?
    /// Apple's, with a time zone: 2026-01-02T03:04:05+0500.
    package var zonedCreationTime: String?
    package var durationMilliseconds: Int64?
    var declaredDurationMilliseconds: Int64?

    /// - Throws: `FileRefusal`, or the error of `bytes`.
    package init(of bytes: any ReadingFile) throws { self.init(try Self.open(bytes)) }

    init(_ file: borrowing MediaFile) {
        container = file.formatName
        creationTime = file.metadata("creation_time")
        zonedCreationTime = file.metadata("com.apple.quicktime.creationdate")
        durationMilliseconds = file.durationMilliseconds
        declaredDurationMilliseconds = file.declaredDurationMilliseconds
    }

    static func open(_ bytes: any ReadingFile) throws -> MediaFile {
        do throws(LibAVError) {
            return try MediaFile(named: "the file", length: bytes.length) { offset, buffer in try bytes.read(at: offset, into: buffer) }
        } catch {
            guard let reason = try whyUnreadable(bytes) else { throw FileRefusal.unsupported("the file is none of MP4, MOV, AVI, TS, MPEG and MKV") }
            throw FileRefusal.unreadable(reason)
        }
    }

    /// The common ways in which a camera that lost its power leaves a file; nil for what is no footage.
    private static func whyUnreadable(_ bytes: any ReadingFile) throws -> String? {
        guard bytes.length > 0 else { return "the file is empty" }
        let beginning = try bytes.read(at: 0, count: 64)
        if beginning.allSatisfy({ $0 == 0 }) { return "the file holds zeros only, as a camera leaves it that lost its power" }
        var (offset, types, boxes) = (Int64(0), Set<String>(), 0)
        // Top-level boxes of ISO/IEC 14496-12, section 4.2.
        while offset + 8 <= bytes.length, boxes < 1_000 {
            let header = try bytes.read(at: offset, count: 16)
            guard header.count >= 8 else { break }
            types.insert(String(decoding: header[4..<8], as: UTF8.self))
            var size = header[0..<4].reduce(Int64(0)) { $0 << 8 | Int64($1) }
            if size == 1, header.count == 16 { size = header[8..<16].reduce(Int64(0)) { $0 &<< 8 | Int64($1) } }
            guard size >= 8, size <= bytes.length - offset else { break }
            offset += size
            boxes += 1
        }
        guard !types.isDisjoint(with: ["ftyp", "mdat", "moov"]) else {
            let isKnown = beginning.starts(with: "RIFF".utf8) || beginning.starts(with: [0x1a, 0x45, 0xdf, 0xa3])
            return isKnown ? "the file's header is damaged" : nil
        }
        return types.contains("moov") ? "the file's index (moov) is damaged" : "the file ends before its index (moov), without which nothing of it can be read"
    }
}
