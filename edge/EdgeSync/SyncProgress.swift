/// Counters of sync since the process began.
package struct SyncProgress: Hashable, Sendable, Codable {
    package var contacts = 0
    package var isConnected = false
    package var segmentsSent = 0
    package var bytesSent: Int64 = 0
    package var duplicateBytes: Int64 = 0
    package var lastStatementLogSize: UInt64?
    package var lastError: String?
    /// Segments that the hub refused for good, with its reason.
    package var setAside: [String] = []
    /// The link of the contact under way, or of the last one.
    package var link: String?
    /// Why less is sent than there is, or nothing; one sentence.
    package var linkReason: String?
    /// What has crossed each link.
    package var linkUsage: [String: UplinkUsage] = [:]
    /// What the kernel uses on the connection; `bbr` is asked for.
    package var congestionControl: String?
    /// What the link was found to carry; 0 until it is known.
    package var linkBytesPerSecond: Int64 = 0
    package init() {}
}
