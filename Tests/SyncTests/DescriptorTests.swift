import HubIngest
import StorageIO
import SystemPackage
import TestSupport
import Testing

/// What fails after it has opened something closes that once.
@Suite struct DescriptorTests {
    @Test(.timeLimit(.minutes(1))) func aRefusedLockClosesNobodyElsesDescriptor() throws {
        let folder = try TemporaryDirectory("lock")
        let path = FilePath(folder.path("lock"))
        let held = try DirectoryLock(path, heldSentence: "held")
        let lost = descriptorsLost {
            for _ in 0..<20_000 { #expect(throws: DirectoryIsLocked.self) { try DirectoryLock(path, heldSentence: "held") } }
        }
        #expect(lost == 0)
        withExtendedLifetime(held) {}
    }

    @Test(.timeLimit(.minutes(1))) func aHubThatDoesNotListenCostsNobodyElsesDescriptor() throws {
        let folder = try TemporaryDirectory("desk")
        let path = FilePath(folder.path)
        let lost = descriptorsLost {
            for _ in 0..<20_000 { #expect(throws: Errno.self) { try BundleSocket(folder: path) } }
        }
        #expect(lost == 0)
    }
}
