import Zstd

/// The trained dictionaries that a program has, with which small messages are compressed. A hello names them, its answer
/// says which of them both sides have, and only then is one used; every frame says which it needs. So programs with
/// different ones still talk, if need be without any.
package struct SharedDictionaries: Sendable {
    /// Effort of what is compressed with them, as of what is compressed without.
    private static let level = 9
    private let newestFirst: [ZstdDictionary]

    /// - Parameter files: the newest first; what is no dictionary is left out.
    package init(_ files: [[UInt8]]) { newestFirst = files.compactMap { try? ZstdDictionary($0, level: Self.level) } }

    /// What `deploy/train-dictionary` made. A new one is added before the others; one goes when no node is left that has no newer.
    package static let shipped = SharedDictionaries(shippedFiles)
    /// Part of the program: a node has no folder of resources to find them in.
    package static let shippedFiles = [PackageResources.messages_1_zdict]
    /// By id. A file never changes once a program with it is out: what is sent with the one would be garbled by the other.
    package static let shippedHashes: [UInt32: String] = [32_769: "025f110e3aedeeb956caad33c3dff85e7cb02c2f302c6483d04494aaaca1f3e8"]

    package var ids: [UInt32] { newestFirst.map(\.id) }

    package subscript(_ id: UInt32) -> ZstdDictionary? { newestFirst.first { $0.id == id } }

    /// The newest that the other side has too.
    /// - Parameter ids: what it said; nil from a version that knows of none.
    func common(with ids: [UInt32]?) -> ZstdDictionary? { newestFirst.first { ids?.contains($0.id) == true } }

    /// The id of the dictionary that a frame needs, and that is not here.
    func missing(for frame: [UInt8]) -> UInt32? {
        guard let id = try? ZstdDictionary.id(neededBy: frame), self[id] == nil else { return nil }
        return id
    }
}

extension Problem {
    /// The sender goes on without a dictionary.
    static func unknownDictionary(_ id: UInt32) -> Problem {
        Problem(status: 412, title: "The hub does not have the dictionary that this is compressed with.", detail: "It needs dictionary \(id).", field: "dictionary")
    }
}
