#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Bytes that are written front to back and used again and again: after warm-up it never allocates.
struct ByteArena: ~Copyable {
    private var base: UnsafeMutableRawPointer
    private(set) var capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        base = Self.allocated(nil, capacity)
        self.capacity = capacity
    }

    deinit { free(base) }

    /// `realloc` moves pages instead of bytes, so that a large buffer is never held twice. Where memory has run out the
    /// program ends, as with every allocation of Swift's own.
    private static func allocated(_ base: UnsafeMutableRawPointer?, _ capacity: Int) -> UnsafeMutableRawPointer {
        let base = realloc(base, max(1, capacity))
        precondition(base != nil, "no memory for \(capacity) bytes of packets")
        return base.unsafelyUnwrapped
    }

    /// Forgets what lies behind `count`, or leaves room before what comes next.
    mutating func setCount(_ count: Int) {
        reserve(max(0, count - self.count))
        self.count = count
    }

    mutating func reserve(_ extra: Int) {
        guard count + extra > capacity else { return }
        grow(to: max(count + extra, capacity * 2))
    }

    /// Makes room for `capacity` bytes in all, and for no more.
    mutating func grow(to capacity: Int) {
        guard capacity > self.capacity else { return }
        base = Self.allocated(base, capacity)
        self.capacity = capacity
    }

    /// Forgets everything, and gives memory back beyond `capacity`.
    mutating func clear(keeping capacity: Int) {
        count = 0
        guard capacity < self.capacity else { return }
        base = Self.allocated(base, capacity)
        self.capacity = capacity
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
