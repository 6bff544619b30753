import StorageIO

/// How full the node's disk may become. Nil leaves a bound to the disk's size.
package struct StorageLimits: Hashable, Sendable {
    /// Free space that footage never takes: log, index and recovery live on it. Nil: 5 % of the disk and 256 MiB, but
    /// at most a tenth of a small disk.
    package var reserveBytes: Int64?
    /// Below this much free space above the reserve, footage is given up. Nil: 2 % of the disk.
    package var lowBytes: Int64?
    /// Until this much is free above the reserve. Nil: 3 % of the disk.
    package var highBytes: Int64?
    /// Footage older than this goes, forwarded or not; nil keeps it for as long as there is space.
    package var keepDays: Int?
    /// Footage without an event that is older than this and that the hub lacks goes where a smaller copy of it is on the disk; nil keeps both.
    package var reduceAfterDays: Int?

    package init(reserveBytes: Int64? = nil, lowBytes: Int64? = nil, highBytes: Int64? = nil, keepDays: Int? = nil, reduceAfterDays: Int? = nil) {
        self.reserveBytes = reserveBytes
        self.lowBytes = lowBytes
        self.highBytes = highBytes
        self.keepDays = keepDays
        self.reduceAfterDays = reduceAfterDays
    }

    /// The marks on a disk of this size, all as free bytes: reserve < low ≤ high.
    package func marks(totalBytes: Int64) -> Marks {
        let reserve = min(reserveBytes ?? totalBytes / 20 + (256 << 20), totalBytes / (reserveBytes == nil ? 10 : 2))
        let low = reserve + max(1, min(lowBytes ?? totalBytes / 50, totalBytes / 4))
        return Marks(reserveBytes: reserve, lowBytes: low, highBytes: max(low, reserve + min(highBytes ?? totalBytes / 100 * 3, totalBytes / 4)))
    }

    package struct Marks: Hashable, Sendable {
        package var reserveBytes: Int64
        package var lowBytes: Int64
        package var highBytes: Int64

        /// Bytes of footage to give up; 0 while more than the low mark is free.
        package func bytesToFree(availableBytes: Int64) -> Int64 { availableBytes >= lowBytes ? 0 : highBytes - availableBytes }
        package func isFull(availableBytes: Int64) -> Bool { availableBytes < reserveBytes }
    }
}

/// What the node's disk allows, for status pages.
package struct DiskState: Hashable, Sendable {
    package var space: DiskSpace?
    /// Why nothing may be recorded, or what else is wrong, in one sentence; nil while all is well.
    package var problem: String?
    package var mayRecord = true
    package init() {}
}
