import EdgeCapture
import EvidenceLog
import LibAV
import RecordingModel
import StorageIO
import SystemPackage

/// Writes what was made as segments of their own: same files, same entries, same recovery as a camera's.
struct ObjectWriter {
    let storage: any StorageIO
    let segmentsRoot: FilePath
    let sink: any RecordingSink

    func directory(of stream: StreamID) throws -> FilePath {
        let directory = segmentsRoot.appending(stream.camera.description).appending(stream.kind.rawValue)
        try storage.makeDirectory(directory)
        return directory
    }

    /// One object of an hour: a fragmented MP4 of the codec MJPEG with one picture in each fragment. A fragment is
    /// `moof` (104 bytes), the 8 bytes that begin `mdat`, and the JPEG as it is: the boxes' own lengths are the index, `tfdt` is
    /// the picture's time since the object's first, in ticks of 90 kHz, and a range of the file is a picture to show.
    /// - Parameter sourceKind: of the stream whose pictures they are.
    func write(_ pack: ThumbnailPack, camera: CameraID, of sourceKind: StreamKind, settings: String, configVersion: String, end: SegmentEnd) throws -> SegmentRecord? {
        guard let first = pack.images.first, let last = pack.images.last, let startWall = pack.startWall else { return nil }
        let stream = StreamID(camera: camera, kind: .thumbs)
        let (width, height) = (pack.images.map(\.widthPixels).max() ?? 0, pack.images.map(\.heightPixels).max() ?? 0)
        let initSegment = try InitSegment(streams: [JPEGEncoder.parameters(widthPixels: width, heightPixels: height)])
        let made = MadeRecord(
            kind: .thumbnails, encoder: "mjpeg, \(LibraryVersion.libavcodec)", settings: settings, sources: Self.ranges(pack.sources.map(\.sequence)),
            sourceKind: sourceKind == .main ? nil : sourceKind, sourceSHA256: pack.sourceSHA256)
        let header = SideHeader(
            run: sink.nextRun(for: stream), bootID: pack.bootID, startBootMilliseconds: first.bootMilliseconds, startWall: startWall,
            initBytes: Int64(initSegment.bytes.count), initSHA256: ContentHash.sha256(initSegment.bytes), codecs: initSegment.codecs, widthPixels: width,
            heightPixels: height, mediaStartTicks90k: 0, configVersion: configVersion, made: made)
        let writer = try SegmentWriter(
            storage: storage, directory: directory(of: stream), sequence: sink.nextSequence(for: stream), header: header, initBytes: initSegment.bytes)
        do {
            let fragments = FragmentWriter()
            fragments.begin(tracks: initSegment.tracks, typicalVideoDuration: 90_000, typicalAudioDuration: 1_024)
            for (index, image) in pack.images.enumerated() {
                func ticks(_ milliseconds: Int64) -> Int64 { (milliseconds - first.bootMilliseconds) * 90 }
                let next = index + 1 < pack.images.count ? pack.images[index + 1].bootMilliseconds : max(pack.endBootMilliseconds, last.bootMilliseconds + 40)
                image.jpeg.withUnsafeBytes { fragments.addVideo($0, isAnnexB: false, isKey: true, at: .init(decodeTime: ticks(image.bootMilliseconds), compositionOffset: 0)) }
                try fragments.flush(nextDecodeTime: ticks(next), isLast: false) { bytes, summary in try writer.append(bytes, summary: summary) }
            }
        } catch {
            writer.discard()
            throw error
        }
        return try finish(writer, stream: stream, endBootMilliseconds: nil, end: end)
    }

    /// Syncs, closes and delivers.
    func finish(_ writer: SegmentWriter, stream: StreamID, endBootMilliseconds: Int64?, end: SegmentEnd) throws -> SegmentRecord? {
        let progress = writer.complete
        guard progress.fragmentCount > 0, let sha256 = progress.sha256 else {
            writer.discard()
            return nil
        }
        do { try writer.sync() } catch {
            writer.discard()
            throw error
        }
        writer.close()
        let header = writer.header
        let record = SegmentRecord(
            stream: stream, sequence: writer.sequence, run: header.run, bootID: header.bootID, startBootMilliseconds: header.startBootMilliseconds,
            endBootMilliseconds: endBootMilliseconds ?? header.startBootMilliseconds + MediaTime.milliseconds(ticks90k: progress.durationTicks), startWall: header.startWall,
            bytes: progress.bytes, sha256: sha256, fragmentRoot: progress.fragments.root, fragmentCount: progress.fragmentCount, initBytes: header.initBytes,
            initSHA256: header.initSHA256, codecs: header.codecs, widthPixels: header.widthPixels, heightPixels: header.heightPixels,
            mediaStartTicks90k: header.mediaStartTicks90k, mediaDurationTicks90k: progress.durationTicks, frames: progress.frames, drops: 0, end: end,
            configVersion: header.configVersion, isKeyFramesOnly: header.isKeyFramesOnly, made: header.made, encodedSound: header.encodedSound)
        try sink.deliver(ClosedSegment(record: record, openPath: writer.openPath.string, sidePath: writer.sidePath.string))
        return record
    }

    /// As many ranges as an entry may have; beyond, the last one spans what lies between.
    private static func ranges(_ sequences: [UInt64]) -> SequenceRanges {
        var ranges = SequenceRanges(sequences)
        if ranges.ranges.count > MadeRecord.rangesMax, let last = ranges.last { ranges.insert(ranges.ranges[MadeRecord.rangesMax - 1].lowerBound...last) }
        return ranges
    }
}
