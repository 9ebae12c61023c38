import Chain
import Diffusion
import Foundation
import Safetensors
import Testing
import Torch

struct UNetTests {
    static let goldenNames = [
        "classes", "cifar", "resnet", "plain", "learned", "fourier", "text", "text-linear", "text-cross",
    ]

    /// Inputs and diffusers' own outputs on the same weights.
    private func golden(_ name: String) throws -> SafetensorsArchive {
        try SafetensorsArchive(contentsOf: goldens("unet-\(name)").appending(path: "golden.safetensors"))
    }

    /// Both run in float32, so they differ by rounding alone.
    @Test(arguments: goldenNames)
    func saysWhatDiffusersSays(name: String) throws {
        let network = try UNet(contentsOf: goldens("unet-\(name)"))
        let golden = try golden(name), truth = try Tensor(golden.entry("output"))
        let output = try NetworkInputs(golden, for: network).output(of: network)
        #expect(output.shape == truth.shape)
        #expect(difference(output, truth) < 1e-5)
    }

    /// At half precision rounding is the error, ours and diffusers'; both stay as near to the output at float32.
    @Test(arguments: [("cifar", DType.bfloat16), ("cifar", .float16), ("text", .bfloat16), ("text", .float16)])
    func halfPrecisionIsNoWorseThanDiffusers(name: String, dtype: DType) throws {
        let network = try UNet(contentsOf: goldens("unet-\(name)"), dtype: dtype)
        #expect(network.dtype == dtype)
        let golden = try golden(name), exact = try Tensor(golden.entry("output"))
        let theirs = try Tensor(golden.entry("output.\(dtype)"))
        let output = try NetworkInputs(golden, for: network).output(of: network)
        #expect(output.dtype == .float32)
        func error(_ x: Tensor) -> Double { ((x - exact).norm() / exact.norm()).item }
        #expect(error(output) > 0 && error(output) < 1.5 * error(theirs), "\(error(output)) against \(error(theirs))")
    }

    @Test(arguments: goldenNames)
    func configurationsSurviveBeingWritten(name: String) throws {
        let text = try String(contentsOf: goldens("unet-\(name)").appending(path: "config.json"), encoding: .utf8)
        let configuration = try UNetConfiguration(json: text)
        #expect(try UNetConfiguration(json: configuration.json) == configuration)
    }

    /// What google/ddpm-cifar10-32 has in its config.json, `UNetRes` of its first versions included.
    @Test func readsTheConfigOfDDPM() throws {
        let configuration = try UNetConfiguration(
            json: """
                {"_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", "act_fn": "silu", "attention_head_dim": null,
                "block_out_channels": [128, 256, 256, 256], "center_input_sample": false,
                "down_block_types": ["DownBlock2D", "UNetResAttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
                "downsample_padding": 0, "flip_sin_to_cos": false, "freq_shift": 1, "in_channels": 3, "layers_per_block": 2,
                "mid_block_scale_factor": 1, "norm_eps": 1e-06, "norm_num_groups": 32, "out_channels": 3, "sample_size": 32,
                "time_embedding_type": "positional",
                "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]}
                """)
        var source = ParameterSource.zeros()
        // 35.7 million, as diffusers counts them.
        #expect(UNet(configuration, &source).parameterCount == 35_746_307)
        #expect(configuration.attentionHeadDim == nil && configuration.downBlocks[1] == .attention)
        try configuration.check(channels: 3, height: 32, width: 32)
    }

    @Test(arguments: [
        ("act_fn", "\"tanh\""), ("time_embedding_type", "\"sinusoidal\""), ("class_embed_type", "\"projection\""),
        ("dropout", "1.5"),
        ("down_block_types", "[\"DownBlock2D\"]"), ("down_block_types", "[\"SkipDownBlock2D\", \"DownBlock2D\"]"),
        ("up_block_types", "7"), ("norm_num_groups", "5"), ("norm_num_groups", "0"),
        ("block_out_channels", "[8, 16.5]"),
        ("block_out_channels", "[8, 10000]"), ("layers_per_block", "true"), ("attention_head_dim", "64"),
        ("sample_size", "[8, 8, 8]"), ("sample_size", "1"), ("resnet_time_scale_shift", "\"ada_group\""),
        ("downsample_padding", "2"), ("norm_eps", "-1"), ("mid_block_type", "\"UNetMidBlock2DCrossAttn\""),
        ("freq_shift", "4"), ("time_embedding_dim", "1000000"), ("cross_attention_dim", "32"),
        ("_class_name", "\"UNet3DConditionModel\""),
        ("up_block_types", "[\"CrossAttnUpBlock2D\", \"UpBlock2D\"]"), ("_collafuse_self_conditioning", "3"),
    ])
    func namesTheKeyAtFault(key: String, value: String) throws {
        let fault = try #require(try refusal("classes", [key: value]))
        #expect(fault.code == .badConfig && fault.message.contains("'\(key)'"), "\(fault)")
    }

