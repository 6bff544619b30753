import Foundation
import Testing

@Suite struct LayoutTests {
    @Test func theTopLevelHoldsOnlyWhatBelongsThere() throws {
        let allowed: Set<String> = ["Package.swift", "Sources", "Tests", "edge", "hub", "deploy", "README.md"]
        let entries = Set(try Repository().paths.map { String($0.split(separator: "/")[0]) }).filter { !$0.hasPrefix(".") }
        #expect(entries == allowed)
    }

    @Test(arguments: ["Sources", "edge", "hub", "deploy", "Tests"])
    func everyFolderHasAMap(folder: String) {
        let readme = try? String(contentsOfFile: "\(Repository.root)/\(folder)/README.md", encoding: .utf8)
        #expect((readme ?? "").split(separator: "\n").count >= 5, "\(folder)/README.md is missing or says nothing")
    }

    @Test func everyMapNamesEveryTargetOfItsFolder() throws {
        for folder in ["Sources", "edge", "hub"] {
            let readme = (try? String(contentsOfFile: "\(Repository.root)/\(folder)/README.md", encoding: .utf8)) ?? ""
            for (name, allowed) in importTable where allowed.folder == folder {
                #expect(readme.contains(name), "\(folder)/README.md says nothing about \(name)")
            }
        }
    }

    @Test func everyScriptSaysWhatItIsFor() throws {
        for path in try Repository().paths where path.hasPrefix("deploy/") || path.hasPrefix(".ci/") {
            let text = (try? String(contentsOfFile: Repository.root + "/" + path, encoding: .utf8)) ?? ""
            guard text.hasPrefix("#!") else { continue }
            let second = text.split(separator: "\n", omittingEmptySubsequences: false).dropFirst().first ?? ""
            #expect(second.hasPrefix("# ") || second.hasPrefix("\"\"\""), "\(path): the second line must say what and why")
            #expect(FileManager.default.isExecutableFile(atPath: Repository.root + "/" + path), "\(path) is not executable")
        }
    }
}
