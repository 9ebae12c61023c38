import Diffusion
import Foundation
import Safetensors
import Testing
import Torch

struct NetworkInputsTests {
    private let archive: SafetensorsArchive
    private let network: UNet

    init() throws {
        let folder = goldens("unet-text-linear")
        network = try UNet(contentsOf: folder)
        archive = try SafetensorsArchive(contentsOf: folder.appending(path: "golden.safetensors"))
    }

    /// The golden's inputs with some tensor replaced, or left out where nil.
    private func inputs(_ name: String, _ tensor: Tensor?) throws -> SafetensorsArchive {
        var result = SafetensorsArchive()
        for entry in archive.entries where entry.name != name { try result.append(entry) }
        if let tensor { try result.append(tensor.entry(named: name)) }
        return result
    }

    @Test(arguments: ["sample", "timestep", "class_labels", "encoder_hidden_states"])
    func whatIsMissingIsNamed(name: String) throws {
        #expect { try NetworkInputs(inputs(name, nil), for: network) } throws: {
            let error = $0 as? DiffusionError
            return error?.code == .badInput && error?.message.contains("'\(name)'") == true
        }
    }

    @Test func whatDoesNotFitIsNamed() throws {
        let cases: [(String, Tensor)] = [
            ("sample", .zeros([3, 1, 7, 8])), ("sample", .zeros([3, 2, 8, 8])), ("sample", .zeros([1, 8, 8])),
            ("sample", Tensor([1, 2])), ("sample", .full(.nan, [3, 1, 8, 8])), ("sample", .zeros([0, 1, 8, 8])),
            ("timestep", Tensor([1, 2])), ("timestep", .full(.infinity, [3])),
            ("class_labels", Tensor([0, 1])), ("class_labels", Tensor([0, 1, 3])),
            ("class_labels", Tensor([-1, 0, 0])),
            ("class_labels", .zeros([3])),
            ("encoder_hidden_states", .zeros([2, 7, 5])), ("encoder_hidden_states", .zeros([3, 7, 4])),
            ("encoder_hidden_states", .zeros([3, 0, 5])), ("encoder_hidden_states", .full(.nan, [3, 7, 5])),
        ]
        for (name, tensor) in cases {
            #expect("\(name) \(tensor)") { try NetworkInputs(inputs(name, tensor), for: network) } throws: {
                let error = $0 as? DiffusionError
                return error?.code == .badInput && error?.message.contains("'\(name)'") == true
            }
        }
    }

    /// Half precision ends at 65504.
    @Test func anOutputThatIsNoNumberIsRefused() throws {
        let half = try UNet(contentsOf: goldens("unet-text-linear"), dtype: .float16)
        let loud = try inputs("sample", .full(1e5, [3, 1, 8, 8]))
        #expect { try NetworkInputs(loud, for: half).output(of: half) } throws: {
            ($0 as? DiffusionError)?.code == .badInput && "\($0)".contains("float16 has no room")
        }
        #expect(try NetworkInputs(loud, for: network).output(of: network).isFinite)
    }

    /// One timestep and one text for all samples are the same as naming them for each.
    @Test func oneForAll() throws {
        let text = try Tensor(archive.entry("encoder_hidden_states"))[0..<1]
        func output(_ timestep: Tensor, _ text: Tensor) throws -> [Float] {
            var all = try inputs("timestep", timestep)
            let others = all.entries.filter { $0.name != "encoder_hidden_states" }
            all = SafetensorsArchive()
            for entry in others { try all.append(entry) }
            try all.append(text.entry(named: "encoder_hidden_states"))
            return try NetworkInputs(all, for: network).output(of: network).floats
        }
        let each = try output(Tensor([417, 417, 417]), Tensor.concatenated([text, text, text], 0))
        #expect(try output(Tensor([417], shape: []), text) == each)
        #expect(try output(Tensor([417]), text) == each)
        #expect(try output(Tensor([Float(417)]), text) == each)
    }

    /// diffusers takes them too, so they are taken, and said.
    @Test func whatIsOddIsNoted() throws {
        func notes(_ timesteps: Tensor, steps: Int? = 1000) throws -> [String] {
            try NetworkInputs(inputs("timestep", timesteps), for: network, trainedOn: steps).notes
        }
        // The golden holds diffusers' output beside the inputs.
        #expect(try notes(Tensor([0, 417, 999])).map { $0.prefix(15) } == ["tensor 'output'"])
        for odd in [Tensor([0, -1, 2]), Tensor([0, 1, 1000]), Tensor([Float(0), 1.5, 2])] {
            let all = try notes(odd)
            #expect(all.count == 2 && all[1].contains("'timestep'") && all[1].contains("0…999"), "\(all)")
        }
        #expect(try notes(Tensor([0, 1, 1000]), steps: nil).count == 1)
    }

    @Test func whatANetworkHasNoUseForIsRefused() throws {
        let plain = try UNet(contentsOf: goldens("unet-plain"))
        for (name, tensor) in [("class_labels", Tensor([0])), ("encoder_hidden_states", Tensor.zeros([1, 2, 3]))] {
            var archive = SafetensorsArchive()
            try archive.append(Tensor.zeros([1, 1, 8, 8]).entry(named: "sample"))
            try archive.append(Tensor([5]).entry(named: "timestep"))
            _ = try NetworkInputs(archive, for: plain)
            try archive.append(tensor.entry(named: name))
            #expect { try NetworkInputs(archive, for: plain) } throws: {
                ($0 as? DiffusionError)?.message.contains("'\(name)'") == true
            }
        }
        // A table of timesteps has no row for others, and a noise level of 0 no logarithm.
        for (name, timestep) in [
            ("learned", Tensor([1000])), ("learned", Tensor([Float(0.5)])), ("fourier", Tensor([0])),
        ] {
            let folder = goldens("unet-\(name)"), network = try UNet(contentsOf: folder)
            let golden = try SafetensorsArchive(contentsOf: folder.appending(path: "golden.safetensors"))
            var archive = SafetensorsArchive()
            for entry in golden.entries where entry.name != "timestep" { try archive.append(entry) }
            try archive.append(timestep.entry(named: "timestep"))
            #expect { try NetworkInputs(archive, for: network) } throws: {
                ($0 as? DiffusionError)?.message.contains("'timestep'") == true
            }
        }
    }
}
