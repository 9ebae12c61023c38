internal import Chain
internal import Foundation
package import Topology

extension Topology {
    /// Whether every client's limit admits what the topology has it publish. The client itself refuses too; here it is found before
    /// anything is started.
    ///
    /// - Throws: `.run`, naming the client, what its releases would show, and what to change.
    package func checkExposure() throws(LaunchError) {
        do {
            let schedule = try Schedule(run)
            for client in clients where client.tasks.contains(.publish) {
                let limit = try SNRFloor(decibels: client.limitDecibels ?? SNRFloor.usualDecibels)
                var exposure = Exposure()
                // Added one by one, as the ledger does, so that both round alike.
                for _ in 0..<client.epochs { exposure.add(snr: schedule.snr(client.cut)) }
                guard exposure.totalSNR > limit.snr else { continue }
                let share = try SNRFloor(snr: limit.snr / Double(client.epochs)).lowestCut(on: schedule)
                throw LaunchError(
                    .run,
                    "\(client.name) would publish each image \(times(client.epochs)) at cut \(client.cut), which shows "
                        + "\(decibels(exposure.totalSNR)), past its owner's limit of \(decibels(limit.snr)): "
                        + (share.map { "publish at cut \($0) or later, or " } ?? "")
                        + "raise `limit_db` (for one run: --set limit_db=\(ceiling(exposure.totalSNR)))")
            }
        } catch let error as LaunchError {
            throw error
        } catch {
            throw LaunchError(.run, "the topology describes no run: \(error)")
        }
    }

    private func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }
    private func decibels(_ snr: Double) -> String { String(format: "%.1f dB", 10 * log10(snr)) }
    private func ceiling(_ snr: Double) -> String { String(format: "%.1f", (100 * log10(snr)).rounded(.up) / 10) }
}
