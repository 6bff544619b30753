import FoundationEssentials
import SystemPackage

/// What `fieldpost login` leaves behind: where the hub is, the hash of its key, and a token. Mode 0600.
struct Credentials: Codable, Equatable {
    var url: String
    var user: String
    var token: String
    /// SHA-256 over the hub certificate's SubjectPublicKeyInfo, in hex.
    var pin: String

    static func path() throws -> FilePath { try ConfigFolder.path(of: "hub.json") }

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

    func save() throws { try ConfigFolder.write(self, to: Self.path()) }
}
