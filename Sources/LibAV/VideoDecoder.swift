import CLibAV

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The brightness of a picture on a coarse grid: what two pictures are compared by.
package struct LumaGrid: Sendable, Hashable {
    package let columns: Int
    package let rows: Int
    /// Mean luma of each block, 0 to 255, row by row.
    package var levels: [UInt8]

    package init(columns: Int, rows: Int) {
        self.columns = columns
        self.rows = rows
        levels = Array(repeating: 0, count: columns * rows)
    }
}

/// Decodes single key frames, as luma only. It is opened for each one: no picture leaves anything behind for the next,
/// a change of parameters needs no care, and between two pictures it holds no memory.
///
/// What comes from a camera is decoded within this process; libavcodec is large, and nothing confines it here.
package enum VideoDecoder {
    /// 16 Mpx: more than any camera of this field sends, and a bound for what a made-up header can have allocated.
    static let pixelsMax: Int64 = 16 << 20
    /// Rows looked at in a block: its mean needs no more.
    private static let rowsPerBlock = 8

    /// Replaces what `grid` holds by the picture's.
    /// - Parameter packet: a key frame, whole, as it came.
    /// - Throws: when there is no decoder, the packet is damaged, or holds no picture.
    package static func decodeLuma(of packet: borrowing Packet, _ parameters: CodecParameters, into grid: inout LumaGrid) throws(LibAVError) {
        _ = LibraryLog.silenced
        guard let codec = avcodec_find_decoder(parameters.native.pointee.codec_id), let context = avcodec_alloc_context3(codec) else {
            throw LibAVError(code: clibav_error_decoder_not_found, operation: "find a decoder for \(parameters.codec)")
        }
        defer {
            var pointer: UnsafeMutablePointer<AVCodecContext>? = context
            avcodec_free_context(&pointer)
        }
        try checked(avcodec_parameters_to_context(context, parameters.native), "set up a decoder")
        context.pointee.thread_count = 1
        context.pointee.max_pixels = pixelsMax
        // Deblocking does not move a block's mean.
        context.pointee.skip_loop_filter = AVDISCARD_ALL
        context.pointee.error_concealment = 0
        context.pointee.flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT
        // JPEG can be decoded at an eighth of its size.
        context.pointee.lowres = min(3, Int32(codec.pointee.max_lowres))
        try checked(avcodec_open2(context, codec, nil), "open a decoder")
        guard let frame = av_frame_alloc() else { throw LibAVError(code: LibAVError.outOfMemory, operation: "allocate a picture") }
        defer {
            var pointer: UnsafeMutablePointer<AVFrame>? = frame
            av_frame_free(&pointer)
        }
        try checked(avcodec_send_packet(context, packet.native), "decode a key frame")
        // The end of the stream: a decoder that would wait for more pictures gives this one now.
        try checked(avcodec_send_packet(context, nil), "decode a key frame")
        try checked(avcodec_receive_frame(context, frame), "decode a key frame")
        guard frame.pointee.decode_error_flags == 0 else { throw LibAVError(code: clibav_error_invalid_data, operation: "decode a key frame") }
        try average(frame, into: &grid)
    }

    /// Component 0 of a format is its luma; of RGB it is one of three that do as well.
    private static func average(_ frame: UnsafeMutablePointer<AVFrame>, into grid: inout LumaGrid) throws(LibAVError) {
        let format = AVPixelFormat(rawValue: frame.pointee.format)
        let unusable = UInt64(AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BITSTREAM | AV_PIX_FMT_FLAG_HWACCEL | AV_PIX_FMT_FLAG_BE | AV_PIX_FMT_FLAG_FLOAT)
        guard let descriptor = av_pix_fmt_desc_get(format), descriptor.pointee.flags & unusable == 0 else {
            throw LibAVError(code: clibav_error_patch_welcome, operation: "read a decoded picture")
        }
        let component = descriptor.pointee.comp.0
        let plane = Int(component.plane)
        let data = withUnsafeBytes(of: &frame.pointee.data) { $0.bindMemory(to: UnsafeMutablePointer<UInt8>?.self)[plane] }
        let stride = withUnsafeBytes(of: &frame.pointee.linesize) { Int($0.bindMemory(to: Int32.self)[plane]) }
        let (width, height) = (Int(frame.pointee.width), Int(frame.pointee.height))
        let bytesPerPixel = component.depth > 8 ? 2 : 1
        guard let data, width > 0, height > 0, component.depth >= 8, component.step >= bytesPerPixel,
            stride >= (width - 1) * Int(component.step) + Int(component.offset) + bytesPerPixel
        else { throw LibAVError(code: clibav_error_patch_welcome, operation: "read a decoded picture") }
        // Of more than 8 bits the upper 8, which lie in the second byte or across both.
        let shift = Int(component.shift) + Int(component.depth) - 8
        for row in 0..<grid.rows {
            let lines = span(row, of: grid.rows, length: height)
            let step = max(1, lines.count / rowsPerBlock)
            for column in 0..<grid.columns {
                let pixels = span(column, of: grid.columns, length: width)
                var sum = 0
                var count = 0
                for line in Swift.stride(from: lines.lowerBound, to: lines.upperBound, by: step) {
                    let start = data + line * stride + Int(component.offset)
                    for pixel in pixels {
                        let place = start + pixel * Int(component.step)
                        let value = bytesPerPixel == 1 ? Int(place[0]) : Int(place[0]) | Int(place[1]) << 8
                        sum += value >> shift & 0xff
                    }
                    count += pixels.count
                }
                grid.levels[row * grid.columns + column] = UInt8(clamping: sum / max(1, count))
            }
        }
    }

    /// At least one, also in a picture with fewer pixels than the grid has blocks.
    private static func span(_ index: Int, of count: Int, length: Int) -> Range<Int> {
        let start = min(length - 1, index * length / count)
        return start..<max(start + 1, min(length, (index + 1) * length / count))
    }
}

extension Packet {
    /// Fills it with a packet that was kept; `duration` 0 when unknown.
    package func fill(
        copying bytes: UnsafeRawBufferPointer, streamIndex: Int, presentationTime: Int64?, decodeTime: Int64?, duration: Int64, isKey: Bool
    ) throws(LibAVError) {
        av_packet_unref(native)
        try checked(av_new_packet(native, Int32(clamping: bytes.count)), "keep a packet")
        if let base = bytes.baseAddress, let data = native.pointee.data { UnsafeMutableRawPointer(data).copyMemory(from: base, byteCount: bytes.count) }
        native.pointee.stream_index = Int32(clamping: streamIndex)
        native.pointee.pts = presentationTime ?? clibav_no_timestamp
        native.pointee.dts = decodeTime ?? clibav_no_timestamp
        native.pointee.duration = max(0, duration)
        if isKey { native.pointee.flags |= AV_PKT_FLAG_KEY }
    }
}

/// CPU time of the calling thread, for budgets of work and not of waiting.
package func threadCPUNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}
