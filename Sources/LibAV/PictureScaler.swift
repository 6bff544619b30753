import CLibAV

/// Brings decoded pictures to one size, as 8-bit YUV 4:2:0. Follows the source when its size or format changes.
package struct PictureScaler: ~Copyable {
    package enum Quality: Sendable {
        /// FFmpeg's own choice.
        case bicubic
        /// The mean of what each pixel covers: for pictures that become many times smaller.
        case area
    }

    /// What a context is made for.
    private struct Shape: Equatable {
        var width: Int32
        var height: Int32
        var format: AVPixelFormat
        var isFullRange: Bool
        var targetWidth: Int
        var targetHeight: Int
    }

    private var context: OpaquePointer?
    private var shape: Shape?
    private let quality: Quality
    private let isFullRange: Bool

    /// - Parameter isFullRange: 0 to 255 as JPEG has it, instead of 16 to 235.
    package init(_ quality: Quality, isFullRange: Bool) {
        self.quality = quality
        self.isFullRange = isFullRange
    }

    deinit { sws_freeContext(context) }

    package mutating func scale(_ source: borrowing DecodedPicture, into target: borrowing Picture) throws(LibAVError) {
        let frame = source.native
        let (format, isSourceFull) = Self.plain(AVPixelFormat(rawValue: frame.pointee.format), frame.pointee.color_range)
        guard frame.pointee.width > 0, frame.pointee.height > 0, sws_isSupportedInput(format) != 0 else {
            throw LibAVError(code: clibav_error_patch_welcome, operation: "scale a picture")
        }
        try checked(av_frame_make_writable(target.native), "write a picture")
        try prepare(
            Shape(
                width: frame.pointee.width, height: frame.pointee.height, format: format, isFullRange: isSourceFull, targetWidth: target.widthPixels,
                targetHeight: target.heightPixels))
        let scaler = context
        try checked(
            withUnsafeBytes(of: &frame.pointee.data) { input in
                withUnsafeBytes(of: &frame.pointee.linesize) { inputStrides in
                    withUnsafeBytes(of: &target.native.pointee.data) { output in
                        withUnsafeBytes(of: &target.native.pointee.linesize) { outputStrides in
                            let inputs = input.bindMemory(to: UnsafePointer<UInt8>?.self).baseAddress
                            let outputs = output.bindMemory(to: UnsafeMutablePointer<UInt8>?.self).baseAddress
                            return sws_scale(
                                scaler, inputs, inputStrides.bindMemory(to: Int32.self).baseAddress, 0, frame.pointee.height, outputs,
                                outputStrides.bindMemory(to: Int32.self).baseAddress)
                        }
                    }
                }
            }, "scale a picture")
    }

    /// The ranges must be known before the context is made: one for pictures of the same size and format copies, and goes on
    /// copying when it is told of another range later.
    private mutating func prepare(_ wanted: Shape) throws(LibAVError) {
        guard shape != wanted else { return }
        sws_freeContext(context)
        shape = nil
        context = sws_alloc_context()
        guard let context else { throw LibAVError(code: LibAVError.outOfMemory, operation: "scale a picture") }
        let settings: [(String, Int64)] = [
            ("srcw", Int64(wanted.width)), ("srch", Int64(wanted.height)), ("src_format", Int64(wanted.format.rawValue)), ("src_range", wanted.isFullRange ? 1 : 0),
            ("dstw", Int64(wanted.targetWidth)), ("dsth", Int64(wanted.targetHeight)), ("dst_format", Int64(AV_PIX_FMT_YUV420P.rawValue)),
            ("dst_range", isFullRange ? 1 : 0), ("sws_flags", Int64(quality == .area ? SWS_AREA : SWS_BICUBIC)),
        ]
        for (name, value) in settings { try checked(av_opt_set_int(UnsafeMutableRawPointer(context), name, value, 0), "set up scaling") }
        try checked(sws_init_context(context, nil, nil), "set up scaling")
        let matrix = sws_getCoefficients(SWS_CS_DEFAULT)
        sws_setColorspaceDetails(context, matrix, wanted.isFullRange ? 1 : 0, matrix, isFullRange ? 1 : 0, 0, 1 << 16, 1 << 16)
        shape = wanted
    }

    /// The old names for full-range formats say in the format what belongs into the range.
    private static func plain(_ format: AVPixelFormat, _ range: AVColorRange) -> (AVPixelFormat, isFull: Bool) {
        switch format {
        case AV_PIX_FMT_YUVJ420P: (AV_PIX_FMT_YUV420P, true)
        case AV_PIX_FMT_YUVJ422P: (AV_PIX_FMT_YUV422P, true)
        case AV_PIX_FMT_YUVJ444P: (AV_PIX_FMT_YUV444P, true)
        case AV_PIX_FMT_YUVJ440P: (AV_PIX_FMT_YUV440P, true)
        default: (format, range == AVCOL_RANGE_JPEG)
        }
    }
}
