import CLibAV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file of footage, read through a function of the caller: FFmpeg opens nothing itself, neither the file nor what
/// the file may refer to (playlists, references to other files). One thread at a time.
package struct MediaFile: ~Copyable {
    /// Up to so many bytes at an offset; 0 at the end.
    package typealias Read = (Int64, UnsafeMutableRawBufferPointer) throws -> Int
    /// MP4 and MOV, Matroska, MPEG transport and program streams, AVI.
    static let formats = "mov,matroska,mpegts,mpeg,avi"

    private let context: UnsafeMutablePointer<AVFormatContext>
    /// FFmpeg holds a pointer to it; released only after `deinit` has closed the context.
    private let input: FileInput
    package private(set) var streams: [StreamDescription]

    /// Reads the header.
    /// - Parameter name: for messages only.
    package init(named name: String, length: Int64, read: @escaping Read) throws(LibAVError) {
        _ = LibraryLog.silenced
        let input = try FileInput(length: length, read: read)
        guard let allocated = avformat_alloc_context() else { throw LibAVError(code: LibAVError.outOfMemory, operation: "allocate an input") }
        allocated.pointee.pb = input.native
        allocated.pointee.io_open = { _, _, _, _, _ in clibav_error_from_errno(EPERM) }
        var options: OpaquePointer?
        defer { av_dict_free(&options) }
        // An edit list can hide pictures from a player; here they are evidence.
        for (key, value) in [("format_whitelist", Self.formats), ("ignore_editlist", "1")] { av_dict_set(&options, key, value, 0) }
        var opened: UnsafeMutablePointer<AVFormatContext>? = allocated
        // On failure FFmpeg frees the context itself.
        try checked(avformat_open_input(&opened, nil, nil, &options), "open \(name)")
        context = allocated
        self.input = input
        streams = []
    }

    deinit {
        var pointer: UnsafeMutablePointer<AVFormatContext>? = context
        avformat_close_input(&pointer)
    }

    /// Reads enough to know the streams.
    package mutating func learnStreams() throws(LibAVError) {
        try checked(avformat_find_stream_info(context, nil), "read the streams")
        streams = try Demuxer.describe(context)
    }

    /// `mov,mp4,m4a,3gp,3g2,mj2`, `avi`, …
    package var formatName: String { context.pointee.iformat.map { String(cString: $0.pointee.name) } ?? "" }

    /// What the container says of itself under this name, or, where it is silent, what one of its streams says.
    package func metadata(_ key: String) -> String? {
        if let entry = av_dict_get(context.pointee.metadata, key, nil, 0) { return String(cString: entry.pointee.value) }
        for index in 0..<Int(context.pointee.nb_streams) {
            guard let stream = context.pointee.streams?[index], let entry = av_dict_get(stream.pointee.metadata, key, nil, 0) else { continue }
            return String(cString: entry.pointee.value)
        }
        return nil
    }

    /// Nil when nothing is known.
    package var durationMilliseconds: Int64? {
        let microseconds = context.pointee.duration
        return microseconds == clibav_no_timestamp || microseconds <= 0 ? nil : microseconds / 1_000
    }

    /// The length that the file's header gives, and not one that was estimated from what is there.
    package var declaredDurationMilliseconds: Int64? {
        context.pointee.duration_estimation_method == AVFMT_DURATION_FROM_STREAM ? durationMilliseconds : nil
    }

    /// Whether pictures are shown in another order than they are decoded in.
    package func hasReorderedPictures(_ index: Int) -> Bool {
        (0..<Int(context.pointee.nb_streams)).contains(index) && context.pointee.streams?[index]?.pointee.codecpar.pointee.video_delay ?? 0 > 0
    }

    /// Why the caller's function failed; FFmpeg only knows that it did.
    package var readFailure: (any Error)? { input.failure }

    package func discard(streamsOtherThan wanted: [Int]) {
        for index in 0..<Int(context.pointee.nb_streams) where !wanted.contains(index) {
            context.pointee.streams?[index]?.pointee.discard = AVDISCARD_ALL
        }
    }

    /// The next packet of any stream. After an error there may be more.
    package mutating func read(into packet: borrowing Packet) throws(LibAVError) -> TransferOutcome {
        av_packet_unref(packet.native)
        let code = av_read_frame(context, packet.native)
        switch code {
        case 0...: return .done
        case clibav_error_end_of_file: return .ended
        case LibAVError.tryAgain: return .wouldBlock
        default: throw LibAVError(code: code, operation: "read a packet")
        }
    }
}

extension Packet {
    /// The demuxer knows that bytes of it are missing.
    package var isCorrupt: Bool { native.pointee.flags & AV_PKT_FLAG_CORRUPT != 0 }
}

/// Gives FFmpeg the bytes of a file. A class, because C keeps a pointer to it.
private final class FileInput {
    private static let bufferBytes = 256 << 10
    private(set) var native: UnsafeMutablePointer<AVIOContext>?
    private let length: Int64
    private let readBytes: MediaFile.Read
    private var position: Int64 = 0
    /// A file that has its demuxer read it again and again is no footage.
    private var budgetBytes: Int64
    private(set) var failure: (any Error)?

    init(length: Int64, read: @escaping MediaFile.Read) throws(LibAVError) {
        self.length = length
        readBytes = read
        budgetBytes = 256 << 20 + 8 * min(length, 1 << 50)
        let buffer = av_malloc(Self.bufferBytes)?.assumingMemoryBound(to: UInt8.self)
        native = avio_alloc_context(
            buffer, Int32(Self.bufferBytes), 0, Unmanaged.passUnretained(self).toOpaque(),
            { opaque, bytes, count in
                guard let opaque, let bytes else { return LibAVError.outOfMemory }
                let target = UnsafeMutableRawBufferPointer(start: bytes, count: Int(max(0, count)))
                return Unmanaged<FileInput>.fromOpaque(opaque).takeUnretainedValue().read(into: target)
            }, nil,
            { opaque, offset, whence in
                guard let opaque else { return -1 }
                return Unmanaged<FileInput>.fromOpaque(opaque).takeUnretainedValue().seek(offset, whence)
            })
        guard native != nil else {
            av_free(buffer)
            throw LibAVError(code: LibAVError.outOfMemory, operation: "allocate an input")
        }
    }

    deinit {
        // FFmpeg may have exchanged the buffer for another.
        if let native { av_freep(&native.pointee.buffer) }
        avio_context_free(&native)
    }

    private func read(into target: UnsafeMutableRawBufferPointer) -> Int32 {
        guard budgetBytes > 0 else { return clibav_error_invalid_data }
        do {
            let count = try readBytes(position, target)
            position += Int64(count)
            budgetBytes -= Int64(count)
            return count == 0 ? clibav_error_end_of_file : Int32(count)
        } catch {
            failure = error
            return clibav_error_from_errno(EIO)
        }
    }

    private func seek(_ offset: Int64, _ whence: Int32) -> Int64 {
        let target: Int64
        switch whence & ~AVSEEK_FORCE {
        case AVSEEK_SIZE: return length
        case SEEK_SET: target = offset
        case SEEK_CUR: target = position &+ offset
        case SEEK_END: target = length &+ offset
        default: return Int64(clibav_error_from_errno(EINVAL))
        }
        guard target >= 0 else { return Int64(clibav_error_from_errno(EINVAL)) }
        position = target
        return target
    }
}
