import CLibAV

/// A fraction of a second, or a rate.
package struct Rational: Hashable, Sendable {
    package var numerator: Int32
    package var denominator: Int32

    package init(_ numerator: Int32, _ denominator: Int32) {
        self.numerator = numerator
        self.denominator = denominator
    }

    init(_ rational: AVRational) { self.init(rational.num, rational.den) }
    var native: AVRational { AVRational(num: numerator, den: denominator) }

    /// `ticks` of this time base in `target`'s, rounded to nearest.
    package func rescale(_ ticks: Int64, to target: Rational) -> Int64 { av_rescale_q(ticks, native, target.native) }
}

/// One encoded packet; reused from read to read, so that nothing is allocated here in steady state.
package struct Packet: ~Copyable {
    let native: UnsafeMutablePointer<AVPacket>

    package init() throws(LibAVError) {
        guard let packet = av_packet_alloc() else { throw LibAVError(code: LibAVError.outOfMemory, operation: "allocate a packet") }
        native = packet
    }

    deinit {
        var pointer: UnsafeMutablePointer<AVPacket>? = native
        av_packet_free(&pointer)
    }

    package var streamIndex: Int { Int(native.pointee.stream_index) }
    package var isKey: Bool { native.pointee.flags & AV_PKT_FLAG_KEY != 0 }
    package var byteCount: Int { Int(native.pointee.size) }
    package var presentationTime: Int64? { Self.time(native.pointee.pts) }
    package var decodeTime: Int64? { Self.time(native.pointee.dts) }
    /// In the stream's time base; nil when unknown.
    package var duration: Int64? { native.pointee.duration > 0 ? native.pointee.duration : nil }

    /// Valid until the packet is filled again.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: native.pointee.data, count: byteCount) }

    /// New codec configuration that a demuxer attached; empty when there is none.
    package var newExtradata: UnsafeRawBufferPointer {
        guard native.pointee.side_data_elems > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        var size = 0
        let data = av_packet_get_side_data(native, AV_PKT_DATA_NEW_EXTRADATA, &size)
        return UnsafeRawBufferPointer(start: data, count: data == nil ? 0 : size)
    }

    private static func time(_ value: Int64) -> Int64? { value == clibav_no_timestamp ? nil : value }
}
