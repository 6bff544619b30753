import RecordingModel

/// What a policy has learned and must know again after a restart; the node keeps it on its disk.
package struct PowerMemory: Hashable, Sendable, Codable {
    /// Never blind: what is known without readings does not outlive a restart.
    package var state: PowerState
    package var sinceUnixMilliseconds: Int64
    package var reason: String
    package var lastPercent: Double?
    package var darkUntilUnixMilliseconds: Int64?
    /// Measured draw by state.
    package var loadWatts: [String: Double]
    package var harvest: HarvestMemory
    package var signs: PowerSigns

    package init(
        state: PowerState, sinceUnixMilliseconds: Int64, reason: String, lastPercent: Double? = nil, darkUntilUnixMilliseconds: Int64? = nil,
        loadWatts: [String: Double] = [:], harvest: HarvestMemory = HarvestMemory(), signs: PowerSigns = PowerSigns()
    ) {
        self.state = state
        self.sinceUnixMilliseconds = sinceUnixMilliseconds
        self.reason = reason
        self.lastPercent = lastPercent
        self.darkUntilUnixMilliseconds = darkUntilUnixMilliseconds
        self.loadWatts = loadWatts
        self.harvest = harvest
        self.signs = signs
    }
}
