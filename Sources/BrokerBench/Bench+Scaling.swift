internal import Foundation

extension Bench {
    /// More stub workers, whose time is chosen so that the most of them need half of what the broker can do, against so many times what
    /// the fewest do.
    func scaling(_ throughput: Throughput) async throws -> [BrokerFigures.Figure] {
        guard let fewest = settings.stubWorkers.min(), let most = settings.stubWorkers.max() else { return [] }
        let service = Int64(Double(most) / (throughput.rate(.memory) / 2) * 1e9)
        var rates: [Int: [Double]] = [:]
        for round in 1...min(3, settings.rounds) {
            for count in settings.stubWorkers {
                let load = Load(
                    pace: .inFlight(4 * count), seconds: max(settings.seconds, 20 * Double(service) / 1e9),
                    warmUp: settings.warmUp)
                let rate = try await measure(.memory, load, workers: count, service: service).outcome.rate
                rates[count, default: []].append(rate)
                say("round \(round)  \(count) stub workers: \(rate.rounded(to: 1)) jobs/s")
            }
        }
        let each = median(rates[fewest] ?? []) / Double(fewest)
        return settings.stubWorkers.map { count in
            let rate = median(rates[count] ?? []), linear = each * Double(count)
            return BrokerFigures.Figure(
                "stub workers \(count)", ours: rate, theirs: linear, unit: "jobs/s", ratio: rate / linear,
                seen: rate / linear, must: count <= 16 ? 0.95 : nil, aim: 0.95,
                note: "against linear; a job takes \((Double(service) / 1e6).rounded(to: 1)) ms")
        }
    }
}
