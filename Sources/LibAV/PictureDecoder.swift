import CLibAV

/// How colours are meant, as ISO/IEC 23091-2 numbers it.
package struct PictureColors: Sendable, Hashable {
    var primaries: UInt32
    var transfer: UInt32
    var matrix: UInt32
}

/// A decoded picture in whatever format its codec has; filled again and again. The owner of one AVFrame.
package struct DecodedPicture: ~Copyable {
    let native: UnsafeMutablePointer<AVFrame>

    package init() throws(LibAVError) {
        guard let frame = av_frame_alloc() else { throw LibAVError(code: LibAVError.outOfMemory, operation: "allocate a picture") }
        native = frame
    }

    deinit {
        var pointer: UnsafeMutablePointer<AVFrame>? = native
        av_frame_free(&pointer)
    }

    package var widthPixels: Int { Int(native.pointee.width) }
    package var heightPixels: Int { Int(native.pointee.height) }
    /// In the stream's time base; nil when neither the packet nor the decoder knew it.
    package var presentationTime: Int64? {
        let best = native.pointee.best_effort_timestamp
        let time = best == clibav_no_timestamp ? native.pointee.pts : best
        return time == clibav_no_timestamp || time.magnitude > Rational.timeLimit ? nil : time
    }
    package var colors: PictureColors {
        PictureColors(primaries: native.pointee.color_primaries.rawValue, transfer: native.pointee.color_trc.rawValue, matrix: native.pointee.colorspace.rawValue)
    }
    /// The decoder found errors and covered them up.
    package var isDamaged: Bool { native.pointee.decode_error_flags != 0 || native.pointee.flags & AV_FRAME_FLAG_CORRUPT != 0 }
}

/// Decodes a stream of video, picture by picture. Bounds what a made-up header can have allocated.
package struct PictureDecoder: ~Copyable {
    private let context: UnsafeMutablePointer<AVCodecContext>

    /// - Parameter keyFramesOnly: everything else is passed over undecoded.
    package init(_ parameters: CodecParameters, timeBase: Rational, keyFramesOnly: Bool, threads: Int) throws(LibAVError) {
        _ = LibraryLog.silenced
        guard let codec = avcodec_find_decoder(parameters.native.pointee.codec_id), let context = avcodec_alloc_context3(codec) else {
            throw LibAVError(code: clibav_error_decoder_not_found, operation: "find a decoder for \(parameters.codec)")
        }
        do throws(LibAVError) {
            try checked(avcodec_parameters_to_context(context, parameters.native), "set up a decoder")
            context.pointee.pkt_timebase = timeBase.native
            context.pointee.thread_count = Int32(clamping: max(1, threads))
            context.pointee.max_pixels = VideoDecoder.pixelsMax
            if keyFramesOnly { context.pointee.skip_frame = AVDISCARD_NONKEY }
            try checked(avcodec_open2(context, codec, nil), "open a decoder")
        } catch {
            var pointer: UnsafeMutablePointer<AVCodecContext>? = context
            avcodec_free_context(&pointer)
            throw error
        }
        self.context = context
    }

    deinit {
        var pointer: UnsafeMutablePointer<AVCodecContext>? = context
        avcodec_free_context(&pointer)
    }

    package mutating func send(_ packet: borrowing Packet) throws(LibAVError) -> TransferOutcome { try outcome(avcodec_send_packet(context, packet.native)) }

    /// No packet follows: what the decoder still holds comes out.
    package mutating func finish() throws(LibAVError) { _ = try outcome(avcodec_send_packet(context, nil)) }

    /// After `finish`, for packets of another place.
    package mutating func restart() { avcodec_flush_buffers(context) }

    package mutating func receive(into picture: borrowing DecodedPicture) throws(LibAVError) -> TransferOutcome {
        try outcome(avcodec_receive_frame(context, picture.native))
    }

    private func outcome(_ code: Int32) throws(LibAVError) -> TransferOutcome {
        switch code {
        case clibav_error_end_of_file: return .ended
        case LibAVError.tryAgain: return .wouldBlock
        default:
            try checked(code, "decode video")
            return .done
        }
    }
}
