import HTTPTypes
import HubStore
import Hummingbird
import RecordingModel

extension ReviewService {
    private struct ProofRequest: Decodable {
        var segments: [SegmentID]
    }

    func addProofRoutes(to router: some RouterMethods<ReviewContext>) {
        router.post("api/v1/nodes/:node/proof") { [self] request, context in
            let node = try context.node()
            let asked = try await request.json(ProofRequest.self, upTo: ReviewLimits.proofBytes).segments
            guard (1...ReviewLimits.proofSegments).contains(asked.count) else {
                throw Problem(.badRequest, "Ask for 1 to \(ReviewLimits.proofSegments) segments at a time.", field: "segments")
            }
            guard try context.requireSession().role.mayViewFootage else { throw Problem.noFootageRight }
            guard let proof = try await store.proof(node: node, segments: asked) else { throw Problem.notFound }
            for (camera, segments) in Dictionary(grouping: asked, by: \.stream.camera) {
                let sequences = segments.map(\.sequence)
                try await audit(.fetchProof, "\(node)/\(camera) \(sequences.min() ?? 0)-\(sequences.max() ?? 0)", context: context)
            }
            return try Response.json(proof)
        }
    }
}
