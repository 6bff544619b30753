import NodeIdentity
import RecordingModel
import Testing

@Suite struct NodeIdentityTests {
    @Test("A key is known by the same hash from its certificate, its file and itself")
    func pins() throws {
        let identity = try IdentityKey(commonName: "node")
        #expect(try KeyPin.hash(ofCertificatePEM: identity.certificatePEM) == identity.keyHash)
        let loaded = try IdentityKey(privateKeyPEM: identity.privateKeyPEM, certificatePEM: identity.certificatePEM)
        #expect(loaded.keyHash == identity.keyHash)
        #expect(try IdentityKey(commonName: "node").keyHash != identity.keyHash)
    }

    @Test("A key beside another's certificate is refused")
    func mismatch() throws {
        let (one, other) = (try IdentityKey(commonName: "one"), try IdentityKey(commonName: "other"))
        #expect(throws: IdentityError.self) { try IdentityKey(privateKeyPEM: one.privateKeyPEM, certificatePEM: other.certificatePEM) }
    }

    @Test("A join token is one line that comes back whole")
    func token() throws {
        let token = JoinToken(
            host: "hub.example.org", port: 7443, hubKeyHash: .zero, secret: String(repeating: "ab", count: 16), expiresUnixSeconds: 1_800_000_000)
        let line = try token.line
        let hasSpace = line.contains { $0.isWhitespace }
        #expect(!hasSpace)
        #expect(JoinToken(line: line) == token)
    }

    @Test("A token with a character missing or another one is no token or another token")
    func damagedTokens() throws {
        let token = JoinToken(host: "h", port: 1, hubKeyHash: .zero, secret: String(repeating: "0", count: 32), expiresUnixSeconds: 1)
        let line = try token.line
        for index in line.indices {
            var shorter = line
            shorter.remove(at: index)
            #expect(JoinToken(line: shorter) != token)
        }
        for bad in ["", "fieldpost-join-1.", "fieldpost-join-1.e30", "fieldpost-join-2.\(line.dropFirst(17))", line + "\n"] { #expect(JoinToken(line: bad) == nil) }
    }
}
