import CLibAV

/// `ftyp` and `moov` of a fragmented MP4 file, made by FFmpeg's muxer from codec parameters. The fragments are ours.
package struct InitSegment: Sendable, Hashable {
    package static let videoTimescale: Int32 = 90_000

    package struct Track: Sendable, Hashable {
        /// As in `tkhd` and `tfhd`.
        package var trackID: UInt32
        package var timescale: Int32

        package init(trackID: UInt32, timescale: Int32) {
            self.trackID = trackID
            self.timescale = timescale
        }
    }

    package var bytes: [UInt8]
    /// In the order of the streams given.
    package var tracks: [Track]
    /// RFC 6381 codecs parameter, such as `avc1.42c01e,mp4a.40.2`.
    package var codecs: String

    package init(streams: [CodecParameters]) throws(LibAVError) {
        _ = LibraryLog.silenced
        var output: UnsafeMutablePointer<AVFormatContext>?
        try checked(avformat_alloc_output_context2(&output, nil, "mp4", nil), "make an MP4 header")
        guard let output else { throw LibAVError(code: clibav_error_muxer_not_found, operation: "make an MP4 header") }
        defer { avformat_free_context(output) }
        // The same streams give the same bytes, whatever the time and the version.
        output.pointee.flags |= AVFMT_FLAG_BITEXACT

        var timescales: [Int32] = []
        for parameters in streams {
            guard let stream = avformat_new_stream(output, nil) else {
                throw LibAVError(code: LibAVError.outOfMemory, operation: "make an MP4 header")
            }
            try checked(avcodec_parameters_copy(stream.pointee.codecpar, parameters.native), "make an MP4 header")
            // hvc1, because Apple's players refuse hev1; parameter sets within samples stay where they are and do no harm.
            stream.pointee.codecpar.pointee.codec_tag = parameters.codec == .h265 ? fourCharacterCode("hvc1") : 0
            let timescale = parameters.kind == .video ? Self.videoTimescale : Int32(clamping: parameters.sampleRateHertz)
            stream.pointee.time_base = AVRational(num: 1, den: timescale)
            timescales.append(timescale)
        }
        bytes = try Self.header(of: output)
        // What the muxer made of the timescales is the truth for the fragments.
        tracks = output.pointee.streams.map { pointer in
            (0..<streams.count).map { index in
                Track(trackID: UInt32(index + 1), timescale: pointer[index]?.pointee.time_base.den ?? timescales[index])
            }
        } ?? []
        codecs = CodecString.all(inInit: bytes, streams: streams)
    }

    private static func header(of output: UnsafeMutablePointer<AVFormatContext>) throws(LibAVError) -> [UInt8] {
        try checked(avio_open_dyn_buf(&output.pointee.pb), "make an MP4 header")
        var options: OpaquePointer?
        defer { av_dict_free(&options) }
        av_dict_set(&options, "movflags", "+frag_custom+empty_moov+default_base_moof+skip_trailer", 0)
        av_dict_set(&options, "video_track_timescale", "\(videoTimescale)", 0)
        av_dict_set(&options, "use_editlist", "0", 0)
        let code = avformat_write_header(output, &options)
        var buffer: UnsafeMutablePointer<UInt8>?
        let count = avio_close_dyn_buf(output.pointee.pb, &buffer)
        output.pointee.pb = nil
        defer { av_free(buffer) }
        try checked(code, "make an MP4 header")
        guard let buffer, count > 0 else { throw LibAVError(code: clibav_error_invalid_data, operation: "make an MP4 header") }
        return Array(UnsafeBufferPointer(start: buffer, count: Int(count)))
    }
}

private func fourCharacterCode(_ text: StaticString) -> UInt32 {
    text.withUTF8Buffer { $0.reversed().reduce(0) { $0 << 8 | UInt32($1) } }
}
