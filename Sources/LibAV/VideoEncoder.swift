import CLibAV

/// A picture of 8-bit YUV 4:2:0 in three planes; written in place and reused.
package struct Picture: ~Copyable {
    let native: UnsafeMutablePointer<AVFrame>
    package let widthPixels: Int
    package let heightPixels: Int

    package init(widthPixels: Int, heightPixels: Int) throws(LibAVError) {
        guard let frame = av_frame_alloc() else { throw LibAVError(code: LibAVError.outOfMemory, operation: "allocate a picture") }
        frame.pointee.width = Int32(widthPixels)
        frame.pointee.height = Int32(heightPixels)
        frame.pointee.format = AV_PIX_FMT_YUV420P.rawValue
        let code = av_frame_get_buffer(frame, 0)
        if code < 0 {
            var pointer: UnsafeMutablePointer<AVFrame>? = frame
            av_frame_free(&pointer)
            throw LibAVError(code: code, operation: "allocate a picture")
        }
        native = frame
        self.widthPixels = widthPixels
        self.heightPixels = heightPixels
    }

    deinit {
        var pointer: UnsafeMutablePointer<AVFrame>? = native
        av_frame_free(&pointer)
    }

    /// The rows of a plane (0 luma, 1 and 2 chroma) and the distance from one to the next, for writing.
    package mutating func withPlane(_ plane: Int, _ body: (UnsafeMutableRawBufferPointer, _ strideBytes: Int) -> Void) throws(LibAVError) {
        try checked(av_frame_make_writable(native), "write a picture")
        let data = withUnsafeBytes(of: &native.pointee.data) { $0.bindMemory(to: UnsafeMutablePointer<UInt8>?.self)[plane] }
        let stride = withUnsafeBytes(of: &native.pointee.linesize) { Int($0.bindMemory(to: Int32.self)[plane]) }
        let rows = plane == 0 ? heightPixels : (heightPixels + 1) / 2
        body(UnsafeMutableRawBufferPointer(start: data, count: stride * rows), stride)
    }
}

/// Video by one of FFmpeg's encoders, without B-frames. As it stands: H.264 by libx264 without delay, what an ordinary
/// camera sends, for the test camera.
package struct VideoEncoder: ~Copyable {
    package struct Settings: Sendable, Hashable {
        package var widthPixels: Int
        package var heightPixels: Int
        package var framesPerSecond: Int
        package var groupFrames: Int
        /// 0 where an option sets the quality and the rate is what comes of it.
        package var bitsPerSecond: Int
        package var encoder = "libx264"
        /// The encoder's own options, in order.
        package var options = [["preset", "ultrafast"], ["tune", "zerolatency"], ["x264-params", "scenecut=0"]]
        /// One second at this rate unless it is given: what the rate is held over, and its peak.
        package var bufferBits: Int?
        package var peakBitsPerSecond: Int?
        /// Of the presentation times; frames when it is nil.
        package var timeBase: Rational?
        package var threads = 1
        /// What a player is told of the colours; nothing when it is nil.
        package var colors: PictureColors?

        package init(widthPixels: Int, heightPixels: Int, framesPerSecond: Int, groupFrames: Int, bitsPerSecond: Int) {
            self.widthPixels = widthPixels
            self.heightPixels = heightPixels
            self.framesPerSecond = framesPerSecond
            self.groupFrames = groupFrames
            self.bitsPerSecond = bitsPerSecond
        }
    }

    private let context: UnsafeMutablePointer<AVCodecContext>
    package let parameters: CodecParameters
    package let timeBase: Rational

    package init(_ settings: Settings) throws(LibAVError) {
        _ = LibraryLog.silenced
        guard let codec = avcodec_find_encoder_by_name(settings.encoder), let context = avcodec_alloc_context3(codec) else {
            throw LibAVError(code: clibav_error_encoder_not_found, operation: "find the encoder \(settings.encoder)")
        }
        context.pointee.width = Int32(settings.widthPixels)
        context.pointee.height = Int32(settings.heightPixels)
        context.pointee.pix_fmt = AV_PIX_FMT_YUV420P
        let timeBase = settings.timeBase ?? Rational(1, Int32(settings.framesPerSecond))
        context.pointee.time_base = timeBase.native
        context.pointee.framerate = AVRational(num: Int32(settings.framesPerSecond), den: 1)
        context.pointee.gop_size = Int32(settings.groupFrames)
        context.pointee.keyint_min = Int32(settings.groupFrames)
        context.pointee.max_b_frames = 0
        context.pointee.bit_rate = Int64(settings.bitsPerSecond)
        context.pointee.rc_max_rate = Int64(settings.peakBitsPerSecond ?? settings.bitsPerSecond)
        context.pointee.rc_buffer_size = Int32(clamping: settings.bufferBits ?? settings.bitsPerSecond)
        context.pointee.thread_count = Int32(clamping: settings.threads)
        // Parameter sets apart from the pictures, as MP4 has them, where the caller's time base says that it writes one.
        if settings.timeBase != nil { context.pointee.flags |= AV_CODEC_FLAG_GLOBAL_HEADER }
        if let colors = settings.colors {
            context.pointee.color_primaries = AVColorPrimaries(rawValue: colors.primaries)
            context.pointee.color_trc = AVColorTransferCharacteristic(rawValue: colors.transfer)
            context.pointee.colorspace = AVColorSpace(rawValue: colors.matrix)
            context.pointee.color_range = AVCOL_RANGE_MPEG
        }
        do throws(LibAVError) {
            // An option that the encoder lacks must not be said of the stream.
            for option in settings.options where option.count == 2 {
                try checked(av_opt_set(context, option[0], option[1], AV_OPT_SEARCH_CHILDREN), "set \(option[0]) of the encoder \(settings.encoder)")
            }
            try checked(avcodec_open2(context, codec, nil), "open the encoder \(settings.encoder)")
            parameters = try CodecParameters(encoder: context)
        } catch {
            var pointer: UnsafeMutablePointer<AVCodecContext>? = context
            avcodec_free_context(&pointer)
            throw error
        }
        self.context = context
        self.timeBase = timeBase
    }

    deinit {
        var pointer: UnsafeMutablePointer<AVCodecContext>? = context
        avcodec_free_context(&pointer)
    }

    /// - Parameter presentationTime: in `timeBase`.
    package mutating func send(_ picture: borrowing Picture, presentationTime: Int64) throws(LibAVError) -> TransferOutcome {
        picture.native.pointee.pts = presentationTime
        return try outcome(avcodec_send_frame(context, picture.native))
    }

    /// No picture follows: what the encoder still holds comes out.
    package mutating func finish() throws(LibAVError) { _ = try outcome(avcodec_send_frame(context, nil)) }

    package mutating func receive(into packet: borrowing Packet) throws(LibAVError) -> TransferOutcome {
        try outcome(avcodec_receive_packet(context, packet.native))
    }

    private func outcome(_ code: Int32) throws(LibAVError) -> TransferOutcome {
        switch code {
        case clibav_error_end_of_file: return .ended
        case LibAVError.tryAgain: return .wouldBlock
        default:
            try checked(code, "encode video")
            return .done
        }
    }
}
