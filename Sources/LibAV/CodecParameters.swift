import CLibAV

package enum MediaKind: Sendable, Hashable { case video, audio, other }

/// The codecs that the recorder tells apart.
package enum Codec: Sendable, Hashable {
    case h264, h265, av1, motionJPEG, aac, opus
    /// Of G.711: North America and Japan, and the rest of the world.
    case g711MuLaw, g711ALaw
    case other(String)
}

/// What describes an encoded stream. A class, because descriptions live in arrays; never changed after it was made.
package final class CodecParameters {
    let native: UnsafeMutablePointer<AVCodecParameters>

    /// A copy of what FFmpeg owns.
    init(copying source: UnsafePointer<AVCodecParameters>) throws(LibAVError) {
        native = try Self.allocate()
        try checked(avcodec_parameters_copy(native, source), "copy codec parameters")
    }

    init(encoder: UnsafePointer<AVCodecContext>) throws(LibAVError) {
        native = try Self.allocate()
        try checked(avcodec_parameters_from_context(native, encoder), "read an encoder's parameters")
    }

    deinit {
        var pointer: UnsafeMutablePointer<AVCodecParameters>? = native
        avcodec_parameters_free(&pointer)
    }

    private static func allocate() throws(LibAVError) -> UnsafeMutablePointer<AVCodecParameters> {
        guard let parameters = avcodec_parameters_alloc() else {
            throw LibAVError(code: LibAVError.outOfMemory, operation: "allocate codec parameters")
        }
        return parameters
    }

    package var kind: MediaKind {
        switch native.pointee.codec_type {
        case AVMEDIA_TYPE_VIDEO: .video
        case AVMEDIA_TYPE_AUDIO: .audio
        default: .other
        }
    }

    package var codec: Codec {
        switch native.pointee.codec_id {
        case AV_CODEC_ID_H264: .h264
        case AV_CODEC_ID_HEVC: .h265
        case AV_CODEC_ID_AV1: .av1
        case AV_CODEC_ID_MJPEG: .motionJPEG
        case AV_CODEC_ID_AAC: .aac
        case AV_CODEC_ID_OPUS: .opus
        case AV_CODEC_ID_PCM_MULAW: .g711MuLaw
        case AV_CODEC_ID_PCM_ALAW: .g711ALaw
        case let other: .other(avcodec_get_name(other).map { String(cString: $0) } ?? "unknown")
        }
    }

    package var widthPixels: Int { Int(native.pointee.width) }
    package var heightPixels: Int { Int(native.pointee.height) }
    package var sampleRateHertz: Int { Int(native.pointee.sample_rate) }
    package var channelCount: Int { Int(native.pointee.ch_layout.nb_channels) }
    package var extradata: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: native.pointee.extradata, count: native.pointee.extradata == nil ? 0 : max(0, Int(native.pointee.extradata_size)))
    }

    /// Samples carry NAL units behind 4-byte (or shorter) lengths, as in MP4, and not behind start codes.
    /// Both configuration records begin with version 1; Annex B begins with a zero.
    package var isLengthPrefixed: Bool {
        switch codec {
        case .h264, .h265: extradata.first == 1
        default: false
        }
    }

    /// The same stream with another configuration, as read from `keyFrame`, a whole access unit.
    /// Size, profile and level come from FFmpeg's own parser, so that the `moov` never contradicts the stream.
    package func replacing(extradata: [UInt8], keyFrame: UnsafeRawBufferPointer) throws(LibAVError) -> CodecParameters {
        let copy = try CodecParameters(copying: native)
        try copy.setExtradata(extradata)
        // FFmpeg's parsers count in 32 bits.
        guard keyFrame.count < Int(Int32.max) else { return copy }
        guard let parser = av_parser_init(Int32(native.pointee.codec_id.rawValue)) else { return copy }
        defer { av_parser_close(parser) }
        guard let context = avcodec_alloc_context3(avcodec_find_decoder(native.pointee.codec_id)) else { return copy }
        defer {
            var pointer: UnsafeMutablePointer<AVCodecContext>? = context
            avcodec_free_context(&pointer)
        }
        try checked(avcodec_parameters_to_context(context, copy.native), "set up a parser")
        parser.pointee.flags |= PARSER_FLAG_COMPLETE_FRAMES
        var output: UnsafeMutablePointer<UInt8>?
        var outputBytes: Int32 = 0
        _ = av_parser_parse2(
            parser, context, &output, &outputBytes, keyFrame.bindMemory(to: UInt8.self).baseAddress, Int32(keyFrame.count),
            clibav_no_timestamp, clibav_no_timestamp, -1)
        if parser.pointee.width > 0, parser.pointee.height > 0 {
            copy.native.pointee.width = parser.pointee.width
            copy.native.pointee.height = parser.pointee.height
        }
        copy.native.pointee.profile = context.pointee.profile
        copy.native.pointee.level = context.pointee.level
        return copy
    }

    /// The same stream with pictures of another size.
    package func replacing(widthPixels: Int, heightPixels: Int) throws(LibAVError) -> CodecParameters {
        let copy = try CodecParameters(copying: native)
        copy.native.pointee.width = Int32(clamping: widthPixels)
        copy.native.pointee.height = Int32(clamping: heightPixels)
        return copy
    }

    /// The same sound as its configuration describes it.
    package func replacing(audioConfiguration: [UInt8], sampleRateHertz: Int) throws(LibAVError) -> CodecParameters {
        let copy = try CodecParameters(copying: native)
        try copy.setExtradata(audioConfiguration)
        copy.native.pointee.sample_rate = Int32(clamping: sampleRateHertz)
        return copy
    }

    /// Configurations have some hundred bytes.
    private static let extradataLimitBytes = 1 << 20

    private func setExtradata(_ bytes: [UInt8]) throws(LibAVError) {
        guard bytes.count <= Self.extradataLimitBytes else {
            throw LibAVError(code: clibav_error_invalid_data, operation: "take a codec configuration of \(bytes.count) bytes")
        }
        av_freep(&native.pointee.extradata)
        native.pointee.extradata_size = 0
        guard let memory = av_mallocz(bytes.count + Int(AV_INPUT_BUFFER_PADDING_SIZE)) else {
            throw LibAVError(code: LibAVError.outOfMemory, operation: "allocate codec configuration")
        }
        bytes.withUnsafeBytes { if let base = $0.baseAddress { memory.copyMemory(from: base, byteCount: $0.count) } }
        native.pointee.extradata = memory.assumingMemoryBound(to: UInt8.self)
        native.pointee.extradata_size = Int32(clamping: bytes.count)
    }
}

package struct StreamDescription {
    package var index: Int
    package var timeBase: Rational
    package var parameters: CodecParameters

    package init(index: Int, timeBase: Rational, parameters: CodecParameters) {
        self.index = index
        self.timeBase = timeBase
        self.parameters = parameters
    }
}
