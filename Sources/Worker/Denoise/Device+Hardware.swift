internal import Observability
package import Torch

extension Device {
    /// What its maker calls it: passes that were measured on one are measured anew on another.
    package var name: String {
        switch self {
        case .cpu: Processor.current.name
        case .cuda(let index): Device.cudaName(index)
        }
    }
}
