import Crypto
import EvidenceLog
import Foundation
import NIOCore
import RecordingModel
import TestSupport

@testable import fieldpost

struct Missing: Error {}
func must<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw Missing() }
    return value
}

/// Real footage: what ffmpeg makes of a test pattern and a tone, cut into segments as a node does, and a log over
/// them with a node's identity and a hub's cosignature.
struct Footage {
    var contents: [(record: SegmentRecord, bytes: [UInt8])]
    var bundle: ProofBundle
    static let start: Int64 = 1_795_219_200_000

    /// Two runs, 20 s apart: the first of two segments, the second of one. With `settings` the second run's camera
    /// has another picture size, and so another header.
    init(in folder: String, otherSettings: Bool = false, cosigned: Bool = true) async throws {
        var contents: [(record: SegmentRecord, bytes: [UInt8])] = []
        var sequence: UInt64 = 0
        for run in 0..<2 {
            let path = "\(folder)/run\(run).mp4"
            let size = otherSettings && run == 1 ? "96x64" : "128x72"
            try await runSuccessfully("/usr/bin/ffmpeg", [
                "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=\(size):rate=10", "-f", "lavfi", "-i", "sine=frequency=\(440 + run * 100)", "-t", run == 0 ? "4" : "2",
                "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-bf", "0", "-c:a", "aac", "-b:a", "32k",
                "-movflags", "frag_keyframe+empty_moov+default_base_moof+skip_trailer", "-f", "mp4", "-y", path,
            ])
            let bytes = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
            let file = try MediaFile.open(path)
            defer { file.close() }
            let moof = try must(try Box.list(bytes, 0..<bytes.count).first { $0.type == "moof" })
            let header = Array(bytes[..<moof.start])
            let fragments = try FragmentLayout.scan(file, Int64(moof.start)..<Int64(bytes.count)).map { Array(bytes[Int($0.lowerBound)..<Int($0.upperBound)]) }
            for first in stride(from: 0, to: fragments.count, by: 2) {
                let own = Array(fragments[first..<min(first + 2, fragments.count)])
                let wall = Self.start + Int64(run) * 24_000 + Int64(first) * 1_000
                let content = header + own.flatMap { $0 }
                contents.append((try Self.record(sequence, run: UInt64(run), wall: wall, first: first, header: header, fragments: own, content: content), content))
                sequence += 1
            }
        }
        self.contents = contents
        bundle = try Self.prove(contents.map(\.record), cosigned: cosigned)
    }

    private static func record(_ sequence: UInt64, run: UInt64, wall: Int64, first: Int, header: [UInt8], fragments: [[UInt8]], content: [UInt8]) throws -> SegmentRecord {
        let stream = try must(StreamID("yard/main"))
        let hashes = fragments.map { ContentHash.sha256($0) }
        let length = Int64(fragments.count) * 1_000
        return SegmentRecord(
            stream: stream, sequence: sequence, run: run, bootID: "boot", startBootMilliseconds: wall - start,
            endBootMilliseconds: wall - start + length, startWall: WallEstimate(unixMilliseconds: wall, source: .ntp, uncertaintyMilliseconds: 5),
            bytes: Int64(content.count), sha256: .sha256(content), fragmentRoot: MerkleTree.root(ofLeafData: hashes.map(\.bytes)), fragmentCount: fragments.count,
            initBytes: Int64(header.count), initSHA256: .sha256(header), codecs: "avc1.42c00a,mp4a.40.2", widthPixels: 128, heightPixels: 72,
            mediaStartTicks90k: Int64(first) * 90_000, mediaDurationTicks90k: length * 90, frames: fragments.count * 10, drops: 0, end: .length, configVersion: "c")
    }

    static func prove(_ records: [SegmentRecord], cosigned: Bool) throws -> ProofBundle {
        let log = try must(LogID(String(repeating: "0f", count: 16)))
        let identity = P256.Signing.PrivateKey()
        let node = NodeID(keyHash: .sha256(identity.publicKey.derRepresentation))
        let signer = try must(NoteSigner(name: log.origin, algorithm: .ed25519))
        let hub = try must(NoteSigner(name: "hub.example", algorithm: .cosignature))
        let signature = try identity.signature(for: KeyRecord.attestedBytes(key: signer.verifier.text))
        let key = KeyRecord(
            epoch: 0, key: signer.verifier.text, attestation: .init(identityKey: identity.publicKey.derRepresentation, signature: signature.derRepresentation))
        let moment = Moment(bootNanoseconds: 0, wall: WallEstimate(unixMilliseconds: start, source: .ntp, uncertaintyMilliseconds: 5))
        let lines = try ([.key(key)] + records.map { .segment($0) } as [EntryBody]).map { try LogEntry(bootID: "boot", at: moment, body: $0).encoded() }
        let leaves = lines.map { MerkleTree.leafHash($0) }
        var signed = try SignedCheckpoint(Checkpoint(log: log, size: UInt64(lines.count), root: MerkleTree.root(of: leaves[...])), signer: signer)
        if cosigned { try signed.cosign(with: hub, unixSeconds: UInt64(start / 1_000) + 60) }
        let proven = try lines.indices.map { index in
            ProvenEntry(
                index: UInt64(index), line: String(decoding: lines[index], as: UTF8.self), path: try must(MerkleTree.inclusionProof(of: index, in: leaves[...])),
                checkpoint: 0)
        }
        return ProofBundle(node: node, log: log, hubKey: hub.verifier.text, checkpoints: [signed], keys: [proven[0]], segments: Array(proven.dropFirst()))
    }

    /// What somebody knows who signed in to this footage's hub.
    var known: KnownKeys { KnownKeys(hubs: [hub]) }
    var hub: KnownHub {
        KnownHub(url: "https://hub.example:8443", hub: HubID(keyHash: .sha256([1])), hubKey: bundle.hubKey, nodes: [.init(node: bundle.node, name: "north")])
    }

    /// The same bytes under other records, proven anew.
    mutating func change(_ change: (inout [SegmentRecord]) -> Void) throws {
        var records = contents.map(\.record)
        change(&records)
        contents = zip(records, contents).map { ($0, $1.bytes) }
        bundle = try Self.prove(records, cosigned: true)
    }

    /// Joins the segments as `get` does, with the proof beside the file. A forger may choose which and in what order.
    @discardableResult
    func join(to path: String, order: [Int] = [0, 1, 2], lasting milliseconds: Int64 = 26_000) async throws -> FootageProof {
        var file = try JoinedFile(path: path, initSHA256: contents[0].record.initSHA256)
        for (record, bytes) in order.map({ contents[$0] }) {
            try await file.append(record) { take in
                // Odd pieces, as a network brings them.
                for start in stride(from: 0, to: bytes.count, by: 777) { try take(ByteBuffer(bytes: bytes[start..<min(start + 777, bytes.count)])) }
            }
        }
        let proof = FootageProof(
            nodeName: "north", camera: contents[0].record.stream.camera, fromUnixMilliseconds: Self.start, toUnixMilliseconds: Self.start + milliseconds,
            initBytes: file.initBytes, parts: file.parts, gaps: [], bundle: bundle)
        try proof.write(beside: path)
        try file.finish()
        return proof
    }
}

extension FootageProof {
    func write(beside path: String) throws {
        try JSONEncoder().encode(self).write(to: URL(fileURLWithPath: Self.path(for: path)))
    }
}
