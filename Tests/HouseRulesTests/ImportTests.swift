import Foundation
import Testing

@Suite struct ImportTests {
    @Test func everyTargetImportsOnlyWhatTheTableAllows() throws {
        for file in try Repository().sources {
            guard let allowed = importTable[file.target] else {
                Issue.record("\(file.path): target \(file.target) is not in the import table")
                continue
            }
            #expect(allowed.folder == file.folder, "\(file.path) belongs in \(allowed.folder)/")
            for (number, module) in file.imports where !allowed.modules.contains(module) && !systemModules.contains(module) {
                if module == "Foundation" && mayImportFoundation[file.target] != nil { continue }
                Issue.record("\(file.path):\(number): \(file.target) may not import \(module)")
            }
        }
    }

    @Test func edgeAndHubNeverMeet() {
        let edge = Set(importTable.filter { $0.value.folder == "edge" }.keys)
        let hub = Set(importTable.filter { $0.value.folder == "hub" }.keys)
        for (name, allowed) in importTable {
            if allowed.folder != "edge" { #expect(allowed.modules.isDisjoint(with: edge), "\(name) reaches into the node") }
            if allowed.folder != "hub" { #expect(allowed.modules.isDisjoint(with: hub), "\(name) reaches into the hub") }
        }
    }

    @Test func theTableHasNoTargetThatIsNotThere() throws {
        let paths = try Repository().paths
        for (name, allowed) in importTable {
            #expect(paths.contains { $0.hasPrefix("\(allowed.folder)/\(name)/") }, "\(allowed.folder)/\(name) is empty or missing")
        }
    }

    @Test func theManifestDependsOnNothingThatTheTableForbids() throws {
        let declared = try Manifest().dependencies
        for (name, modules) in declared {
            guard let allowed = importTable[name] else { continue }
            let forbidden = modules.filter { !allowed.modules.contains($0) && !$0.contains("-") && !$0.hasPrefix("fieldpost_") }
            #expect(forbidden.isEmpty, "Package.swift: \(name) may not depend on \(forbidden.sorted())")
        }
        let systemLibraries: Set<String> = ["CLibAV", "CZstd", "CXML2", "CTimex", "CSyncFS", "CCRC32C", "CConfine"]
        let missing = Set(importTable.keys).subtracting(systemLibraries).subtracting(declared.keys)
        #expect(missing.isEmpty, "declared in another way than by library() and tool(): \(missing)")
    }

    /// SwiftPM lets a target import what another one happened to build; then a clean clone may fail where this folder does not.
    @Test func whatATargetImportsItDeclares() throws {
        let declared = try Manifest().dependencies
        let fromTheToolchain = systemModules.union(["Foundation", "Testing", "FoundationNetworking"])
        for file in try Repository().sources + Repository().tests {
            guard let modules = declared[file.target] else { continue }
            for (number, module) in file.imports where !fromTheToolchain.contains(module) && !modules.contains(module) {
                Issue.record("\(file.path):\(number): \(module) is no declared dependency of \(file.target)")
            }
        }
    }
}
