/// A deployment on paper: a run, and the nodes that carry it out. Read from YAML (`Topology+Reading.swift`).
package struct Topology: Hashable, Sendable {
    package let run: Run
    /// One, called "broker", or several with names of their own.
    package let brokers: [Broker]
    package let workers: [Worker]
    package let clients: [Client]
    package let sample: Sample
    package let report: Report
    /// The folder that everything goes to: keys, logs, models, pictures, figures. As written, relative to where the
    /// command is called.
    package let out: String

    /// What every party agrees on.
    package struct Run: Hashable, Sendable {
        /// A kind and its numbers; what is nil the kind has by itself.
        package struct Schedule: Hashable, Sendable, Codable {
            package enum Kind: String, CaseIterable, Sendable, Codable {
                case linear, cosine, sigmoid, table
                case scaledLinear = "scaled_linear"
                case betaSigmoid = "beta_sigmoid"
            }

            package let kind: Kind
            /// Both or neither.
            package var start: Double?
            package var end: Double?
            /// The sigmoid's.
            package var tau = 1.0
            /// The cosine's.
            package var offset: Double?
            /// β_1 … β_T, of a table.
            package var betas: [Double] = []
            /// Whether it is rescaled to leave no signal at T.
            package var isRescaled = false
        }

        package struct Shape: Hashable, Sendable {
            package let channels: Int
            package let height: Int
            package let width: Int
        }

        /// The shared U-Net, as diffusers' `UNet2DModel` counts it.
        package struct Backbone: Hashable, Sendable {
            /// Channels a level, from the finest; each level halves height and width.
            package let channels: [Int]
            /// Residual blocks a level.
            package let layers: Int
            /// Which levels attend; as many as there are levels.
            package let attention: [Bool]
            /// Channels an attention head.
            package let headWidth: Int
            /// Groups of every group norm; divides every number of channels.
            package let groups: Int
            /// Whether the network sees its own last guess at the image.
            package let selfConditioning: Bool
        }

        package let name: String
        /// T.
        package let timesteps: Int
        package let schedule: Schedule
        /// o: what every channel's noise is shifted by, times one normal. 0: none.
        package let offsetNoise: Double
        package let image: Shape
        /// Names of the labels; a label's number is its place. Empty: a run without labels.
        package let labels: [String]
        /// ζ of every client that names none of its own.
        package let cut: Int
        package let backbone: Backbone
    }

    package struct Broker: Hashable, Sendable {
        package let name: String
        /// Where clients connect, "tcp://127.0.0.1:*" for a free port.
        package let clients: String
        /// Where workers connect.
        package let workers: String
        package let journal: Journal

        /// Where accepted jobs and results are kept.
        package enum Journal: String, CaseIterable, Sendable {
            /// In a file of the run's folder: a broker that was killed has them when it is started again.
            case sqlite
            /// In the broker's memory.
            case memory
        }
    }

    package struct Worker: Hashable, Sendable {
        package enum Role: String, CaseIterable, Sendable {
            case denoise, train
        }

        package let name: String
        package let role: Role
        /// CPU threads it computes with.
        package let threads: Int
        /// How the backbone is trained, for the role `train`.
        package let training: Training?
    }

    /// How long and how fast a model is trained.
    package struct Training: Hashable, Sendable {
        /// Images shown in all, each counted as often as it is shown.
        package let images: Int
        package let batch: Int
        package let learningRate: Double
        /// γ of min-SNR weighting; nil: none.
        package let minSNR: Double?
        package let precision: Precision

        /// What a training step computes in: float32, or its convolutions and matrix products in bfloat16.
        package enum Precision: String, CaseIterable, Sendable {
            case single, mixed
        }
    }

    package struct Client: Hashable, Sendable {
        /// What a client does, in the order of its list.
        package enum Task: String, CaseIterable, Sendable {
            case publish, train, sample
        }

        /// Whether an image is masked once, or anew for every epoch (the paper's protocol).
        package enum Release: String, CaseIterable, Sendable {
            case once, fresh
        }

        package let name: String
        /// A folder or a safetensors file, as written, relative to the topology's own folder.
        package let images: String
        /// The labels it holds, as numbers. nil: all that lie there.
        package let labels: [Int]?
        /// ζ.
        package let cut: Int
        package let release: Release
        /// With `fresh`: how often each image is masked anew.
        package let epochs: Int
        /// The most that one image's releases may show together, as a signal-to-noise ratio in decibels. nil: what the client
        /// insists on by itself (3 dB).
        package let limitDecibels: Double?
        package let tasks: [Task]
        package let threads: Int
        /// How its head is trained.
        package let head: Training
    }

    /// What each client samples at the end.
    package struct Sample: Hashable, Sendable {
        package enum Sampler: String, CaseIterable, Sendable {
            case ddpm, ddim
            case dpmSolver = "dpm-solver++"
            case euler, heun
        }

        /// Samples of every label that the client holds.
        package let perLabel: Int
        /// Samples of every label that it does not hold.
        package let unseenPerLabel: Int
        /// Steps of the whole chain, both sides together.
        package let steps: Int
        package let sampler: Sampler
        /// Weight of classifier-free guidance; 0 and 1 are none.
        package let guidance: Double
    }

    package struct Report: Hashable, Sendable {
        /// Cuts at which the attacks on masked images are measured.
        package let cuts: [Int]
    }
}
