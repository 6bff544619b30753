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

    /// Beyond this, either way, a time says nothing; within it a few can be added without a thought of overflow.
    static let timeLimit: UInt64 = 1 << 60

    /// `ticks` of this time base in `target`'s, rounded to nearest; nil for what no camera can mean.
    package func rescale(_ ticks: Int64, to target: Rational) -> Int64? {
        guard denominator > 0, numerator > 0, target.denominator > 0, target.numerator > 0 else { return nil }
        // Of an overflow FFmpeg makes the lowest number.
        let result = av_rescale_q(ticks, native, target.native)
        return result.magnitude > Self.timeLimit ? nil : result
    }
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
    package var byteCount: Int { max(0, Int(native.pointee.size)) }
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

    /// Puts `bytes` before the packet's own, with their times where it has none.
    package func prepend(_ bytes: [UInt8], presentationTime: Int64?, decodeTime: Int64?, isKey: Bool) throws(LibAVError) {
        let old = byteCount
        try checked(av_grow_packet(native, Int32(clamping: bytes.count)), "join two packets")
        if let data = native.pointee.data {
            UnsafeMutableRawPointer(data + bytes.count).copyMemory(from: data, byteCount: old)
            bytes.withUnsafeBytes { if let base = $0.baseAddress { UnsafeMutableRawPointer(data).copyMemory(from: base, byteCount: $0.count) } }
        }
        if self.presentationTime == nil { native.pointee.pts = presentationTime ?? clibav_no_timestamp }
        if self.decodeTime == nil { native.pointee.dts = decodeTime ?? clibav_no_timestamp }
        setKey(self.isKey || isKey)
    }

    /// Forgets the first bytes: a header that the file must not have.
    package func removeFirst(_ count: Int) {
        guard count > 0, count <= byteCount, let data = native.pointee.data else { return }
        native.pointee.data = data + count
        native.pointee.size -= Int32(clamping: count)
    }

    /// For what came without a time: both are this one, and how long it lasts is not known.
    package func setTime(_ time: Int64) {
        native.pointee.pts = time
        native.pointee.dts = time
        native.pointee.duration = 0
    }

    /// Fills it with what was not read from an input.
    package func fill(_ bytes: [UInt8], streamIndex: Int32, presentationTime: Int64?, decodeTime: Int64?, isKey: Bool) throws(LibAVError) {
        av_packet_unref(native)
        try prepend(bytes, presentationTime: presentationTime, decodeTime: decodeTime, isKey: isKey)
        native.pointee.stream_index = streamIndex
    }

    private func setKey(_ isKey: Bool) {
        if isKey { native.pointee.flags |= AV_PKT_FLAG_KEY } else { native.pointee.flags &= ~AV_PKT_FLAG_KEY }
    }

    /// What is too large for any clock is no time either, and would overflow where it is added to.
    private static func time(_ value: Int64) -> Int64? {
        value == clibav_no_timestamp || value.magnitude > Rational.timeLimit ? nil : value
    }
}
