import RecordingModel

/// What the hub asks of a node: a list of everything that is open, not a command, so that losing an answer, or hearing it
/// twice, costs nothing.
package struct Wants: Hashable, Sendable, Codable {
    /// Footage that people wait for, the most wanted first. It overtakes all other footage.
    package var pulls: [StreamHoldings]
    /// Footage that must not be given up at the node, pinned or under a legal hold.
    package var pins: [StreamHoldings]

    package static let none = Wants(pulls: [], pins: [])

    /// Nil for nothing, which costs nothing in a message.
    package var unlessNone: Wants? { pulls.isEmpty && pins.isEmpty ? nil : self }

    package init(pulls: [StreamHoldings], pins: [StreamHoldings]) {
        self.pulls = pulls
        self.pins = pins
    }
}
