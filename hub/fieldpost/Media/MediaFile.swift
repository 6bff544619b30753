import RecordingModel
import SystemPackage

/// A file that boxes are read from: bounded reads at given places.
struct MediaFile {
    let descriptor: FileDescriptor

    static func open(_ path: String) throws -> MediaFile {
        do {
            return MediaFile(descriptor: try .open(FilePath(path), .readOnly))
        } catch {
            throw Failure("The file \(path) cannot be opened: \(error).")
        }
    }

    /// Reading is over; a failure to close loses nothing.
    func close() { try? descriptor.close() }

    func length() throws -> Int64 { try descriptor.seek(offset: 0, from: .end) }

    /// Exactly so many bytes, or an error.
    func read(at offset: Int64, count: Int) throws -> [UInt8] {
        let bytes = try [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            while initialized < count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[initialized..<count])
                let got = try descriptor.read(fromAbsoluteOffset: offset + Int64(initialized), into: rest)
                if got == 0 { break }
                initialized += got
            }
        }
        guard bytes.count == count else { throw MediaFault.truncated }
        return bytes
    }
}
