import Crypto
import FoundationEssentials
import RecordingModel

/// A camera's user. Prints no password.
package struct ONVIFCredentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package let userName: String
    let password: String

    package init(userName: String, password: String) {
        self.userName = userName
        self.password = password
    }

    package var description: String { "user \(userName)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["userName": userName]) }

    /// Whether a device's text gives the password away, as it is or percent-encoded.
    package func isPasswordIn(_ text: String) -> Bool {
        guard !password.isEmpty else { return false }
        let encoded = password.utf8.map { byte in
            let scalar = Unicode.Scalar(byte)
            return byte < 0x80 && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil || "-._~".unicodeScalars.contains(scalar))
                ? String(scalar) : "%" + Hex.encode([byte])
        }.joined()
        return text.contains(password) || text.lowercased().contains(encoded.lowercased())
    }

    /// The content of `wsse:Security`: a WS-UsernameToken with PasswordDigest = Base64(SHA-1(nonce + created + password))
    /// (OASIS Web Services Security UsernameToken Profile 1.0, section 3.1), as the ONVIF Core Specification asks for. SHA-1 is
    /// the cameras' choice; nothing here relies on it but their door.
    /// - Parameters:
    ///   - nonce: 16 random bytes, new for every request.
    ///   - createdUnixMilliseconds: by the camera's clock: it refuses what looks old.
    func usernameToken(nonce: [UInt8], createdUnixMilliseconds: Int64) -> String {
        let created = ONVIFTime.text(unixMilliseconds: createdUnixMilliseconds)
        return "<w:UsernameToken><w:Username>\(XMLText.escaped(userName))</w:Username>"
            + "<w:Password Type=\"\(Namespace.passwordDigest)\">\(passwordDigest(nonce: nonce, created: created))</w:Password>"
            + "<w:Nonce EncodingType=\"\(Namespace.base64Binary)\">\(Data(nonce).base64EncodedString())</w:Nonce>"
            + "<u:Created xmlns:u=\"\(Namespace.securityUtility)\">\(created)</u:Created></w:UsernameToken>"
    }

    func passwordDigest(nonce: [UInt8], created: String) -> String {
        Data(Insecure.SHA1.hash(data: nonce + Array(created.utf8) + Array(password.utf8))).base64EncodedString()
    }
}

/// HTTP Digest (RFC 7616, and RFC 2617 for challenges without `qop`) for devices that want it instead of the token.
struct DigestChallenge: Sendable, Hashable {
    enum Algorithm: String, Sendable { case md5 = "MD5", sha256 = "SHA-256" }
    var realm: String
    var nonce: String
    var opaque: String?
    var algorithm: Algorithm
    var hasQualityOfProtection: Bool

    /// The strongest challenge of a `WWW-Authenticate` header list that can be answered; nil when there is none. `Basic` is
    /// never answered: it would hand the password to whoever asks.
    static func best(of headers: [String]) -> DigestChallenge? {
        let challenges = headers.prefix(8).compactMap(DigestChallenge.init)
        return challenges.first { $0.algorithm == .sha256 } ?? challenges.first
    }

    init?(_ header: String) {
        guard header.utf8.count <= 2048, header.lowercased().hasPrefix("digest ") else { return nil }
        let values = Self.parameters(header.dropFirst("digest ".count))
        guard let realm = values["realm"], let nonce = values["nonce"],
            let algorithm = Algorithm(rawValue: (values["algorithm"] ?? "MD5").uppercased()) else { return nil }
        (self.realm, self.nonce, self.algorithm, opaque) = (realm, nonce, algorithm, values["opaque"])
        let qualities = values["qop"]?.split(separator: ",").map { $0.filter { $0 != " " }.lowercased() }
        hasQualityOfProtection = qualities?.contains("auth") == true
        // Only `auth-int` is offered: the body would have to be hashed too; no camera asks for it.
        if let qualities, !qualities.contains("auth") { return nil }
    }

    /// `name=value, name="value"`, names in lower case.
    private static func parameters(_ text: Substring) -> [String: String] {
        var result: [String: String] = [:]
        var rest = text
        while let sign = rest.firstIndex(of: "=") {
            let name = rest[..<sign].filter { $0 != " " && $0 != "," }.lowercased()
            rest = rest[rest.index(after: sign)...]
            var value: Substring
            if rest.hasPrefix("\"") {
                rest = rest.dropFirst()
                value = rest.prefix { $0 != "\"" }
                rest = rest[value.endIndex...].dropFirst()
            } else {
                value = rest.prefix { $0 != "," && $0 != " " }
                rest = rest[value.endIndex...]
            }
            result[name] = String(value)
        }
        return result
    }

    /// The value of the `Authorization` header for one request.
    /// - Parameter clientNonce: random, new for every request.
    func authorization(_ credentials: ONVIFCredentials, method: String = "POST", path: String, clientNonce: String) -> String {
        let first = hash("\(credentials.userName):\(realm):\(credentials.password)")
        let second = hash("\(method):\(path)")
        let count = "00000001"
        let response = hasQualityOfProtection ? hash("\(first):\(nonce):\(count):\(clientNonce):auth:\(second)") : hash("\(first):\(nonce):\(second)")
        // A quote cannot stand in the realm or nonce: their value ended at it.
        var value = "Digest username=\"\(credentials.userName.filter { $0 != "\"" && $0 != "\\" })\", realm=\"\(realm)\", nonce=\"\(nonce)\", uri=\"\(path)\", algorithm=\(algorithm.rawValue), response=\"\(response)\""
        if let opaque { value += ", opaque=\"\(opaque)\"" }
        if hasQualityOfProtection { value += ", qop=auth, nc=\(count), cnonce=\"\(clientNonce)\"" }
        return value
    }

    private func hash(_ text: String) -> String {
        switch algorithm {
        case .md5: Hex.encode(Insecure.MD5.hash(data: Array(text.utf8)))
        case .sha256: Hex.encode(SHA256.hash(data: Array(text.utf8)))
        }
    }
}
