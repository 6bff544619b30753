import EdgeCapture
import RecordingModel
import ServiceSupport

/// Where a camera's packets come from. Printing one shows no password: the whole address leaves it only through
/// `connectionURL`.
struct CameraSource: Sendable, Hashable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    enum Scheme: String, Sendable, CaseIterable {
        case rtsp, rtsps, rtmp, rtmps, srt, udp, rtp, http, https, file, test
        var isNetwork: Bool { self != .file && self != .test }
        /// SRT has one passphrase and no user name; who sends datagrams is asked for neither.
        var takesUser: Bool { takesPassword && self != .srt }
        var takesPassword: Bool { isNetwork && self != .udp && self != .rtp }
    }
    static let expectation =
        "a camera's address: rtsp://, rtsps://, rtmp://, rtmps://, http:// or https:// with a host, srt://, udp:// or rtp:// with host and port, file:/path, or test:pattern"

    let scheme: Scheme
    /// From the address or the key `username`, not percent-encoded.
    private(set) var userName: String?
    private(set) var passwordFile: String?
    /// Percent-encoded, as in the address.
    private let encodedUserName: String?
    private let encodedPassword: String?
    /// What follows the user, or the scheme where there is none: `host:port/path?query`.
    private let rest: String

    var hasPassword: Bool { encodedPassword != nil || hasPassphrase }
    private let hasPassphrase: Bool

    /// - Throws: what is wrong with the address, without repeating any of it.
    init(_ text: String) throws(ServiceSupportError) {
        guard !text.isEmpty, text.utf8.count <= 2048 else { throw ServiceSupportError("the address is empty or longer than 2048 bytes") }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
            throw ServiceSupportError("the address has a space, a control character or one outside of ASCII (write it as %XX)")
        }
        guard let colon = text.firstIndex(of: ":"), let scheme = Scheme(rawValue: text[..<colon].lowercased()) else {
            throw ServiceSupportError("the address begins with no scheme known here")
        }
        self.scheme = scheme
        var rest = text[text.index(after: colon)...]
        guard scheme.isNetwork else {
            if scheme == .file, rest.hasPrefix("//") { rest = rest.dropFirst(2) }
            if scheme == .file, !rest.hasPrefix("/") || rest.count < 2 { throw ServiceSupportError("a file address needs an absolute path") }
            (self.rest, encodedUserName, encodedPassword, hasPassphrase) = (String(rest), nil, nil, false)
            return
        }
        guard rest.hasPrefix("//") else { throw ServiceSupportError("the scheme is not followed by //") }
        rest = rest.dropFirst(2)
        let authority = rest.prefix { !"/?#".contains($0) }
        var host = authority
        var user: (name: String, password: String?)?
        if let at = authority.lastIndex(of: "@") {
            let parts = authority[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            user = (String(parts[0]), parts.count > 1 ? String(parts[1]) : nil)
            host = authority[authority.index(after: at)...]
            rest = rest[host.startIndex...]
        }
        try Self.checkHost(host)
        var options: AddressOptions?
        if !scheme.takesUser {
            guard user == nil else { throw ServiceSupportError("\(scheme.rawValue):// takes no user name or password") }
            switch AddressOptions.parse("\(scheme.rawValue)://\(rest)") {
            case .success(let parsed): options = parsed
            case .failure(let problem): throw ServiceSupportError(problem.sentence)
            }
        }
        if let user {
            // Libraries disagree about a bare `@` here; one reading would send the password to a stranger's host.
            guard !user.name.isEmpty, !user.name.contains("@"), user.password?.contains("@") != true,
                let decoded = PercentCoding.decode(user.name), PercentCoding.decode(user.password ?? "") != nil else {
                throw ServiceSupportError("the user name or password in the address is not valid (write @ : / ? # % in them as %XX)")
            }
            userName = decoded
        }
        hasPassphrase = options?.passphrase != nil
        encodedUserName = user?.name
        encodedPassword = user?.password
        self.rest = String(rest)
    }

    private static func checkHost(_ text: Substring) throws(ServiceSupportError) {
        var host = text
        var port: Substring?
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let tail = text[text.index(after: end)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { throw ServiceSupportError("the address has no valid host") }
            port = tail.isEmpty ? nil : tail.dropFirst()
            guard !host.isEmpty, host.allSatisfy({ $0.isHexDigit || ":.%".contains($0) }) else { throw ServiceSupportError("the address has no valid host") }
        } else {
            if let colon = text.firstIndex(of: ":") {
                host = text[..<colon]
                port = text[text.index(after: colon)...]
            }
            guard !host.isEmpty, host.allSatisfy({ $0.isLetter || $0.isNumber || "-._".contains($0) }) else { throw ServiceSupportError("the address has no valid host") }
        }
        if let port { guard let number = Int(port), (1...65_535).contains(number) else { throw ServiceSupportError("the address has no valid port") } }
    }

    func signedIn(as name: String?, passwordFile: String?) -> CameraSource {
        var copy = self
        copy.userName = userName ?? name
        copy.passwordFile = passwordFile
        return copy
    }

    /// A further stream of the same camera: what its own address says of user and password goes before the camera's.
    func signedIn(like name: String?, passwordFile: String?) -> CameraSource {
        guard scheme.takesPassword, !hasPassword, userName == nil else { return self }
        return signedIn(as: scheme.takesUser ? name : nil, passwordFile: passwordFile)
    }

    /// The address with user name and password, for the library that connects; never for a log.
    /// - Parameter readFile: returns the text of the password file; its first line counts.
    /// - Throws: what `readFile` throws, or a sentence when the file holds no password.
    func connectionURL(readFile: (String) throws -> String) throws -> String {
        connectionURL(
            encodedFilePassword: try passwordFile.map { path in
                let password = try readFile(path).split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
                guard !password.isEmpty else { throw ServiceSupportError("\(path) holds no password") }
                return PercentCoding.encode(password)
            })
    }

    /// As `connectionURL`, but for the password that is in a file.
    var connectionURLWithoutFile: String { connectionURL(encodedFilePassword: nil) }

    private func connectionURL(encodedFilePassword password: String?) -> String {
        guard scheme.isNetwork else { return "\(scheme.rawValue):\(rest)" }
        if scheme == .srt, let password { return "srt://\(rest)\(rest.contains("?") ? "&" : "?")passphrase=\(password)" }
        guard let userName else { return "\(scheme.rawValue)://\(rest)" }
        var credentials = encodedUserName ?? PercentCoding.encode(userName)
        if let password = encodedPassword ?? password { credentials += ":" + password }
        return "\(scheme.rawValue)://\(credentials)@\(rest)"
    }

    /// The address without user name, password and query (cameras take passwords there too).
    var description: String {
        guard scheme.isNetwork else { return "\(scheme.rawValue):\(rest)" }
        let bare = rest.prefix { $0 != "?" && $0 != "#" }
        return "\(scheme.rawValue)://\(userName == nil ? "" : "\(Redaction.mark)@")\(Redaction.scrub(String(bare)))\(bare.count < rest.count ? "?\(Redaction.mark)" : "")"
    }
    var debugDescription: String { description }
    // Without it `dump` and string interpolation of an enclosing value would show the stored password.
    var customMirror: Mirror { Mirror(self, children: ["address": description]) }
}
