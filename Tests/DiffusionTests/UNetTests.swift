import Chain
import Diffusion
import Foundation
import Safetensors
import Testing
import Torch

struct UNetTests {
    /// diffusers' own output on the same weights. Both run in float32, so they differ by rounding alone.
    @Test(arguments: ["classes", "cifar", "resnet", "plain"])
    func saysWhatDiffusersSays(name: String) throws {
        let folder = goldens("unet-\(name)")
        let model = try ModelDirectory(contentsOf: folder)
        #expect(model.record == nil)
        #expect(model.schedule.timesteps == 1000)
        let golden = try SafetensorsArchive(contentsOf: folder.appending(path: "golden.safetensors"))
        let x = try Tensor(golden.entry("x")), t = try Tensor(golden.entry("t")), y = try Tensor(golden.entry("y"))
        let labels = try golden["labels"].map { try Tensor($0) }
        let output = withoutGradients { model.network(x, t, labels) }
        #expect(output.shape == y.shape)
        #expect(difference(output, y) < 1e-5)
    }

    @Test(arguments: ["classes", "cifar", "resnet", "plain"])
    func configurationsSurviveBeingWritten(name: String) throws {
        let text = try String(contentsOf: goldens("unet-\(name)").appending(path: "config.json"), encoding: .utf8)
        let configuration = try UNetConfiguration(json: text)
        #expect(try UNetConfiguration(json: configuration.json) == configuration)
    }

    @Test(arguments: [
        ("act_fn", "\"gelu\""), ("time_embedding_type", "\"fourier\""), ("class_embed_type", "\"timestep\""),
        ("dropout", "0.1"),
        ("down_block_types", "[\"DownBlock2D\"]"), ("down_block_types", "[\"SkipDownBlock2D\", \"DownBlock2D\"]"),
        ("up_block_types", "7"), ("norm_num_groups", "5"), ("norm_num_groups", "0"),
        ("block_out_channels", "[8, 16.5]"),
        ("block_out_channels", "[8, 10000]"), ("layers_per_block", "true"), ("attention_head_dim", "64"),
        ("sample_size", "[8, 8, 8]"), ("sample_size", "1"), ("resnet_time_scale_shift", "\"ada_group\""),
        ("downsample_padding", "2"), ("norm_eps", "-1"), ("mid_block_type", "\"UNetMidBlock2DCrossAttn\""),
        ("freq_shift", "4"), ("cross_attention_dim", "32"), ("_class_name", "\"UNet2DConditionModel\""),
    ])
    func namesTheKeyAtFault(key: String, value: String) throws {
        let text = try String(contentsOf: goldens("unet-classes").appending(path: "config.json"), encoding: .utf8)
        var object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        object[key] = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
        let spoilt = String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        #expect { try UNetConfiguration(json: spoilt) } throws: {
            let error = $0 as? DiffusionError
            return error?.code == .badConfig && error?.message.contains("'\(key)'") == true
        }
    }

    @Test func refusesTextThatIsNoObject() {
        for text in ["", "[]", "{", "nonsense"] {
            #expect { try UNetConfiguration(json: text) } throws: { ($0 as? DiffusionError)?.code == .badConfig }
        }
    }

    @Test func imagesMustFit() throws {
        var configuration = UNetConfiguration()
        configuration.blockOutChannels = [32, 64]
        configuration.inChannels = 1
        configuration.outChannels = 1
        try configuration.check(channels: 1, height: 8, width: 6)
        for shape in [[3, 8, 8], [1, 7, 8], [1, 8, 9]] {
            #expect { try configuration.check(channels: shape[0], height: shape[1], width: shape[2]) } throws: {
                ($0 as? DiffusionError)?.code == .badConfig
            }
        }
    }
}
