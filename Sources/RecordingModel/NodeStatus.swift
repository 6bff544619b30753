/// What a node says of itself in every hello.
package struct NodeStatus: Hashable, Sendable, Codable {
    package struct Disk: Hashable, Sendable, Codable {
        package var totalBytes: Int64
        package var availableBytes: Int64
        /// Why nothing may be recorded, or what else is wrong with the disk; absent while all is well.
        package var problem: String?
        package init(totalBytes: Int64, availableBytes: Int64, problem: String? = nil) {
            self.totalBytes = totalBytes
            self.availableBytes = availableBytes
            self.problem = problem
        }
    }
    package var software: String
    /// The site's name as its crew wrote it; for people only.
    package var site: String?
    package var bootID: String
    package var uptimeMilliseconds: Int64
    package var clock: WallEstimate
    package var disk: Disk?
    package var cameras: [CameraHealth]
    /// When the node means to call again; nil when it stays in contact.
    package var nextContactUnixMilliseconds: Int64?
    /// Not with every hello; the hub remembers the last.
    package var sync: SyncReport?
    /// Nil for a node that does not live on a battery.
    package var power: PowerReport?

    package init(software: String, site: String? = nil, bootID: String, uptimeMilliseconds: Int64, clock: WallEstimate, disk: Disk?, cameras: [CameraHealth], nextContactUnixMilliseconds: Int64? = nil, sync: SyncReport? = nil, power: PowerReport? = nil) {
        self.software = software
        self.site = site
        self.bootID = bootID
        self.uptimeMilliseconds = uptimeMilliseconds
        self.clock = clock
        self.disk = disk
        self.cameras = cameras
        self.nextContactUnixMilliseconds = nextContactUnixMilliseconds
        self.sync = sync
        self.power = power
    }
}

/// How much of a class of footage is still only on the node.
package struct Backlog: Hashable, Sendable, Codable {
    package var segments: Int
    package var bytes: Int64
    package var durationMilliseconds: Int64
    package init(segments: Int = 0, bytes: Int64 = 0, durationMilliseconds: Int64 = 0) {
        self.segments = segments
        self.bytes = bytes
        self.durationMilliseconds = durationMilliseconds
    }
}
