import FoundationEssentials
import Glibc
import SystemPackage

/// What `fieldpost login` leaves behind: where the hub is, the hash of its key, and a token. Mode 0600.
struct Credentials: Codable, Equatable {
    var url: String
    var user: String
    var token: String
    /// SHA-256 over the hub certificate's SubjectPublicKeyInfo, in hex.
    var pin: String

    static func path() throws -> FilePath {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }
        if let folder = variable("XDG_CONFIG_HOME") { return FilePath(folder).appending("fieldpost").appending("hub.json") }
        guard let home = variable("HOME") else { throw Failure("Neither XDG_CONFIG_HOME nor HOME is set, so there is no place for the sign-in.") }
        return FilePath(home).appending(".config").appending("fieldpost").appending("hub.json")
    }

    static func load() throws -> Credentials {
        let path = try path()
        guard let bytes = try? Data(contentsOf: URL(filePath: path.string)) else {
            throw Failure("There is no sign-in yet. Run: fieldpost login https://HUB:PORT --user NAME")
        }
        guard let credentials = try? JSONDecoder().decode(Credentials.self, from: bytes) else {
            throw Failure("The file \(path) is damaged. Delete it and run fieldpost login again.")
        }
        return credentials
    }

    func save() throws {
        let path = try Self.path()
        try FileManager.default.createDirectory(
            atPath: path.removingLastComponent().string, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let bytes = Array(try encoder.encode(self))
        // The new file has its mode from the start; a token is never readable by others, not for a moment.
        let temporary = FilePath(path.string + ".new")
        unlink(temporary.string)
        let file = try FileDescriptor.open(temporary, .writeOnly, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        try file.closeAfter { _ = try file.writeAll(bytes) }
        guard rename(temporary.string, path.string) == 0 else { throw Failure("The sign-in could not be saved to \(path): \(Errno(rawValue: errno)).") }
    }
}
