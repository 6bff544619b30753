#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Bytes that are written front to back and used again and again: after warm-up it never allocates.
struct ByteArena: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        base = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
        self.capacity = capacity
    }

    deinit { base.deallocate() }

    /// Forgets what lies behind `count`, or leaves room before what comes next.
    mutating func setCount(_ count: Int) {
        reserve(max(0, count - self.count))
        self.count = count
    }

    mutating func reserve(_ extra: Int) {
        guard count + extra > capacity else { return }
        let larger = max(count + extra, capacity * 2)
        let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
        moved.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = moved
        capacity = larger
    }

    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, !bytes.isEmpty else { return }
        reserve(bytes.count)
        (base + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    mutating func append(_ value: UInt32) {
        reserve(4)
        store(value, at: count)
        count += 4
    }

    /// Big-endian, within what is already there.
    func store<Value: FixedWidthInteger>(_ value: Value, at offset: Int) {
        (base + offset).storeBytes(of: value.bigEndian, as: Value.self)
    }

    /// Moves the last `length` bytes to the front and forgets the rest.
    mutating func keepLast(_ length: Int) {
        memmove(base, base + (count - length), length)
        count = length
    }

    subscript(range: Range<Int>) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count)
    }
}
