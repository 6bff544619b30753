import CLibAV

/// Single pictures as JPEG.
package enum JPEGEncoder {
    /// FFmpeg's scale: smaller is better.
    package static let qualities = 2...31

    /// - Parameter picture: full range.
    package static func encode(_ picture: borrowing Picture, quality: Int) throws(LibAVError) -> [UInt8] {
        _ = LibraryLog.silenced
        guard let codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG), let context = avcodec_alloc_context3(codec) else {
            throw LibAVError(code: clibav_error_encoder_not_found, operation: "find an encoder for JPEG")
        }
        defer {
            var pointer: UnsafeMutablePointer<AVCodecContext>? = context
            avcodec_free_context(&pointer)
        }
        setUp(context, widthPixels: picture.widthPixels, heightPixels: picture.heightPixels)
        context.pointee.flags |= AV_CODEC_FLAG_QSCALE
        context.pointee.global_quality = Int32(quality) * FF_QP2LAMBDA
        try checked(avcodec_open2(context, codec, nil), "open the encoder for JPEG")
        picture.native.pointee.quality = context.pointee.global_quality
        picture.native.pointee.pts = 0
        try checked(avcodec_send_frame(context, picture.native), "encode a JPEG")
        try checked(avcodec_send_frame(context, nil), "encode a JPEG")
        let packet = try Packet()
        try checked(avcodec_receive_packet(context, packet.native), "encode a JPEG")
        return Array(packet.bytes)
    }

    /// What describes a stream of such pictures.
    package static func parameters(widthPixels: Int, heightPixels: Int) throws(LibAVError) -> CodecParameters {
        guard let codec = avcodec_find_encoder(AV_CODEC_ID_MJPEG), let context = avcodec_alloc_context3(codec) else {
            throw LibAVError(code: clibav_error_encoder_not_found, operation: "find an encoder for JPEG")
        }
        defer {
            var pointer: UnsafeMutablePointer<AVCodecContext>? = context
            avcodec_free_context(&pointer)
        }
        setUp(context, widthPixels: widthPixels, heightPixels: heightPixels)
        return try CodecParameters(encoder: context)
    }

    private static func setUp(_ context: UnsafeMutablePointer<AVCodecContext>, widthPixels: Int, heightPixels: Int) {
        context.pointee.codec_id = AV_CODEC_ID_MJPEG
        context.pointee.codec_type = AVMEDIA_TYPE_VIDEO
        context.pointee.width = Int32(clamping: widthPixels)
        context.pointee.height = Int32(clamping: heightPixels)
        context.pointee.pix_fmt = AV_PIX_FMT_YUV420P
        context.pointee.color_range = AVCOL_RANGE_JPEG
        context.pointee.time_base = AVRational(num: 1, den: 90_000)
        context.pointee.thread_count = 1
    }
}

extension LibraryVersion {
    /// What makes pictures, for entries of the log.
    package static var libavcodec: String {
        let version = avcodec_version()
        return "libavcodec \(version >> 16).\(version >> 8 & 0xff).\(version & 0xff)"
    }

    package static func hasEncoder(_ name: String) -> Bool { avcodec_find_encoder_by_name(name) != nil }
}
