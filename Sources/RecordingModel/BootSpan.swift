/// What the log knows of one boot's two clocks: when its boot clock was first and last read, and the wall clock with it.
/// Walls are the best that is known by now: as recorded, or as `clock` entries of that boot correct them.
package struct BootSpan: Hashable, Sendable, Codable {
    package var bootID: String
    package var firstBootMilliseconds: Int64
    package var lastBootMilliseconds: Int64
    package var firstWall: WallEstimate
    package var lastWall: WallEstimate

    package init(bootID: String, firstBootMilliseconds: Int64, lastBootMilliseconds: Int64, firstWall: WallEstimate, lastWall: WallEstimate) {
        self.bootID = bootID
        self.firstBootMilliseconds = firstBootMilliseconds
        self.lastBootMilliseconds = lastBootMilliseconds
        self.firstWall = firstWall
        self.lastWall = lastWall
    }

    /// Whether its time is known from outside the node.
    package var isTrusted: Bool { lastWall.source >= .hub }
}
