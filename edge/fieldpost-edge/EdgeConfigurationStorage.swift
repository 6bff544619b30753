import EdgeJournal
import ServiceSupport

extension EdgeConfiguration {
    /// `storage:`: how full the disk may become, and how long footage stays.
    struct Storage: Sendable, Hashable {
        var limits = StorageLimits()
        /// Whether the data directory must lie on another disk than the system.
        var isMountRequired = false

        static let mebibytesRange = 1...1_000_000_000

        static func read(_ section: StrictMapping) -> Self {
            func bytes(_ key: String) -> Int64? {
                section.optional(key, .integer(mebibytesRange, unit: "MiB")).map { Int64($0) << 20 }
            }
            return Self(
                limits: StorageLimits(
                    reserveBytes: bytes("reserve_mebibytes"), lowBytes: bytes("low_mebibytes"), highBytes: bytes("high_mebibytes"),
                    keepDays: section.optional("keep_days", .integer(1...36_500, unit: "days"))),
                isMountRequired: section.optional("require_mount", .boolean) ?? false)
        }
    }
}

extension EdgeConfiguration {
    /// What the journal keeps to.
    var limits: StorageLimits {
        var limits = storage.limits
        limits.reduceAfterDays = compress.reduceAfterDays
        return limits
    }
}
