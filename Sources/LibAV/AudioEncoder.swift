import CLibAV

/// AAC-LC by FFmpeg's own encoder, one channel, for sound that no browser plays in MP4.
package struct AudioEncoder: ~Copyable {
    private let context: UnsafeMutablePointer<AVCodecContext>
    private let frame: UnsafeMutablePointer<AVFrame>
    package let parameters: CodecParameters
    /// Samples in one packet.
    package let frameSamples: Int

    package init(sampleRateHertz: Int, bitsPerSecond: Int) throws(LibAVError) {
        _ = LibraryLog.silenced
        guard let codec = avcodec_find_encoder(AV_CODEC_ID_AAC), let context = avcodec_alloc_context3(codec), let frame = av_frame_alloc() else {
            throw LibAVError(code: clibav_error_encoder_not_found, operation: "find an AAC encoder")
        }
        context.pointee.sample_rate = Int32(clamping: sampleRateHertz)
        context.pointee.sample_fmt = AV_SAMPLE_FMT_FLTP
        context.pointee.bit_rate = Int64(bitsPerSecond)
        context.pointee.time_base = AVRational(num: 1, den: Int32(clamping: sampleRateHertz))
        av_channel_layout_default(&context.pointee.ch_layout, 1)
        // The configuration belongs into the file's header, and not before each packet.
        context.pointee.flags |= AV_CODEC_FLAG_GLOBAL_HEADER
        // The search of the default coder costs several times as much, for nothing that telephone sound has.
        av_opt_set(context.pointee.priv_data, "aac_coder", "fast", 0)
        do throws(LibAVError) {
            try checked(avcodec_open2(context, codec, nil), "open an AAC encoder at \(sampleRateHertz) Hz")
            frame.pointee.format = AV_SAMPLE_FMT_FLTP.rawValue
            frame.pointee.sample_rate = context.pointee.sample_rate
            frame.pointee.nb_samples = context.pointee.frame_size
            try checked(av_channel_layout_copy(&frame.pointee.ch_layout, &context.pointee.ch_layout), "make room for sound")
            try checked(av_frame_get_buffer(frame, 0), "make room for sound")
            parameters = try CodecParameters(encoder: context)
        } catch {
            Self.free(context, frame)
            throw error
        }
        frameSamples = Int(context.pointee.frame_size)
        self.context = context
        self.frame = frame
    }

    deinit { Self.free(context, frame) }

    private static func free(_ context: UnsafeMutablePointer<AVCodecContext>, _ frame: UnsafeMutablePointer<AVFrame>) {
        var (context, frame): (UnsafeMutablePointer<AVCodecContext>?, UnsafeMutablePointer<AVFrame>?) = (context, frame)
        avcodec_free_context(&context)
        av_frame_free(&frame)
    }

    /// Encodes `frameSamples` samples between -1 and 1. The time, and those of the packets, count samples.
    package mutating func send(_ samples: UnsafeBufferPointer<Float>, presentationTime: Int64) throws(LibAVError) {
        try checked(av_frame_make_writable(frame), "encode sound")
        guard samples.count == frameSamples, let source = samples.baseAddress, let plane = frame.pointee.data.0 else {
            throw LibAVError(code: clibav_error_invalid_data, operation: "encode \(samples.count) samples of sound")
        }
        UnsafeMutableRawPointer(plane).copyMemory(from: source, byteCount: samples.count * MemoryLayout<Float>.stride)
        frame.pointee.pts = presentationTime
        try checked(avcodec_send_frame(context, frame), "encode sound")
    }

    package mutating func receive(into packet: borrowing Packet) throws(LibAVError) -> TransferOutcome {
        let code = avcodec_receive_packet(context, packet.native)
        switch code {
        case clibav_error_end_of_file: return .ended
        case LibAVError.tryAgain: return .wouldBlock
        default:
            try checked(code, "encode sound")
            return .done
        }
    }
}
