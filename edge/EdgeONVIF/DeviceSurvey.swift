extension ONVIFClient {
    /// Devices that are asked at the same time.
    static let devicesAtATimeMax = 8
    /// For one device and all its profiles.
    static let deviceTimeLimit = Duration.seconds(40)

    /// Asks every device what it is and what it streams; the answers are in the order of `devices`.
    package func survey(_ devices: [DiscoveredDevice]) async throws -> [Result<DeviceDescription, ONVIFError>] {
        try await withThrowingTaskGroup(of: (Int, Result<DeviceDescription, ONVIFError>).self) { tasks in
            var results = [Result<DeviceDescription, ONVIFError>?](repeating: nil, count: devices.count)
            var next = 0
            while next < devices.count || !tasks.isEmpty {
                while next < devices.count, next - results.count(where: { $0 != nil }) < Self.devicesAtATimeMax {
                    let (index, device) = (next, devices[next])
                    tasks.addTask { (index, try await describe(device)) }
                    next += 1
                }
                if let (index, result) = try await tasks.next() { results[index] = result }
            }
            return results.compactMap { $0 }
        }
    }

    private func describe(_ found: DiscoveredDevice) async throws -> Result<DeviceDescription, ONVIFError> {
        let late = ONVIFError(.unreachable, "\(found.url.host) did not answer all questions within \(Self.deviceTimeLimit)")
        do {
            return .success(try await Self.within(Self.deviceTimeLimit, late) { try await device(at: found.url).describe() })
        } catch let error as ONVIFError {
            return .failure(error)
        }
    }
}
