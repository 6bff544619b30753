import FoundationEssentials
import Glibc
import SystemPackage

/// The folder of this program's own files: `$XDG_CONFIG_HOME/fieldpost`, or `~/.config/fieldpost`.
enum ConfigFolder {
    static func path(of name: String) throws -> FilePath {
        func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 } }
        if let folder = variable("XDG_CONFIG_HOME") { return FilePath(folder).appending("fieldpost").appending(name) }
        guard let home = variable("HOME") else { throw Failure("Neither XDG_CONFIG_HOME nor HOME is set, so there is no place for the sign-in.") }
        return FilePath(home).appending(".config").appending("fieldpost").appending(name)
    }

    static func write(_ value: some Encodable, to path: FilePath) throws {
        try FileManager.default.createDirectory(
            atPath: path.removingLastComponent().string, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        let bytes = Array(try encoder.encode(value))
        // The new file has its mode from the start; a token is never readable by others, not for a moment.
        let temporary = FilePath(path.string + ".new")
        unlink(temporary.string)
        let file = try FileDescriptor.open(temporary, .writeOnly, options: [.create, .exclusiveCreate], permissions: [.ownerReadWrite])
        try file.closeAfter { _ = try file.writeAll(bytes) }
        guard rename(temporary.string, path.string) == 0 else { throw Failure("The file \(path) could not be saved: \(Errno(rawValue: errno)).") }
    }
}
