import EdgePower
import FoundationEssentials
import Logging
import RecordingModel
import StorageIO
import SystemPackage

/// What is known of energy and must be known again after a restart, in `power.json` of the data directory.
struct PowerKept: Codable, Sendable {
    private static let bytesMax = 1 << 20

    var policy: PowerMemory
    /// Nil where no energy is counted.
    var counted: EnergyCount?
    /// When it was written, by both clocks.
    var bootID: String
    var bootMilliseconds: Int64
    var wall: WallEstimate

    private static func path(_ folder: NodeFolder) -> FilePath { folder.root.appending("power.json") }

    /// Nil at the first start, and when it cannot be read, which is said.
    static func read(_ folder: NodeFolder, _ logger: Logger) -> PowerKept? {
        do {
            guard try folder.storage.size(path(folder)) != nil else { return nil }
            return try JSONDecoder().decode(PowerKept.self, from: Data(folder.storage.read(path(folder), limitBytes: bytesMax)))
        } catch {
            logger.error("what was learned of energy cannot be read; it begins anew", metadata: ["file": "\(path(folder))", "error": "\(error)"])
            return nil
        }
    }

    func write(_ folder: NodeFolder) throws { try folder.storage.replace(Self.path(folder), with: Array(json(self).utf8)) }

    /// When it was written by the boot clock of now, which may be before this boot; nil where no clock tells.
    func writtenBootMilliseconds(_ now: Moment, bootID present: String) -> Int64? {
        if bootID == present { return bootMilliseconds }
        guard wall.source > .none, now.wall.source > .none else { return nil }
        return now.bootMilliseconds - max(0, now.wall.unixMilliseconds - wall.unixMilliseconds)
    }
}
