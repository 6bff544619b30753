/// Sound that the recorder itself encoded, because MP4 has no place for it as the camera sent it. What came is not kept: there
/// is nothing that a hash of it could be compared with.
package struct EncodedSound: Hashable, Sendable, Codable {
    /// As in `MadeRecord`.
    package var encoder: String
    package var settings: String
    /// What it was: `G.711 A-law, 8000 Hz`.
    package var source: String

    package init(encoder: String, settings: String, source: String) {
        self.encoder = encoder
        self.settings = settings
        self.source = source
    }

    package var isPlausible: Bool { [encoder, settings, source].allSatisfy(Plausibility.isText) }
}

/// How a segment came about that is no camera's own: what it was made of, and by what. Part of its entry, so that nobody
/// takes a proxy for evidence; the source's own entry stays, with its hash.
package struct MadeRecord: Hashable, Sendable, Codable {
    package enum Kind: String, Sendable, OpenWord {
        /// JPEG pictures of decoded key frames.
        case thumbnails
        /// Decoded and encoded anew.
        case transcoded
        /// The source's key frames as they are, each shown until the next.
        case keyFrames = "key-frames"
        /// A word of a later version.
        case unrecognised
    }
    package var kind: Kind
    /// Name and version of what encoded it: `libx264, libavcodec 59.37.100`.
    package var encoder: String
    /// Its settings, as one line of text.
    package var settings: String
    /// Segments of one of the camera's streams that it was made of.
    package var sources: SequenceRanges
    /// Which stream; nil for `main`.
    package var sourceKind: StreamKind?
    /// Of one source the SHA-256 of its stored bytes, as its entry has it; of several the RFC 6962 tree head over these hashes.
    package var sourceSHA256: ContentHash
    /// Of one source, where every picture went through the encoder: the SHA-256 over the data of its video packets, one
    /// after another in the order of the file and nothing between them. `ffmpeg -i SEGMENT -map 0:v:0 -c copy -f hash -hash sha256 -`
    /// prints the same.
    package var sourcePacketsSHA256: ContentHash?

    package init(kind: Kind, encoder: String, settings: String, sources: SequenceRanges, sourceKind: StreamKind? = nil, sourceSHA256: ContentHash, sourcePacketsSHA256: ContentHash? = nil) {
        self.kind = kind
        self.encoder = encoder
        self.settings = settings
        self.sources = sources
        self.sourceKind = sourceKind
        self.sourceSHA256 = sourceSHA256
        self.sourcePacketsSHA256 = sourcePacketsSHA256
    }

    /// An hour has a few hundred segments; missing ones make ranges.
    package static let rangesMax = 64

    package var isPlausible: Bool {
        Plausibility.isText(encoder) && Plausibility.isText(settings) && sources.ranges.count <= Self.rangesMax && sources.last ?? 0 <= Plausibility.sequenceMax
    }
}
