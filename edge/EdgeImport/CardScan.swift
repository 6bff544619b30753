import StorageIO
import RecordingModel
import SystemPackage

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One file of footage on a card.
package struct CardEntry: Sendable, Hashable {
    package var path: FilePath
    /// Relative to what was asked for, at most as long as an entry may hold. Only ever shown and stored.
    package var name: String
    package var bytes: Int64
    package var modifiedUnixMilliseconds: Int64
}

/// What is on a card: a file, or a folder with all below it. Nothing is written, and no symbolic link is followed.
package struct CardScan: Sendable {
    package private(set) var entries: [CardEntry] = []
    /// Files that are no footage: previews, positions, logs, pictures, what is hidden.
    package private(set) var others = 0
    package private(set) var links = 0
    /// Folders that could not be opened, a sentence each.
    package private(set) var problems: [String] = []

    private static let depthLimit = 32
    package static let entryLimit = 100_000
    /// As an entry's text may be long.
    static let nameLimitBytes = 1_000
    /// The low-resolution copies of GoPro and DJI (LRV, LRF) are not among them.
    private static let extensions: Set = ["mp4", "m4v", "mov", "qt", "3gp", "insv", "avi", "divx", "ts", "mts", "m2ts", "mkv", "webm", "mpg", "mpeg", "vob", "dav", "asf", "wmv", "flv"]

    /// - Throws: `CardReadFailure` when there is no such file or folder.
    package init(_ path: FilePath) throws {
        var information = stat()
        guard path.withPlatformString({ stat($0, &information) }) == 0 else {
            throw CardReadFailure(description: "\(path) cannot be read: \(Errno(rawValue: errno))")
        }
        if information.st_mode & S_IFMT == S_IFDIR {
            walk(path, below: [], depth: 0)
        } else if information.st_mode & S_IFMT == S_IFREG {
            // Named by the operator: tried whatever its name is.
            add(path, components: path.lastComponent.map { [$0] } ?? [], information)
        } else {
            throw CardReadFailure(description: "\(path) is neither a file nor a folder")
        }
    }

    private mutating func walk(_ folder: FilePath, below components: [FilePath.Component], depth: Int) {
        guard depth <= Self.depthLimit else { return problems.append("\(folder): folders within folders, more than \(Self.depthLimit) deep") }
        let descriptor = openOnCard(folder, flags: O_DIRECTORY)
        guard descriptor >= 0, let directory = fdopendir(descriptor) else {
            problems.append("\(folder): \(Errno(rawValue: errno))")
            if descriptor >= 0 { close(descriptor) }
            return
        }
        defer { closedir(directory) }
        while let item = readdir(directory) {
            // The bytes as they are: a name need not be UTF-8.
            let component = withUnsafeBytes(of: &item.pointee.d_name) { bytes in
                bytes.withMemoryRebound(to: CChar.self) { $0.baseAddress.flatMap { FilePath.Component(platformString: $0) } }
            }
            guard let component, component.kind == .regular else { continue }
            let path = folder.appending(component)
            var information = stat()
            guard path.withPlatformString({ lstat($0, &information) }) == 0 else {
                problems.append("\(path): \(Errno(rawValue: errno))")
                continue
            }
            let isHidden = component.string.hasPrefix(".")
            switch information.st_mode & S_IFMT {
            case S_IFLNK: links += 1
            case S_IFDIR where !isHidden: walk(path, below: components + [component], depth: depth + 1)
            case S_IFREG where !isHidden && Self.extensions.contains(component.extension?.lowercased() ?? ""):
                add(path, components: components + [component], information)
            case S_IFREG: others += 1
            default: break
            }
        }
    }

    private mutating func add(_ path: FilePath, components: [FilePath.Component], _ information: stat) {
        guard entries.count < Self.entryLimit else {
            if problems.last?.hasPrefix("more than") != true { problems.append("more than \(Self.entryLimit) files: the rest was not looked at; import the card folder by folder") }
            return
        }
        var name = components.map(\.string).joined(separator: "/")
        // The end tells more than the beginning.
        if name.utf8.count > Self.nameLimitBytes { name = "…" + String(decoding: Array(name.utf8).suffix(Self.nameLimitBytes - 30), as: UTF8.self) }
        while name.utf8.count > Self.nameLimitBytes { name.removeFirst() }
        entries.append(
            CardEntry(
                path: path, name: name, bytes: Int64(information.st_size),
                // Some file systems keep any 64 bits.
                modifiedUnixMilliseconds: min(max(Int64(information.st_mtim.tv_sec), 0), Plausibility.magnitudeMax / 1_000) * 1_000
                    + Int64(information.st_mtim.tv_nsec) / 1_000_000))
    }
}

/// Whether one of the two folders is within the other, or they are the same; links and `..` resolved.
package func areNested(_ one: FilePath, _ other: FilePath) -> Bool {
    func real(_ path: FilePath) -> FilePath {
        guard let resolved = path.withPlatformString({ realpath($0, nil) }) else { return path.lexicallyNormalized() }
        defer { free(resolved) }
        return FilePath(platformString: resolved)
    }
    let (first, second) = (real(one), real(other))
    return first.starts(with: second) || second.starts(with: first)
}