    @Test(arguments: [
        ("dual_cross_attention", "true"), ("only_cross_attention", "[true, false]"),
        ("attention_head_dim", "[1, 2, 3]"),
        ("attention_head_dim", "[3, 2]"), ("transformer_layers_per_block", "[[1], [2]]"), ("encoder_hid_dim", "7"),
        ("addition_embed_type", "\"text\""), ("conv_in_kernel", "1"), ("time_embedding_type", "\"fourier\""),
        ("cross_attention_dim", "[4, 5]"), ("num_attention_heads", "8"), ("downsample_type", "\"resnet\""),
    ])
    func namesTheKeyAtFaultWhereThereIsText(key: String, value: String) throws {
        let fault = try #require(try refusal("text", [key: value]))
        #expect(fault.code == .badConfig && fault.message.contains("'\(key)'"), "\(fault)")
    }

    @Test func saysWhatWasProbablyMeant() throws {
        let block = try refusal("classes", ["down_block_types": "[\"DownBlock\", \"AttnDownBlock2D\"]"])
        #expect(block?.message.contains("'DownBlock2D'") == true)
        let key = try refusal("classes", ["atention_head_dim": "4"])
        #expect(key?.message.contains("'attention_head_dim'") == true)
        let act = try refusal("classes", ["act_fn": "\"sillu\""])
        #expect(act?.message.contains("'silu'") == true)
    }

    /// What reading this golden's config says when some keys have other values; nil: it is read.
    private func refusal(_ name: String, _ values: [String: String]) throws -> DiffusionError? {
        let text = try String(contentsOf: goldens("unet-\(name)").appending(path: "config.json"), encoding: .utf8)
        var object = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        for (key, value) in values {
            object[key] = try JSONSerialization.jsonObject(with: Data(value.utf8), options: .fragmentsAllowed)
        }
        let spoilt = String(decoding: try JSONSerialization.data(withJSONObject: object), as: UTF8.self)
        do throws(DiffusionError) {
            _ = try UNetConfiguration(json: spoilt)
            return nil
        } catch {
            return error
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
        configuration.sampleSize = [16, 16]
        #expect { try configuration.check(channels: 1, height: 8, width: 8) } throws: {
            ($0 as? DiffusionError)?.message.contains("'sample_size'") == true
        }
    }

    @Test(arguments: [
        ("fourier", "time_embedding_type"), ("learned", "class_embed_type"), ("plain", "out_channels"),
        ("text", "_class_name"),
    ])
    func aChainTakesNoNetworkThatItCannotTell(name: String, key: String) throws {
        let network = try UNet(contentsOf: goldens("unet-\(name)"))
        #expect { try Denoiser(network, on: Schedule(.cosine(), timesteps: 1000), labels: 0) } throws: {
            ($0 as? DiffusionError)?.message.contains("'\(key)'") == true
        }
    }

    /// A prompt for each label: the same as handing the embeddings over, and guidance finds "none".
    @Test func promptsAreLabels() throws {
        let unet = try UNet(contentsOf: goldens("unet-text")), golden = try golden("text")
        let prompts = try Tensor(golden.entry("encoder_hidden_states"))
        let network = try PromptedUNet(unet, prompts: prompts)
        #expect(network.prompts == 2)
        let denoiser = try Denoiser(network, on: Schedule(.cosine(), timesteps: 1000), labels: network.prompts)
        #expect(denoiser.knowsNone)
        try denoiser.check(guidance: 3)
        let x = try Tensor(golden.entry("sample")), t = try Tensor(golden.entry("timestep"))
        let output = withoutGradients { network(x, t, Tensor([0, 1, 2])) }
        #expect(difference(output, try Tensor(golden.entry("output"))) < 1e-5)
        for spoilt in [prompts[0], prompts.narrowed(2, from: 0, length: 3), prompts * Double.nan] {
            #expect { try PromptedUNet(unet, prompts: spoilt) } throws: { ($0 as? DiffusionError)?.code == .badLabels }
        }
        #expect { try PromptedUNet(UNet(contentsOf: goldens("unet-plain")), prompts: prompts) } throws: {
            ($0 as? DiffusionError)?.code == .badConfig
        }
    }
}
