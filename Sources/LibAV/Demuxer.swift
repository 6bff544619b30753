import CLibAV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// An open input: a camera, or a file. One thread at a time.
package struct Demuxer: ~Copyable {
    private let context: UnsafeMutablePointer<AVFormatContext>
    /// FFmpeg holds a pointer to it; released only after `deinit` has closed the context.
    private let interrupt: InterruptContext
    private let scrubbedURL: String
    private var wasInterrupted: InterruptReason?
    private let codecs: [AVCodecID]
    package let streams: [StreamDescription]
    /// The container says no times: FFmpeg counts pictures at the rate that it guesses.
    package let isUntimed: Bool
    /// It has a length, so it is a recording, and not what happens now.
    package let isRecording: Bool

    package struct Settings: Sendable {
        /// Name and value as FFmpeg documents them.
        package var options: [String: String]
        package var openMilliseconds: Int

        package init(options: [String: String], openMilliseconds: Int) {
            self.options = options
            self.openMilliseconds = openMilliseconds
        }
    }

    /// Opens and reads enough to know the streams. Blocks for at most twice `openMilliseconds`.
    package init(opening url: String, settings: Settings, interrupt: InterruptContext) throws(LibAVError) {
        let name = withoutSecrets(ofURL: url)
        _ = LibraryLog.silenced
        guard let allocated = avformat_alloc_context() else {
            throw LibAVError(code: LibAVError.outOfMemory, operation: "allocate an input")
        }
        // Before opening: opening is the call that blocks longest.
        allocated.pointee.interrupt_callback = interrupt.callback
        var options: OpaquePointer?
        defer { av_dict_free(&options) }
        for (key, value) in settings.options { av_dict_set(&options, key, value, 0) }

        var input: UnsafeMutablePointer<AVFormatContext>? = allocated
        interrupt.arm(milliseconds: settings.openMilliseconds)
        // On failure FFmpeg frees the context itself.
        try checked(avformat_open_input(&input, url, nil, &options), "open \(name)", interrupt)
        let isUntimed = (allocated.pointee.iformat?.pointee.flags ?? 0) & AVFMT_NOTIMESTAMPS != 0
        // What is read to guess the rate would be handed out late.
        if isUntimed, !Self.hasLength(allocated, url) { allocated.pointee.fps_probe_size = 0 }
        do throws(LibAVError) {
            interrupt.arm(milliseconds: settings.openMilliseconds)
            let found = avformat_find_stream_info(allocated, nil)
            // An interrupt here is not always an error code: streams may be known in part.
            if found < 0 || interrupt.reason != nil {
                throw LibAVError(code: min(found, clibav_error_exit), operation: "read the streams of \(name)", interruption: interrupt.reason)
            }
            streams = try Self.describe(allocated)
        } catch {
            avformat_close_input(&input)
            throw error
        }
        codecs = (0..<Int(allocated.pointee.nb_streams)).map { allocated.pointee.streams?[$0]?.pointee.codecpar.pointee.codec_id ?? AV_CODEC_ID_NONE }
        isRecording = Self.hasLength(allocated, url)
        self.isUntimed = isUntimed
        context = allocated
        self.interrupt = interrupt
        scrubbedURL = name
    }

    deinit {
        // Closing RTSP sends TEARDOWN, which must not wait for a dead camera.
        interrupt.arm(milliseconds: 500)
        var pointer: UnsafeMutablePointer<AVFormatContext>? = context
        avformat_close_input(&pointer)
    }

    /// Fills `packet` with the next packet of any stream, within `milliseconds`.
    package mutating func read(into packet: borrowing Packet, milliseconds: Int) throws(LibAVError) -> TransferOutcome {
        av_packet_unref(packet.native)
        if let reason = wasInterrupted { throw LibAVError(code: clibav_error_exit, operation: "read \(scrubbedURL)", interruption: reason) }
        interrupt.arm(milliseconds: milliseconds)
        let code = av_read_frame(context, packet.native)
        if code >= 0 {
            // An interrupted read first hands out what the parsers held, as success, and would then go on as if
            // nothing had been: the packet is good, the connection is not.
            wasInterrupted = interrupt.reason
            let index = Int(packet.native.pointee.stream_index)
            if index < codecs.count, let codec = context.pointee.streams?[index]?.pointee.codecpar.pointee.codec_id, codec != codecs[index] {
                throw LibAVError(code: clibav_error_invalid_data, operation: "read \(scrubbedURL): the stream's codec changed")
            }
            return .done
        }
        // RTSP says "end of file" when it was interrupted, so the reason is asked for first.
        if let reason = interrupt.reason { throw LibAVError(code: code, operation: "read \(scrubbedURL)", interruption: reason) }
        switch code {
        case clibav_error_end_of_file: return .ended
        case LibAVError.tryAgain: return .wouldBlock
        default: throw LibAVError(code: code, operation: "read \(scrubbedURL)")
        }
    }

    /// A playlist has a size, whatever it leads to; and a camera that sends pictures for ever, each in a part of its own
    /// (`multipart/x-mixed-replace`), may claim any.
    private static func hasLength(_ context: UnsafeMutablePointer<AVFormatContext>, _ url: String) -> Bool {
        if let name = context.pointee.iformat?.pointee.name {
            if strcmp(name, "hls") == 0 { return context.pointee.duration > 0 }
            if strcmp(name, "mpjpeg") == 0, url.prefix(4).lowercased() == "http" { return false }
        }
        return context.pointee.pb.map { avio_size($0) > 0 } ?? false
    }

    static func describe(_ context: UnsafeMutablePointer<AVFormatContext>) throws(LibAVError) -> [StreamDescription] {
        var streams: [StreamDescription] = []
        for index in 0..<Int(context.pointee.nb_streams) {
            guard let stream = context.pointee.streams?[index], let parameters = stream.pointee.codecpar else { continue }
            streams.append(
                StreamDescription(
                    index: index, timeBase: Rational(stream.pointee.time_base), parameters: try CodecParameters(copying: parameters)))
        }
        return streams
    }

    /// What FFmpeg was told to skip costs nothing.
    package func discard(streamsOtherThan wanted: [Int]) {
        for index in 0..<Int(context.pointee.nb_streams) where !wanted.contains(index) {
            context.pointee.streams?[index]?.pointee.discard = AVDISCARD_ALL
        }
    }
}
