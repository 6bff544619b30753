import Crypto
import FoundationEssentials
import RecordingModel
import SwiftASN1
import X509

/// A node's or a hub's lasting key: ECDSA P-256, in a self-signed certificate for TLS. The party is known by the
/// SHA-256 of the key's SubjectPublicKeyInfo and by nothing else: the certificate's dates say nothing, so nothing
/// expires while a node is away for a year or its clock is unset.
package struct IdentityKey: Sendable {
    private let key: P256.Signing.PrivateKey
    package let certificatePEM: String

    /// Makes a new key and its certificate.
    /// - Parameters:
    ///   - commonName: shown by tools; carries no trust
    ///   - alternativeNames: host names under which a browser will find it
    package init(commonName: String, alternativeNames: [String] = ["localhost"]) throws {
        try self.init(key: P256.Signing.PrivateKey(), commonName: commonName, alternativeNames: alternativeNames)
    }

    /// Loads what `privateKeyPEM` and `certificatePEM` gave.
    package init(privateKeyPEM: String, certificatePEM: String) throws {
        key = try P256.Signing.PrivateKey(pemRepresentation: privateKeyPEM)
        self.certificatePEM = certificatePEM
        guard try KeyPin.hash(ofCertificatePEM: certificatePEM) == keyHash else { throw IdentityError.keyDoesNotMatchCertificate }
    }

    private init(key: P256.Signing.PrivateKey, commonName: String, alternativeNames: [String]) throws {
        self.key = key
        let signer = Certificate.PrivateKey(key)
        let name = try DistinguishedName { CommonName(commonName) }
        // 2000-01-01 to 9999-12-31 (RFC 5280, section 4.1.2.5, "no well-defined expiration").
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: signer.publicKey,
            notValidBefore: Date(timeIntervalSince1970: 946_684_800), notValidAfter: Date(timeIntervalSince1970: 253_402_300_799),
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                SubjectAlternativeNames(alternativeNames.map { .dnsName($0) })
            },
            issuerPrivateKey: signer)
        certificatePEM = try certificate.serializeAsPEM().pemString
    }

    package var privateKeyPEM: String { key.pemRepresentation }
    /// SubjectPublicKeyInfo in DER.
    package var publicKeyDER: [UInt8] { Array(key.publicKey.derRepresentation) }
    package var keyHash: ContentHash { KeyPin.hash(ofPublicKeyDER: publicKeyDER) }
    package var nodeID: NodeID { NodeID(keyHash: keyHash) }
    package var hubID: HubID { HubID(keyHash: keyHash) }

    /// ECDSA with SHA-256, in DER.
    package func sign(_ message: [UInt8]) throws -> [UInt8] {
        Array(try key.signature(for: message).derRepresentation)
    }
}

package enum IdentityError: Error, CustomStringConvertible {
    case keyDoesNotMatchCertificate
    case notACertificate

    package var description: String {
        switch self {
        case .keyDoesNotMatchCertificate: "the private key does not belong to the certificate beside it"
        case .notACertificate: "not an X.509 certificate"
        }
    }
}

/// The hash by which a peer is known.
package enum KeyPin {
    package static func hash(ofPublicKeyDER der: some Collection<UInt8>) -> ContentHash {
        // SHA-256 always gives 32 bytes, so the fallback, which matches no key, is never taken.
        ContentHash(Array(SHA256.hash(data: Array(der)))) ?? .zero
    }

    package static func hash(ofCertificateDER der: [UInt8]) throws -> ContentHash {
        try hash(of: Certificate(derEncoded: der))
    }

    package static func hash(ofCertificatePEM pem: String) throws -> ContentHash {
        try hash(of: Certificate(pemEncoded: pem))
    }

    private static func hash(of certificate: Certificate) throws -> ContentHash {
        var serializer = DER.Serializer()
        try serializer.serialize(certificate.publicKey)
        return hash(ofPublicKeyDER: serializer.serializedBytes)
    }
}
