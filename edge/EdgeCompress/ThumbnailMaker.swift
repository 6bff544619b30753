import LibAV

/// In the worker: key frames, small, as JPEG.
struct ThumbnailMaker {
    /// A picture is made smaller in such steps when the worst quality is still too large.
    private static let shrinkFactor = 0.75
    /// Less tells nothing.
    private static let sideMin = 48

    private let job: ThumbnailJob
    init(_ job: ThumbnailJob) { self.job = job }

    func run(_ channel: WorkerChannel) throws -> WorkerFigures {
        var figures = WorkerFigures(pictures: 0, damaged: 0, cpuMilliseconds: 0)
        var dues = job.dueTicks90k[...]
        let source = try JobSource(job.sourceBytes, channel)
        var decoder = try PictureDecoder(source.video.parameters, timeBase: source.video.timeBase, keyFramesOnly: true, threads: 1)
        let packet = try Packet()
        let picture = try DecodedPicture()
        var scaler = PictureScaler(.area, isFullRange: true)
        reading: while !dues.isEmpty {
            switch Result(catching: { () throws(LibAVError) in try source.read(into: packet) }) {
            case .success(.done): break
            case .success: break reading
            case .failure:
                figures.damaged += 1
                if figures.damaged > 100 { break reading }
                continue
            }
            guard packet.isKey, packet.streamIndex == source.video.index, let due = dues.first,
                let ticks = source.ticks90k(packet.presentationTime ?? packet.decodeTime), ticks >= due
            else { continue }
            do throws(LibAVError) {
                // Each by itself: a decoder that waits for more pictures gives this one now.
                decoder.restart()
                _ = try decoder.send(packet)
                try decoder.finish()
                guard try decoder.receive(into: picture) == .done, !picture.isDamaged, let image = try encode(picture, &scaler) else {
                    figures.damaged += 1
                    continue
                }
                figures.pictures += 1
                dues = dues.drop { $0 <= ticks }
                let answer = WorkerAnswer.image(
                    ThumbnailImage(ticks90k: ticks, widthPixels: image.width, heightPixels: image.height, jpeg: image.bytes))
                do { try channel.send(answer.message) } catch { throw LibAVError(code: LibAVError.timedOut, operation: "answer the node") }
            } catch {
                figures.damaged += 1
            }
        }
        return figures
    }

    /// The best quality that fits, at the largest size at which one does. Nil when none does.
    private func encode(_ source: borrowing DecodedPicture, _ scaler: inout PictureScaler) throws(LibAVError) -> (bytes: [UInt8], width: Int, height: Int)? {
        var side = min(job.sidePixels, max(source.widthPixels, source.heightPixels))
        while side >= min(Self.sideMin, job.sidePixels) {
            let size = PictureSize.fitting(source.widthPixels, source.heightPixels, side: side)
            let picture = try Picture(widthPixels: size.width, heightPixels: size.height)
            try scaler.scale(source, into: picture)
            if let bytes = try search(picture) { return (bytes, size.width, size.height) }
            side = Int(Double(side) * Self.shrinkFactor)
        }
        return nil
    }

    /// By halving: five pictures instead of thirty.
    private func search(_ picture: borrowing Picture) throws(LibAVError) -> [UInt8]? {
        var (low, high) = (JPEGEncoder.qualities.lowerBound, JPEGEncoder.qualities.upperBound)
        var best: [UInt8]?
        while low <= high {
            let quality = best == nil && low == JPEGEncoder.qualities.lowerBound && high == JPEGEncoder.qualities.upperBound ? 8 : (low + high) / 2
            let bytes = try JPEGEncoder.encode(picture, quality: quality)
            if bytes.count <= job.bytesMax {
                best = bytes
                high = quality - 1
            } else {
                low = quality + 1
            }
        }
        return best
    }
}

enum PictureSize {
    /// The source's shape with a longer side of at most `side`, both even as 4:2:0 wants it.
    static func fitting(_ width: Int, _ height: Int, side: Int) -> (width: Int, height: Int) {
        let longer = max(width, height, 1)
        guard longer > side else { return (max(2, width & ~1), max(2, height & ~1)) }
        func scaled(_ length: Int) -> Int { max(2, (length * side + longer / 2) / longer & ~1) }
        return (scaled(width), scaled(height))
    }
}
